"""Objects as files on local disk."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
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
        return LocalWriter(self._path(key))

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


def _create(path: Path) -> IO[bytes]:
    try:
        return path.open("xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise DocumentRejected("object_missing") from error


class LocalWriter:
    """A file that is made with its first bytes. The `last` ones are written by the thread that commits them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = _part(path)
        self._file: IO[bytes] | None = None
        self._last = b""

    async def write(self, data: bytes, *, last: bool = False) -> None:
        if last:
            self._last = data
            return
        with _disk_errors():
            await _in_thread(self._write, data)

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self._file = _create(self._part)
        self._file.write(data)

    async def commit(self) -> None:
        try:
            with _disk_errors():
                await _in_thread(self._commit)
        except BaseException:
            await self.abort()
            raise

    def _commit(self) -> None:
        self._write(self._last)
        assert self._file is not None
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
        if self._file is None:
            return
        # Removed first: closing writes the buffer, which fails again on a full disk.
        self._part.unlink(missing_ok=True)
        with suppress(OSError):
            self._file.close()


async def _in_thread(work: Callable[..., None], *given: bytes) -> None:
    """Ends with the thread, also if it is cancelled: before its writer has stopped, an object is not given up."""
    working = asyncio.ensure_future(asyncio.to_thread(work, *given))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.gather(working, return_exceptions=True)
        raise
