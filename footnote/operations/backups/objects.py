"""Objects of a store as files of a backup. What an earlier backup has already is linked, not read again.

Only uploaded bytes: parts of a chunk step and pictures of pages are made again when they are missing.
"""

import asyncio
import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from footnote.errors import DocumentRejected, Invalid
from footnote.operations.backups import sums
from footnote.operations.backups.folders import OBJECTS
from footnote.storage import UNFINISHED, Store, writing


@dataclass(frozen=True)
class EarlierObjects:
    """Objects that are stored on the same disk already; an object never changes."""

    folder: Path
    sums: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> "EarlierObjects":
        """None, if the list of the folder is damaged: then they are read again."""
        try:
            return cls(folder, sums.read(folder))
        except Invalid:
            return cls(folder)


async def copy_all(store: Store, folder: Path, earlier: Iterable[EarlierObjects]) -> dict[str, str]:
    """Everything that is in the store; the sums of the files.

    An object that is deleted meanwhile was given up before the database was read: no row of the backup names it.
    """
    copied: dict[str, str] = {}
    known = list(earlier)
    async for key in store.keys(OBJECTS):
        if not key.endswith(UNFINISHED):
            copied |= _linked(key, folder, known) or await copy(store, key, folder)
    return copied


def _linked(key: str, folder: Path, earlier: Iterable[EarlierObjects]) -> dict[str, str]:
    for each in earlier:
        if key in each.sums:
            target = folder / key
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # a disk without links, or with too many of one file: it is read again
                os.link(each.folder / key, target)
                return {key: each.sums[key]}
    return {}


async def copy(store: Store, key: str, folder: Path) -> dict[str, str]:
    """One object, on the disk when this returns, and its sum; nothing if it is not there any more."""
    target = folder / key
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    part = target.with_name(target.name + UNFINISHED)
    with part.open("wb") as file:
        try:
            async for data in store.read(key):
                digest.update(data)
                await asyncio.to_thread(file.write, data)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        except DocumentRejected:
            part.unlink()
            return {}
        except OSError:  # a full disk is no fuller for what we tried
            part.unlink()
            raise
    part.rename(target)
    return {key: digest.hexdigest()}


async def put_back(store: Store, folder: Path) -> int:
    """Writes the objects of a folder into a store, where they are missing; how many."""
    written = 0
    for path in sorted((folder / OBJECTS).rglob("*")):
        key = str(path.relative_to(folder))
        if path.is_file() and not key.endswith(UNFINISHED) and not await store.exists(key):
            async with writing(store, key) as out:
                with path.open("rb") as file:
                    while data := await asyncio.to_thread(file.read, 1 << 20):
                        await out.write(data)
            written += 1
    return written
