"""Uploads whose bytes do not pass through the API: a client sends them to the store, in parts, at signed addresses.

The object is reserved as long as the upload may take. If it is refused, aborted or never completed, it is swept away,
and the row of the upload with it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, delete, func
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections
from footnote.collections import metadata
from footnote.database.clock import from_now
from footnote.database.ids import new_id
from footnote.database.rows import affected
from footnote.database.tenant_scope import scoped
from footnote.documents import objects, refused_uploads
from footnote.documents.uploads import Upload, inspect_stored, safe_filename
from footnote.errors import Conflict, DatabaseUnavailable, Invalid, NotFound, TooLarge, Unsupported
from footnote.models import DirectUpload
from footnote.runtime import Runtime
from footnote.storage import PartsStore
from footnote.tenancy import audit_log

SECONDS = 3600
PART_BYTES = 64 * 1024 * 1024
MOST_PARTS = 1000


@dataclass(frozen=True)
class Part:
    """`size` bytes of the file from `offset` on, to be PUT to `url`."""

    number: int
    offset: int
    size: int
    url: str


async def begin(
    rt: Runtime, filename: str, size: int, sha256: bytes | None, fields: dict[str, Any]
) -> tuple[DirectUpload, list[Part]]:
    """Begins an upload that may be completed within an hour; its `fields` are stored until then.

    Raises now what completing it would raise, and Conflict(direct_upload_unavailable).
    """
    parts = _parts_of(rt)
    if not size:
        raise Invalid("empty_file")
    if size > rt.settings.max_upload_bytes:
        raise TooLarge("too_large", f"The file is over the limit of {rt.settings.max_upload_bytes} bytes.")
    metadata.checked(fields.get("metadata") or {})
    async with objects.new(rt) as key:
        upload = DirectUpload(
            id=new_id("upl"),
            tenant_id=rt.tenant,
            key=key,
            write=await parts.begin(key),
            filename=safe_filename(filename),
            bytes=size,
            part_bytes=max(PART_BYTES, -(-size // MOST_PARTS)),
            sha256=sha256,
            fields=fields,
            expires_at=from_now(SECONDS),
        )
        sizes = _sizes(upload)
        urls = await parts.sign(key, upload.write, sizes, SECONDS)
        async with rt.transaction() as session:
            target = await collections.obtain(session, fields["collection"], rt.settings)
            collections.embedder_of(rt, target)
            await objects.extend(session, key, SECONDS + objects.RESERVED_SECONDS)
            session.add(upload)
            await session.flush()
            await session.refresh(upload)
            await audit_log.note(session, "upload.created", upload.id)
    offsets = range(0, size, upload.part_bytes)
    return upload, [Part(number, *each) for number, each in enumerate(zip(offsets, sizes, urls, strict=True), 1)]


@asynccontextmanager
async def arrived(rt: Runtime, upload_id: str) -> AsyncIterator[tuple[Upload, dict[str, Any]]]:
    """The complete upload and its fields. The object is held while the block accepts it.

    Safe to run again, whatever it raises: NotFound, Conflict(upload_incomplete), Unavailable; or Invalid, TooLarge and
    Unsupported, after which the upload is gone.
    """
    async with rt.transaction() as session:
        upload = await _get(session, upload_id)
    parts = _parts_of(rt)
    async with objects.held(rt, upload.key):
        try:
            await parts.join(upload.key, upload.write, _sizes(upload))
            async with refused_uploads.recorded(rt, upload.filename):
                found = await inspect_stored(rt, upload.key, upload.filename)
                if upload.sha256 not in (None, found.sha256):
                    raise Invalid("checksum_mismatch", "The SHA-256 of the uploaded file is not the declared one.")
        except (Invalid, TooLarge, Unsupported):
            with suppress(NotFound, DatabaseUnavailable):  # another request aborted it, or it expires by itself
                await abort(rt, upload_id)
            raise
        yield found, upload.fields


async def abort(rt: Runtime, upload_id: str) -> None:
    """Aborts the upload; its parts are deleted soon after. Raises NotFound, also if it is completed or expired."""
    async with rt.transaction() as session:
        upload = await _get(session, upload_id)
        # Locks the object first, as `adopt` does: then the row exists unless the object was adopted.
        await objects.withdraw(session, upload.key)
        if not await affected(session, delete(DirectUpload).where(DirectUpload.id == upload_id)):
            raise _unknown(upload_id)
        await audit_log.note(session, "upload.cancelled", upload_id)


async def _get(session: AsyncSession, upload_id: str) -> DirectUpload:
    # Those that are sent to us in parts (`part_uploads`) write nothing under their key.
    signed: Select[DirectUpload] = scoped(session, DirectUpload).where(DirectUpload.write != "")
    open_ones = signed.where(DirectUpload.expires_at > func.now())
    upload = await session.scalar(open_ones.where(DirectUpload.id == upload_id))
    if upload is None:
        raise _unknown(upload_id)
    return upload


def _unknown(upload_id: str) -> NotFound:
    return NotFound("upload_not_found", f"There is no upload {upload_id!r} that waits to be completed.")


def _sizes(upload: DirectUpload) -> list[int]:
    return [min(upload.part_bytes, upload.bytes - start) for start in range(0, upload.bytes, upload.part_bytes)]


def _parts_of(rt: Runtime) -> PartsStore:
    if rt.store.parts is None:
        raise Conflict(
            "direct_upload_unavailable",
            "Files are stored on the server's own disk: send them to POST /v1/documents or PUT /v1/uploads/{filename}.",
        )
    return rt.store.parts
