"""By what a file of this machine is known: the `external_id`s that `add` and `sync` give.

`add` goes by where a file is, `file://HOST/PATH`; `sync` by the folder's name and the place within, which stay when
the folder moves. Each takes up what the other has made of the same file.
"""

import hashlib
import os
import socket
from contextlib import suppress
from pathlib import Path

from footnote.errors import Invalid
from footnote.local_stack import user_file

LONGEST = 512  # characters that the API takes


def of_file(path: Path) -> str:
    """By its place on this machine, whatever folder it is named from. A directory's is how those of its files begin."""
    return fitting(f"file://{socket.gethostname()}{_text(path.resolve())}")


def of_folder(directory: Path, name: str | None) -> str:
    """How the ids of a synced folder's files begin."""
    return f"sync/{name or directory.resolve().name}/"


def within(prefix: str, path: Path, directory: Path) -> str:
    return fitting(prefix + _text(path.relative_to(directory)))


def candidates(path: Path) -> list[str]:
    """What the file may be known by already; the first is for a new one."""
    here = path.resolve()
    synced = user_file.folders()
    names = [(folder, synced[str(folder)]) for folder in here.parents if str(folder) in synced]
    return [of_file(path), *(within(of_folder(folder, name), here, folder) for folder, name in names)]


def remember(directory: Path, name: str | None) -> None:
    """So that `add` of a file in the folder finds what `sync` has made of it; without a home it does not."""
    with suppress(OSError, Invalid):
        user_file.remember_folder(directory.resolve(), name or directory.resolve().name)


def fitting(name: str) -> str:
    """The same where the API takes it; of a longer one the beginning and a hash of all."""
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 65]}#{hashlib.sha256(name.encode()).hexdigest()}"


def _text(path: Path) -> str:
    return os.fsencode(path.as_posix()).decode("utf-8", "replace")
