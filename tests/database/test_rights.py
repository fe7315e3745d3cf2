"""A user that owns nothing but its database: what it lacks is said at once, and it migrates once it has it."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from footnote.errors import Invalid
from footnote.local_stack import postgres
from footnote.local_stack.postgres import running_postgres
from footnote.operations import bootstrap
from tests.conftest import named_database, run_sql

RUN = re.compile(r"run there `(.*)` and migrate")


def servers() -> dict[str, Path]:
    """Binaries of Postgres with pgvector, by version: embedded ones, and Debian's."""
    embedded = postgres.binaries().parents[1]
    found = {"16": embedded / "pginstall" / "bin", "18": embedded / "pginstall18" / "bin"}
    for controls in Path("/usr/share/postgresql").glob("*/extension/vector.control"):
        found.setdefault(controls.parents[1].name, Path(f"/usr/lib/postgresql/{controls.parents[1].name}/bin"))
    return found


@pytest.mark.parametrize("version", ["16", "17", "18"])
def test_what_a_user_lacks_is_said_at_once(
    version: str, stack_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if version not in servers():
        pytest.skip(f"no Postgres {version} with pgvector: `apt install postgresql-{version}-pgvector`")
    binaries = servers()[version]
    monkeypatch.setattr(postgres, "binaries", lambda: binaries)
    monkeypatch.setattr(postgres, "MAJOR", version)
    with running_postgres(stack_directory / version) as url:
        theirs = named_database(url, "theirs")
        asyncio.run(run_sql(named_database(url, "postgres"), "CREATE ROLE app LOGIN"))
        asyncio.run(run_sql(named_database(url, "postgres"), "CREATE DATABASE theirs"))
        monkeypatch.setenv("DATABASE_URL", theirs.replace("postgres@", "app@"))
        monkeypatch.setenv("FOOTNOTE_TENANT_ROLE", "wall")
        with pytest.raises(Invalid) as refused:
            bootstrap.migrate()
        said = RUN.search(refused.value.message)
        assert said is not None, refused.value.message
        assert said[1].split("; ") == [
            "CREATE EXTENSION vector",
            'GRANT USAGE, CREATE ON SCHEMA "public" TO "app"',
            'CREATE ROLE "wall" NOLOGIN',
            'GRANT "wall" TO "app";',
        ]
        if version == "18":
            assert migrated_by_command(stack_directory) == (1, refused.value.message)
        asyncio.run(run_sql(theirs, said[1]))
        bootstrap.migrate()
        bootstrap.migrate()
    shutil.rmtree(stack_directory / version)


def migrated_by_command(data_dir: Path) -> tuple[int, str]:
    """The exit code and the only line on stderr."""
    command = [sys.executable, "-m", "footnote", "migrate"]
    environment = os.environ | {"FOOTNOTE_DATA_DIR": str(data_dir)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return done.returncode, done.stderr.strip()
