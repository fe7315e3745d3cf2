"""Objects of a store as files of a backup. What an earlier backup has already is linked, if it is whole.

Only uploaded bytes: parts of a chunk step and pictures of pages are made again when they are missing.
"""

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from footnote.documents.objects import Uploaded
from footnote.errors import DocumentRejected, Invalid
from footnote.operations.backups import checksums
from footnote.operations.backups.folders import OBJECTS, sync
from footnote.storage import UNFINISHED, Store, writing
from footnote.telemetry import log

BATCH = 500  # keys whose rows are looked up at once


@dataclass(frozen=True)
class EarlierObjects:
    """Objects that are stored on the same disk already; an object never changes."""

    folder: Path
    checksums: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> "EarlierObjects":
        """None, if the list of the folder is damaged: then they are read again."""
        try:
            return cls(folder, checksums.read(folder))
        except Invalid:
            return cls(folder)


@dataclass
class Copied:
    """The checksums of the files, and the owners of objects that are nowhere as they were uploaded."""

    checksums: dict[str, str] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)


class Uploads(Protocol):
    """What the rows of the database say of objects, by their keys."""

    async def of(self, keys: Sequence[str]) -> Mapping[str, Uploaded]: ...

    def all(self) -> AsyncIterator[tuple[str, Uploaded]]: ...


async def copy_all(
    store: Store, folder: Path, earlier: Sequence[EarlierObjects], uploads: Uploads, stored: Sequence[Path]
) -> Copied:
    """Everything that is in the store, and what `earlier` has of what should be.

    An object that is deleted meanwhile was given up before the database was read: no row of the backup names it.
    What `earlier` has is linked if its bytes are those that were uploaded: a disk may have damaged them since. If they
    are not, the store's take their place in all folders in which they are `stored`.
    """
    copied, unread = Copied(), set[str]()
    async for keys in _some(store):
        known = await uploads.of(keys)
        for key in keys:
            about = known.get(key)
            damaged = await asyncio.to_thread(_linked, key, folder, earlier, about, copied.checksums)
            if key in copied.checksums:
                continue
            fresh = await copy(store, key, folder)
            copied.checksums |= fresh
            if not fresh:
                unread.add(key)
            elif about and fresh[key] != about.sha256:
                copied.damaged.add(about.owner)
            else:
                _mend(key, folder, [bad for bad, digest in damaged.items() if digest == fresh[key]], stored)
    async for key, about in uploads.all():
        if key in copied.checksums or (key not in unread and await store.exists(key)):  # it came meanwhile
            continue
        await asyncio.to_thread(_linked, key, folder, earlier, about, copied.checksums)
        if key in copied.checksums:
            log.warning("the store has lost an object, which the backup before has", key=key, owner=about.owner)
        else:
            copied.damaged.add(about.owner)
    return copied


async def _some(store: Store) -> AsyncIterator[list[str]]:
    """All keys, in batches."""
    keys: list[str] = []
    async for key in store.keys(OBJECTS):
        if not key.endswith(UNFINISHED):
            keys.append(key)
        if len(keys) == BATCH:
            yield keys
            keys = []
    if keys:
        yield keys


def _linked(
    key: str, folder: Path, earlier: Iterable[EarlierObjects], about: Uploaded | None, linked: dict[str, str]
) -> dict[Path, str]:
    """Adds the sum of the object to `linked` if an earlier folder has it as it was; those that do not, with the sum."""
    damaged: dict[Path, str] = {}
    target = folder / key
    target.parent.mkdir(parents=True, exist_ok=True)
    for each in (each for each in earlier if key in each.checksums):
        digest, path = each.checksums[key], each.folder / key
        if path.is_symlink():  # what it leads to is in no backup
            continue
        with suppress(OSError):  # one that a disk cannot read counts as damaged
            if _put(path, target):
                damaged[path] = digest
            if checksums.sha256(target) == digest and (about is None or about.sha256 == digest):
                linked[key] = digest
                return {}
        target.unlink(missing_ok=True)
    return damaged


def _put(path: Path, target: Path) -> bool:
    """Whether the file is linked; it is copied on a disk without links, or with too many of one file."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)
        sync(target)
        return False
    return True


def _mend(key: str, folder: Path, damaged: Iterable[Path], stored: Iterable[Path]) -> None:
    """Puts the object of the folder in the place of each link to a damaged one."""
    places = [each / key for each in stored]
    found = [place for place in places if any(place.exists() and place.samefile(bad) for bad in damaged)]
    spare = folder / f"{key}{UNFINISHED}"
    for place in found:
        os.link(folder / key, spare)
        spare.replace(place)
    if found:
        log.warning("a damaged object was repaired", key=key, folders=len(found))


async def copy(store: Store, key: str, folder: Path) -> dict[str, str]:
    """One object, on the disk when this returns, and its sum; nothing if it is not there any more, or unreadable."""
    target = folder / key
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    part = target.with_name(target.name + UNFINISHED)
    with part.open("wb") as file:
        try:
            async for data in _pieces(store, key):
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


async def _pieces(store: Store, key: str) -> AsyncIterator[bytes]:
    """Raises DocumentRejected for an object that is not there, or that a disk cannot read though the store works."""
    try:
        async for data in store.read(key):
            yield data
    except OSError as error:
        await store.check()
        log.error("an object cannot be read", key=key, error=error.strerror)
        raise DocumentRejected("object_missing") from error


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
