"""What the command line stores for its user: the server to talk to, and the folders that were synced.

In `footnote/` under XDG_CONFIG_HOME, or else ~/.config: `server.json`, with the API key readable by you alone,
and `folders.json`.
"""

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from footnote.errors import Invalid
from footnote.settings import Settings


@dataclass(frozen=True)
class StoredServer:
    """The address of Footnote and a key; stored by `footnote login` or `footnote up`."""

    url: str
    key: str
    by: Literal["login", "up"]


def directory() -> Path:
    """Raises Invalid where the user has no home."""
    try:
        given = Settings().user_config_dir.expanduser()
        base = given if given.is_absolute() else Path.home() / ".config"  # a relative one is ignored
    except RuntimeError as error:
        raise Invalid("no_home", "There is no home directory: set HOME or XDG_CONFIG_HOME.") from error
    return base / "footnote"


def server_file() -> Path:
    return directory() / "server.json"


def server() -> StoredServer | None:
    """The server of the file, if there is one. Raises Invalid for a file that others may read, or that is damaged."""
    try:
        path = server_file()
        with path.open() as file:
            found = os.fstat(file.fileno())
            if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO) or found.st_uid not in (os.geteuid(), 0):
                problem = f"Other users may read or write {path}, which holds an API key"
                raise Invalid("bad_permissions", f"{problem}: `chmod 600 {path}`, or `footnote logout`.")
            given = json.load(file)
        return StoredServer(str(given["url"]), str(given["key"]), "login" if given["by"] == "login" else "up")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Invalid("bad_user_file", f"{path} cannot be read: {error.strerror}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid("bad_user_file", f"{path} is damaged: `footnote login` writes a new one.") from error


def remember_server(found: StoredServer) -> Path:
    """Writes the file and returns its path. Raises OSError, and Invalid where there is no home."""
    return _write(server_file(), asdict(found))


def forget_server() -> bool:
    """Whether there was a file. Raises OSError."""
    path = server_file()
    known = path.exists()
    path.unlink(missing_ok=True)
    return known


def folders() -> Mapping[str, str]:
    """By path, the names with which folders of this machine were synced."""
    try:
        found = json.loads((directory() / "folders.json").read_text())
    except (OSError, ValueError, Invalid):
        return {}
    return {str(path): str(name) for path, name in found.items()} if isinstance(found, dict) else {}


def remember_folder(path: Path, name: str) -> None:
    """Raises OSError, and Invalid where there is no home."""
    known = folders()
    if known.get(str(path)) != name:
        _write(directory() / "folders.json", {**known, str(path): name})


def _write(path: Path, value: Any) -> Path:
    """Whole or not at all, and readable by its owner only (0600)."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(value, file, indent=2)
            file.write("\n")
        Path(part).rename(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    return path
