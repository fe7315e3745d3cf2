"""Objects in S3, or in a store with the same API."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from footnote.errors import Conflict, DocumentRejected, Invalid, Unavailable
from footnote.storage.protocol import PIECE, UNFINISHED

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

PART = 8 * 1024 * 1024  # S3 wants at least 5 MiB for every part but the last
PARTS_IN_FLIGHT = 3
MOST_NAMED = 20  # missing parts in a message


class S3Store:
    """A bucket reached through boto3 in threads; the usual AWS_* variables configure it."""

    def __init__(self, bucket: str, prefix: str, public_endpoint: str | None = None) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.parts = S3Parts(self, public_endpoint)
        self._opened: S3Client | None = None

    @property
    def client(self) -> "S3Client":
        if self._opened is None:
            self._opened = _open()
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

    async def read(self, key: str) -> AsyncGenerator[bytes, None]:
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

    async def write(self, data: bytes, *, last: bool = False) -> None:  # noqa: ARG002  the buffer is put at commit
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
        # Waits for the parts, does not cancel them: one that arrives after the abort would stay, unseen and paid for.
        await asyncio.gather(*self._parts, return_exceptions=True)
        if self._upload_id is not None:
            with suppress(Unavailable):  # the first error says more; `delete` removes what is left
                await self._store.call("abort_multipart_upload", **self._where, UploadId=self._upload_id)


class S3Parts:
    """Multipart uploads by clients. An address does not work once its upload is completed or aborted."""

    def __init__(self, store: S3Store, public_endpoint: str | None) -> None:
        self._store = store
        self._public_endpoint = public_endpoint

    async def begin(self, key: str) -> str:
        created = await self._store.call("create_multipart_upload", **self._store.where(key))
        return str(created["UploadId"])

    async def sign(self, key: str, write: str, sizes: Sequence[int], seconds: int) -> list[str]:
        # In a thread: making a client takes long, and so may fetching new credentials.
        return await asyncio.to_thread(self._sign, self._store.where(key) | {"UploadId": write}, sizes, seconds)

    def _sign(self, upload: dict[str, Any], sizes: Sequence[int], seconds: int) -> list[str]:
        with _s3_errors():
            client = _open(self._public_endpoint) if self._public_endpoint else self._store.client
            return [
                client.generate_presigned_url(
                    "upload_part", upload | {"PartNumber": number, "ContentLength": size}, ExpiresIn=seconds
                )
                for number, size in enumerate(sizes, 1)
            ]

    async def join(self, key: str, write: str, sizes: Sequence[int]) -> None:
        if await self._store.exists(key):
            return
        upload = self._store.where(key) | {"UploadId": write}
        there = {part["PartNumber"]: part for part in (await self._store.call("list_parts", **upload)).get("Parts", ())}
        wanted = dict(enumerate(sizes, 1))
        if any(part["Size"] != wanted.get(number) for number, part in there.items()):
            raise Invalid("size_mismatch", "What was sent has not the size that was declared; none of it was stored.")
        if missing := sorted(wanted.keys() - there.keys()):
            some = ", ".join(map(str, missing[:MOST_NAMED])) + (", ..." if len(missing) > MOST_NAMED else "")
            raise Conflict("upload_incomplete", f"{len(missing)} of {len(sizes)} parts are not there yet: {some}.")
        parts = [{"PartNumber": number, "ETag": there[number]["ETag"]} for number in wanted]
        await self._store.call("complete_multipart_upload", **upload, MultipartUpload={"Parts": parts})


def _open(endpoint: str | None = None) -> "S3Client":
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        config=Config(
            signature_version="s3v4",
            connect_timeout=5,
            read_timeout=30,
            max_pool_connections=32,
            retries={"mode": "standard", "max_attempts": 4},
            # Servers other than those of AWS refuse the newer default checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


async def _to_its_end(request: Coroutine[Any, Any, Any]) -> None:
    """Waits for a request even when cancelled: an object that appears after its writer gave up would stay, unseen."""
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

        # An answer to HEAD has no body to say more in.
        missing = {("GetObject", "NoSuchKey"), ("HeadObject", "404"), ("ListParts", "NoSuchUpload")}
        if isinstance(error, ClientError) and (error.operation_name, error.response["Error"].get("Code")) in missing:
            raise DocumentRejected("object_missing") from error
        if isinstance(error, ClientError | BotoCoreError | HTTPClientError):
            raise Unavailable("store_unavailable", f"The object store answered: {error}") from error
