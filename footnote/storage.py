"""The object store: bytes under a key, on local disk or in S3.

Keys are ours, never made from user input. What must be remembered about an object (type, hash, size) is in
Postgres, because stores differ in what metadata they keep.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from footnote.errors import DocumentRejected, Invalid, Unavailable

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

PIECE = 1024 * 1024
PART = 8 * 1024 * 1024  # S3 wants at least 5 MiB for every part but the last
PARTS_IN_FLIGHT = 3
UNFINISHED = ".part"  # keys have one writer each, so one name for its unfinished file is enough


class Writer(Protocol):
    """An object being written; it appears whole at `commit` or not at all."""

    async def write(self, data: bytes) -> None: ...
    async def commit(self) -> None: ...
    async def abort(self) -> None: ...


class Store(Protocol):
    """Raises Unavailable when the store cannot be reached, DocumentRejected(object_missing) for unknown keys."""

    async def open_writer(self, key: str) -> Writer: ...
    def read(self, key: str) -> AsyncIterator[bytes]: ...
    def local_copy(self, key: str) -> AbstractAsyncContextManager[Path]:
        """A file with the object's bytes, for libraries that need one; read only."""
        ...

    async def exists(self, key: str) -> bool: ...
    async def delete(self, key: str) -> None:
        """Removes the object, and what a writer that died has left of it. An unknown key is no error."""
        ...

    def keys(self, folder: str) -> AsyncIterator[str]:
        """The keys that start with `folder/`, and those of unfinished writes with UNFINISHED behind them."""
        ...

    async def check(self) -> None: ...


@asynccontextmanager
async def writing(store: Store, key: str) -> AsyncIterator[Writer]:
    """A writer that commits when the block ends and aborts when it raises."""
    writer = await store.open_writer(key)
    try:
        yield writer
    except BaseException:
        await asyncio.shield(writer.abort())
        raise
    await writer.commit()


def open_store(url: str) -> Store:
    """A store by the scheme of its URL: `file:///directory` or `s3://bucket/prefix`."""
    parts = urlsplit(url)
    match parts.scheme:
        case "file":
            return LocalStore(Path(parts.path))
        case "s3":
            return S3Store(parts.netloc, parts.path.strip("/"))
        case _:
            raise Invalid("bad_setting", f"STORAGE_URL must start with file:// or s3://, not {url!r}")


