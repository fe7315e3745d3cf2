"""Files that a client sends in parts, as many and as long as it likes, and in any order, within an hour.

Each part is a reserved object of its own. Completing joins some of them, in the order that the client names, into the
object of a new file. A part is swept when the time is over, or at once when it is joined or the upload cancelled.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.clock import from_now
from footnote.database.ids import new_id
from footnote.database.tenant_scope import scoped
from footnote.documents import files, objects, refused_uploads
from footnote.documents.presigned_uploads import PART_BYTES, SECONDS
from footnote.documents.uploads import Upload, receive, safe_filename
from footnote.errors import Invalid, NotFound, TooLarge
from footnote.models import DirectUpload, File
from footnote.runtime import Runtime
from footnote.tenancy import audit_log

KNOWN_SECONDS = 24 * 3600  # for which an upload is remembered, whatever its outcome
MOST_PARTS = 10_000


async def begin(session: AsyncSession, rt: Runtime, filename: str, size: int, fields: dict[str, Any]) -> DirectUpload:
    """`fields`: purpose, and seconds `expires_after` for the file. Raises Invalid, TooLarge."""
    if size > rt.settings.max_upload_bytes:
        raise TooLarge("too_large", f"The file is over the limit of {rt.settings.max_upload_bytes} bytes.")
    # Nothing is written under this key: the row lasts as long as its reservation.
    key = objects.new_key(rt.tenant)
    await objects.reserve(session, key)
    await objects.extend(session, key, KNOWN_SECONDS)
    upload = DirectUpload(id=new_id("upload"), tenant_id=rt.tenant, key=key, write="", filename=safe_filename(filename))
    upload.bytes, upload.part_bytes, upload.expires_at = size, PART_BYTES, from_now(SECONDS)
    upload.fields = {**fields, "status": "pending", "parts": {}}
    session.add(upload)
    await session.flush()
    await session.refresh(upload)
    await audit_log.note(session, "upload.created", upload.id)
    return upload


async def _pending(session: AsyncSession, upload_id: str, *, even_late: bool = False) -> DirectUpload:
    """The upload, locked, to which something may be added. Raises NotFound, Invalid."""
    by_parts = scoped(session, DirectUpload).where(DirectUpload.id == upload_id, DirectUpload.write == "")
    upload = await session.scalar(by_parts.with_for_update())
    if upload is None:
        raise NotFound("upload_not_found", f"There is no upload {upload_id!r}.")
    status = upload.fields["status"]
    if status == "pending" and not even_late and upload.expires_at <= datetime.now(UTC):
        status = "expired"
    if status != "pending":
        raise Invalid(f"upload_{status}", f"The upload is {status}.")
    return upload


def _key(rt: Runtime, part_id: str) -> str:
    return f"objects/{rt.tenant}/{part_id}"


async def add_part(rt: Runtime, upload_id: str, pieces: AsyncIterator[bytes]) -> str:
    """The id of a part, which is stored. Raises NotFound, Invalid, TooLarge."""
    async with rt.transaction() as session:
        await _pending(session, upload_id)
    part_id = new_id("part")
    key = _key(rt, part_id)
    async with objects.reserved(rt, key):
        stored = await receive(rt, key, part_id, _limited(pieces), any_type=True)
        async with rt.transaction() as session:
            upload = await _pending(session, upload_id)
            parts = {**upload.fields["parts"], part_id: stored.bytes}
            if len(parts) > MOST_PARTS or sum(parts.values()) > rt.settings.max_upload_bytes:
                raise TooLarge("too_large", "The upload has too many parts, or they are too large.")
            upload.fields = {**upload.fields, "parts": parts}
            await objects.extend(session, key, SECONDS + objects.RESERVED_SECONDS)
    return part_id


async def _limited(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    size = 0
    async for piece in pieces:
        size += len(piece)
        if size > PART_BYTES:
            raise TooLarge("too_large", f"A part is over the limit of {PART_BYTES} bytes.")
        yield piece


@asynccontextmanager
async def joined(rt: Runtime, upload_id: str, part_ids: Sequence[str], md5: str | None) -> AsyncIterator[Upload]:
    """The parts in this order, as one object, which is held while the block completes the upload.

    Raises NotFound, TooLarge, or Invalid(unknown_part, size_mismatch, checksum_mismatch); the parts stay then.
    """
    async with rt.transaction() as session:
        upload = await _pending(session, upload_id)
        for each in upload.fields["parts"]:  # however long it takes to join them
            await objects.extend(session, _key(rt, each), SECONDS)
    _check(upload, part_ids)
    digest = hashlib.md5(usedforsecurity=False)
    pieces = _joined(rt, [_key(rt, each) for each in part_ids], digest)
    key = objects.new_key(rt.tenant)
    async with objects.reserved(rt, key):
        async with refused_uploads.recorded(rt, upload.filename):
            stored = await receive(rt, key, upload.filename, pieces, any_type=True)
            if md5 is not None and md5.lower() != digest.hexdigest():
                raise Invalid("checksum_mismatch", "The MD5 of the parts is not the given one.")
        yield stored


def _check(upload: DirectUpload, part_ids: Sequence[str]) -> None:
    parts: dict[str, int] = upload.fields["parts"]
    if unknown := [each for each in part_ids if each not in parts]:
        raise Invalid("unknown_part", f"The upload has no part {unknown[0]!r}.")
    size = sum(parts[each] for each in part_ids)
    if size != upload.bytes:
        raise Invalid("size_mismatch", f"The parts have {size} bytes; {upload.bytes} were announced.")


async def _joined(rt: Runtime, keys: Sequence[str], digest: Any) -> AsyncIterator[bytes]:
    for key in keys:
        async with aclosing(rt.store.read(key)) as pieces:
            async for piece in pieces:
                await asyncio.to_thread(digest.update, piece)
                yield piece


async def complete(session: AsyncSession, rt: Runtime, upload_id: str, stored: Upload) -> tuple[DirectUpload, File]:
    """The upload and its file, in the transaction in which it ends.

    Raises NotFound, Invalid, Unavailable, Forbidden.
    """
    upload = await _pending(session, upload_id, even_late=True)
    fields = upload.fields
    about = {"purpose": fields["purpose"], "expires_after": fields.get("expires_after")}
    file = await files.create(session, rt, stored, **about)
    await _end(session, rt, upload, "completed")
    return upload, file


async def cancel(session: AsyncSession, rt: Runtime, upload_id: str) -> DirectUpload:
    """Raises NotFound, Invalid."""
    upload = await _pending(session, upload_id)
    await _end(session, rt, upload, "cancelled")
    await audit_log.note(session, "upload.cancelled", upload_id)
    return upload


async def _end(session: AsyncSession, rt: Runtime, upload: DirectUpload, status: str) -> None:
    await objects.give_up(session, [_key(rt, each) for each in upload.fields["parts"]])
    upload.fields = {**upload.fields, "status": status, "parts": {}}
    await session.flush()
