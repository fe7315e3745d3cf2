"""Where a backup stands in the folder of backups, and what its manifest says."""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from footnote.errors import Conflict, Invalid
from footnote.operations.backups import checksums
from footnote.operations.backups.questions import CheckQuestion

Kind = Literal["base", "dump"]
DATABASE, OBJECTS, WAL, MANIFEST = "database", "objects", "wal", "manifest.json"
API_KEY = "api_key"
PART = ".part"
_NAME = re.compile(r"\d{8}T\d{6}Z")


@dataclass(frozen=True)
class Manifest:
    """What a backup is of. `system` and `first_segment`: the cluster, and where its write-ahead log continues it.

    Both are empty for a dump. `damaged`: documents and files whose bytes are nowhere as they were uploaded.
    """

    id: str
    kind: Kind
    footnote: str
    postgres: str
    revision: str
    system: str
    first_segment: str
    started_at: datetime
    finished_at: datetime
    questions: list[CheckQuestion]
    damaged: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Backup:
    """A finished backup in its folder."""

    folder: Path
    manifest: Manifest

    @property
    def database(self) -> Path:
        return self.folder / DATABASE


def name_of(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    text = json.dumps(asdict(manifest), indent=2, default=datetime.isoformat)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_backup(folder: Path) -> Backup:
    """Raises Invalid if the folder holds no finished backup."""
    try:
        given: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        times = {name: datetime.fromisoformat(given[name]) for name in ("started_at", "finished_at")}
        questions = [CheckQuestion(**each) for each in given["questions"]]
        return Backup(folder, Manifest(**given | times | {"questions": questions}))
    except FileNotFoundError as error:
        raise Invalid("no_backup", f"{folder} holds no backup: there is no {MANIFEST}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise checksums.damaged(folder / MANIFEST, "it is not what `footnote backup` writes") from error


def backups(directory: Path) -> list[Backup]:
    """The finished ones in a folder of backups, oldest first. Damaged ones are left out."""
    found: list[Backup] = []
    for each in _named(directory):
        with suppress(Invalid):
            found.append(read_backup(each))
    return found


def _named(directory: Path) -> list[Path]:
    found = directory.iterdir() if directory.is_dir() else ()
    return sorted(each for each in found if _NAME.fullmatch(each.name))


def newest(directory: Path, until: datetime | None = None) -> Backup:
    """The newest that was finished before a time; the folder may be that of one backup. Raises Invalid.

    So it does for a damaged one that is newer: you must know that what you get is older than what you have.
    """
    oldest = None
    for each in [directory] if (directory / MANIFEST).exists() else reversed(_named(directory)):
        oldest = read_backup(each)
        if until is None or oldest.manifest.finished_at <= until:
            return oldest
    if oldest is None:
        raise Invalid("no_backup", f"{directory} holds no backup; `footnote backup` makes one.")
    first = oldest.manifest.finished_at
    raise Invalid("no_backup", f"The oldest backup in {directory} was finished at {first:%Y-%m-%dT%H:%M:%SZ}.")


def remove(backup: Backup) -> None:
    """At once for others: what is left of it if this is interrupted is removed with the next backup."""
    part = backup.folder.with_name(backup.folder.name + PART)
    backup.folder.rename(part)
    shutil.rmtree(part, ignore_errors=True)


@contextmanager
def alone(directory: Path, name: str = "lock", what: str = "Another backup is being made in") -> Iterator[None]:
    """Makes the folder of backups, and holds a lock in it. Raises Conflict while another process does."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (directory / name).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict("backup_runs", f"{what} {directory}.") from error
        yield


@contextmanager
def new_folder(directory: Path, moment: datetime) -> Iterator[Path]:
    """An empty folder that is in its place when the block ends, and gone if it raises; what a killed one left, too.

    Within `alone`: one is made at a time.
    """
    for left in directory.glob(f"*{PART}"):
        shutil.rmtree(left, ignore_errors=True)
    part = directory / f"{name_of(moment)}{PART}"
    part.mkdir(mode=0o700)
    try:
        yield part
        sync(part)
        part.rename(directory / name_of(moment))
        sync(directory)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def sync(path: Path) -> None:
    """What was written to the file, or named in the folder, is on the disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