class LocalStore:
    """Files under a directory; written beside, synced to disk, then renamed into place."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def _path(self, key: str) -> Path:
        return self.directory / key

    async def open_writer(self, key: str) -> "LocalWriter":
        with _disk_errors():
            return await asyncio.to_thread(LocalWriter, self._path(key))

    async def read(self, key: str) -> AsyncIterator[bytes]:
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
    """A disk that is full, read-only or failing is a store that is away."""
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
            os.fsync(directory)  # the rename itself must survive a power cut: 202 is said after this
        finally:
            os.close(directory)

    async def abort(self) -> None:
        # Removed first: closing writes what is buffered, which fails again on a full disk.
        self._part.unlink(missing_ok=True)
        with suppress(OSError):
            self._file.close()


class S3Store:
    """A bucket reached through boto3 in threads; the usual AWS_* variables configure it."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self._opened: S3Client | None = None

    @property
    def client(self) -> "S3Client":
        if self._opened is None:
            import boto3
            from botocore.config import Config

            self._opened = boto3.client(
                "s3",
                config=Config(
                    signature_version="s3v4",
                    connect_timeout=5,
                    read_timeout=30,
                    max_pool_connections=32,
                    retries={"mode": "standard", "max_attempts": 4},
                    # Servers other than AWS's refuse the newer default checksums.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )
        return self._opened

    def where(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": f"{self.prefix}/{key}" if self.prefix else key}

    async def call(self, method: str, **arguments: Any) -> Any:
        return await asyncio.to_thread(self._call, method, arguments)

    def _call(self, method: str, arguments: dict[str, Any]) -> Any:
        with _s3_errors():
            return getattr(self.client, method)(**arguments)

    async def open_writer(self, key: str) -> "S3Writer":
        return S3Writer(self, key)

    async def read(self, key: str) -> AsyncIterator[bytes]:
        body = (await self.call("get_object", **self.where(key)))["Body"]
        try:
            while data := await asyncio.to_thread(_read_body, body):
                yield data
        finally:
            body.close()

    @asynccontextmanager
    async def local_copy(self, key: str) -> AsyncIterator[Path]:
        with NamedTemporaryFile(prefix="footnote-") as file:
            async for data in self.read(key):
                await asyncio.to_thread(file.write, data)
            file.flush()
            yield Path(file.name)

    async def exists(self, key: str) -> bool:
        try:
            await self.call("head_object", **self.where(key))
        except DocumentRejected:
            return False
        return True

    async def delete(self, key: str) -> None:
        where = self.where(key)
        async for unfinished in self._pages("list_multipart_uploads", "Uploads", where["Key"]):
            if unfinished["Key"] == where["Key"]:
                await self.call("abort_multipart_upload", **where, UploadId=unfinished["UploadId"])
        await self.call("delete_object", **where)

    async def keys(self, folder: str) -> AsyncIterator[str]:
        start = self.where(f"{folder}/")["Key"]
        within = len(start) - len(folder) - 1
        async for each in self._pages("list_objects_v2", "Contents", start):
            yield each["Key"][within:]
        async for each in self._pages("list_multipart_uploads", "Uploads", start):
            yield each["Key"][within:] + UNFINISHED

    async def _pages(self, method: str, items: str, start: str) -> AsyncIterator[dict[str, Any]]:
        pages = iter(self.client.get_paginator(method).paginate(Bucket=self.bucket, Prefix=start))  # type: ignore[call-overload]
        while page := await asyncio.to_thread(_next_page, pages):
            for each in page.get(items, ()):
                yield each

    async def check(self) -> None:
        await self.call("head_bucket", Bucket=self.bucket)


class S3Writer:
    """Collects parts of 8 MiB and uploads up to three at a time; small objects go in one put."""

    def __init__(self, store: S3Store, key: str) -> None:
        self._store = store
        self._where = store.where(key)
        self._buffer = bytearray()
        self._upload_id: str | None = None
        self._parts: list[asyncio.Task[dict[str, Any]]] = []
        self._room = asyncio.Semaphore(PARTS_IN_FLIGHT)

    async def write(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= PART:
            await self._send(bytes(self._buffer[:PART]))
            del self._buffer[:PART]

    async def _send(self, data: bytes) -> None:
        if self._upload_id is None:
            created = await self._store.call("create_multipart_upload", **self._where)
            self._upload_id = created["UploadId"]
        await self._room.acquire()
        self._parts.append(asyncio.create_task(self._upload_part(len(self._parts) + 1, data)))

    async def _upload_part(self, number: int, data: bytes) -> dict[str, Any]:
        try:
            sent = await self._store.call(
                "upload_part", **self._where, UploadId=self._upload_id, PartNumber=number, Body=data
            )
        finally:
            self._room.release()
        return {"PartNumber": number, "ETag": sent["ETag"]}

    async def commit(self) -> None:
        if self._upload_id is None:
            await _to_its_end(self._store.call("put_object", **self._where, Body=bytes(self._buffer)))
            return
        try:
            if self._buffer:
                await self._send(bytes(self._buffer))
            parts = await asyncio.shield(asyncio.gather(*self._parts))
            await _to_its_end(
                self._store.call(
                    "complete_multipart_upload",
                    **self._where,
                    UploadId=self._upload_id,
                    MultipartUpload={"Parts": parts},
                )
            )
        except BaseException:
            await asyncio.shield(self.abort())
            raise

    async def abort(self) -> None:
        # Waited for, not cancelled: a part that arrives after the abort would stay, unseen and paid for.
        await asyncio.gather(*self._parts, return_exceptions=True)
        if self._upload_id is not None:
            with suppress(Unavailable):  # why it was aborted says more; what is left of it goes with the object
                await self._store.call("abort_multipart_upload", **self._where, UploadId=self._upload_id)


async def _to_its_end(request: Coroutine[Any, Any, Any]) -> None:
    """Waits for a request even when cancelled: an object that appears after it was given up would stay, unseen."""
    task = asyncio.create_task(request)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _next_page(pages: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    with _s3_errors():
        return next(pages, None)


def _read_body(body: Any) -> bytes:
    with _s3_errors():
        data: bytes = body.read(PIECE)
        return data


class _s3_errors:  # noqa: N801  reads as the with-statement it is
    """Translates boto3's errors into ours."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

        missing = {("GetObject", "NoSuchKey"), ("HeadObject", "404")}  # an answer to HEAD has no body to say more in
        if isinstance(error, ClientError) and (error.operation_name, error.response["Error"].get("Code")) in missing:
            raise DocumentRejected("object_missing") from error
        if isinstance(error, ClientError | BotoCoreError | HTTPClientError):
            raise Unavailable("store_unavailable", f"The object store answered: {error}") from error
