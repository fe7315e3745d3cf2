"""Objects of a store as files of a backup. What an earlier backup has already is linked, if it is whole.

Only uploaded bytes: parts of a chunk step and pictures of pages are made again when they are missing.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from footnote.documents.objects import Uploaded
from footnote.errors import DocumentRejected, Invalid
from footnote.operations.backups import checksums
from footnote.operations.backups.folders import OBJECTS
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
    damaged: list[str] = field(default_factory=list)


Uploads = Callable[[Sequence[str]], Awaitable[Mapping[str, Uploaded]]]


async def copy_all(
    store: Store, folder: Path, earlier: Sequence[EarlierObjects], uploaded: Uploads, stored: Sequence[Path]
) -> Copied:
    """Everything that is in the store.

    An object that is deleted meanwhile was given up before the database was read: no row of the backup names it.
    What `earlier` has is linked if its bytes are those that were uploaded: a disk may have damaged them since. If they
    are not, the store's take their place in all folders in which they are `stored`.
    """
    copied = Copied()
    async for keys in _some(store):
        known = await uploaded(keys)
        for key in keys:
            about = known.get(key)
            damaged = await asyncio.to_thread(_linked, key, folder, earlier, about, copied.checksums)
            if key in copied.checksums:
                continue
            fresh = await copy(store, key, folder)
            copied.checksums |= fresh
            if about and fresh and fresh[key] != about.sha256:
                copied.damaged.append(about.owner)
            elif fresh:
                _mend(key, folder, [bad for bad, digest in damaged.items() if digest == fresh[key]], stored)
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
        digest = each.checksums[key]
        with suppress(OSError):  # a disk without links, or with too many of one file: it is read again
            os.link(each.folder / key, target)
            damaged[each.folder / key] = digest
            if checksums.sha256(target) == digest and (about is None or about.sha256 == digest):
                linked[key] = digest
                return {}
        target.unlink(missing_ok=True)  # a disk that cannot read it counts as well
    return damaged


def _mend(key: str, folder: Path, damaged: Iterable[Path], stored: Iterable[Path]) -> None:
    """Puts the object of the folder in the place of each link to a damaged one."""
    places = [each / key for each in stored]
    found = [place for place in places if any(place.exists() and place.samefile(bad) for bad in damaged)]
    spare = folder / f"{key}{UNFINISHED}"
    for place in found:
        os.link(folder / key, spare)
        spare.replace(place)
    if found:
        log.warning("a damaged object is whole again", key=key, folders=len(found))


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
