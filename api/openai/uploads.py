"""Uploads of files in parts, which are joined in the order that the client names."""

import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from api.body_limits import PART, takes
from api.deps import RuntimeDep, Uploader, Writer, again_while_busy
from api.openai.forms import one_part
from api.openai.ids import UploadId
from api.openai.once import done, replayed
from api.openai.routing import new_router
from api.openai.schemas.files import CompletionIn, PartedUploadIn, PartedUploadOut, UploadPartOut
from footnote.documents import idempotency, part_uploads, refused_uploads
from footnote.documents.uploads import safe_filename

router = new_router()

_FORM = {
    "type": "object",
    "required": ["data"],
    "properties": {"data": {"type": "string", "contentMediaType": "application/octet-stream"}},
}
_BODY = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}}


@router.post("/uploads")
@again_while_busy
async def create_upload(body: PartedUploadIn, rt: RuntimeDep, caller: Uploader) -> PartedUploadOut:
    """Begin an upload, which may be completed within an hour."""
    fields = {"purpose": body.purpose, "expires_after": body.expires_after.seconds if body.expires_after else None}
    async with refused_uploads.recorded(rt, safe_filename(body.filename)), rt.transaction() as session:
        return PartedUploadOut.of(await part_uploads.begin(session, rt, body.filename, body.bytes, fields))


@router.post("/uploads/{upload_id}/parts", openapi_extra=_BODY)
@takes(PART)
async def add_upload_part(upload_id: UploadId, request: Request, rt: RuntimeDep, caller: Uploader) -> UploadPartOut:
    """Add a part of up to 64 MiB. Parts may be sent in any order, several at a time."""

    async def store(_filename: str, pieces: AsyncIterator[bytes]) -> str:
        return await part_uploads.add_part(rt, upload_id, pieces)

    _, part_id = await one_part(request, "data", store)
    return UploadPartOut(id=part_id, created_at=int(time.time()), upload_id=upload_id)


@router.post("/uploads/{upload_id}/complete", response_model=PartedUploadOut)
async def complete_upload(
    upload_id: UploadId, body: CompletionIn, request: Request, rt: RuntimeDep, caller: Uploader
) -> Any:
    """Join the parts into a file. A repeated request gets the same reply for 24 hours."""
    asked = {"path": request.url.path, **body.model_dump()}

    async with idempotency.once(rt, request.url.path) as held:
        if earlier := replayed(held, asked):
            return earlier
        async with part_uploads.joined(rt, upload_id, body.part_ids, body.md5) as stored:

            async def complete(session: AsyncSession) -> tuple[PartedUploadOut, str]:
                upload, file = await part_uploads.complete(session, rt, upload_id, stored)
                return PartedUploadOut.of(upload, file), file.id

            return await done(rt, held, asked, complete)


@router.post("/uploads/{upload_id}/cancel")
@again_while_busy
async def cancel_upload(upload_id: UploadId, rt: RuntimeDep, caller: Writer) -> PartedUploadOut:
    """Cancel an upload. Its parts are deleted."""
    async with rt.transaction() as session:
        return PartedUploadOut.of(await part_uploads.cancel(session, rt, upload_id))
