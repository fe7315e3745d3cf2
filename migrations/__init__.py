"""Alembic migrations; `footnote migrate` runs them."""

import hashlib
from pathlib import Path

# The newest revision of the last release: from here on every upgrade must keep what users stored.
RELEASED = "0030"
# How long a migration waits for tables, all together: others that need these tables wait as long. Then it is tried
# again, for so long.
WAIT_SECONDS, LOCK_SECONDS = 0.7, 600.0
LOCK = 0x6D696772617465  # "migrate", of the session that migrates
_SOURCES = (Path(__file__).parent, Path(__file__).parents[1] / "footnote/models")


def newest() -> str:
    """The revision that `footnote migrate` of this release leads to."""
    return max(path.name.partition("_")[0] for path in (Path(__file__).parent / "versions").glob("[0-9]*.py"))


def fingerprint(tenant_role: str) -> str:
    """Changes with everything that `footnote migrate` makes the tables by. It stands at the table `alembic_version`."""
    made_by = hashlib.sha256(tenant_role.encode())
    for source in sorted(path for folder in _SOURCES for path in folder.rglob("*.py")):
        made_by.update(source.read_bytes())
    return made_by.hexdigest()
