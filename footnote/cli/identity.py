"""How files of this machine are identified: the `external_id`s that `add` and `sync` give them.

`add` uses a file's path, `file://HOST/PATH`; `sync` the folder's name and the path within it, which stay the same when
the folder moves. Each finds the documents that the other made of the same file.
"""

import hashlib
import os
import socket
from contextlib import suppress
from pathlib import Path

from footnote.errors import Invalid

LONGEST = 512  # characters that the API takes


def of_file(path: Path) -> str:
    """From its absolute path on this machine. A directory's id is a prefix of the ids of its files."""
    return fitting(f"file://{socket.gethostname()}{_text(path.resolve())}")


def of_folder(directory: Path, name: str | None) -> str:
    """How the ids of a synced folder's files begin."""
    return f"sync/{name or directory.resolve().name}/"


def within(prefix: str, path: Path, directory: Path) -> str:
    return fitting(prefix + _text(path.relative_to(directory)))


def candidates(path: Path) -> list[str]:
    """The ids that the file may have already; a new document gets the first."""
    from footnote.local_stack import user_file

    here = path.resolve()
    synced = user_file.folders()
    names = [(folder, synced[str(folder)]) for folder in here.parents if str(folder) in synced]
    return [of_file(path), *(within(of_folder(folder, name), here, folder) for folder, name in names)]


def remember(directory: Path, name: str | None) -> None:
    """Lets `add` find what `sync` made of a file in the folder. Does nothing for a user without a home."""
    from footnote.local_stack import user_file

    with suppress(OSError, Invalid):
        user_file.remember_folder(directory.resolve(), name or directory.resolve().name)


def fitting(name: str) -> str:
    """The name; one that is too long for the API is cut, and ends with a hash of all of it."""
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 65]}#{hashlib.sha256(name.encode()).hexdigest()}"


def _text(path: Path) -> str:
    return os.fsencode(path.as_posix()).decode("utf-8", "replace")
