"""Objects as files on local disk."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import IO

from footnote.errors import DocumentRejected, Unavailable
from footnote.storage.protocol import PIECE, UNFINISHED


class LocalStore:
    """Files under a directory; written under another name, synced to disk, then renamed."""

    parts = None

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def _path(self, key: str) -> Path:
        return self.directory / key

    async def open_writer(self, key: str) -> "LocalWriter":
        with _disk_errors():
            return await asyncio.to_thread(LocalWriter, self._path(key))

    async def read(self, key: str) -> AsyncGenerator[bytes, None]:
        with await asyncio.to_thread(_open, self._path(key)) as file:
            while data := await asyncio.to_thread(file.read, PIECE):
                yield data

    @asynccontextmanager
    async def local_copy(self, key: str) -> AsyncIterator[Path]:
        path = self._path(key)
        if not await asyncio.to_thread(path.is_file):
            raise DocumentRejected("object_missing")
        yield path

    async def exists(self, key: str) -> bool:
        return await asyncio.to_thread(self._path(key).is_file)

    async def delete(self, key: str) -> None:
        path = self._path(key)
        with _disk_errors():
            await asyncio.to_thread(path.unlink, missing_ok=True)
            await asyncio.to_thread(_part(path).unlink, missing_ok=True)

    async def keys(self, folder: str) -> AsyncIterator[str]:
        for directory, _, names in os.walk(self._path(folder)):
            within = Path(directory).relative_to(self.directory)
            for name in names:
                yield str(within / name)

    async def check(self) -> None:
        with _disk_errors():
            await asyncio.to_thread(self.directory.mkdir, parents=True, exist_ok=True)
        if not await asyncio.to_thread(os.access, self.directory, os.W_OK):
            raise Unavailable("store_unavailable", f"{self.directory} is not writable.")


@contextmanager
def _disk_errors() -> Iterator[None]:
    """If the disk is full, read-only or fails, the store is unavailable."""
    try:
        yield
    except OSError as error:
        raise Unavailable("store_unavailable", f"The object store's disk: {error.strerror}") from error


def _part(path: Path) -> Path:
    return path.with_name(path.name + UNFINISHED)


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise DocumentRejected("object_missing") from error


class LocalWriter:
    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._part = _part(path)
        self._file = self._part.open("xb")

    async def write(self, data: bytes) -> None:
        with _disk_errors():
            await asyncio.to_thread(self._file.write, data)

    async def commit(self) -> None:
        try:
            with _disk_errors():
                await asyncio.to_thread(self._commit)
        except BaseException:
            await self.abort()
            raise

    def _commit(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.rename(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)  # the rename itself must survive a power cut: the API answers 202 after this
        finally:
            os.close(directory)

    async def abort(self) -> None:
        # Removed first: closing writes the buffer, which fails again on a full disk.
        self._part.unlink(missing_ok=True)
        with suppress(OSError):
            self._file.close()
