"""Files: bytes that belong to no vector store yet. A document that came natively is a file, too."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from api.body_limits import FILE, takes
from api.deps import IdempotencyKey, Reader, RuntimeDep, Uploader, Writer
from api.downloads import download
from api.openai import ids
from api.openai.forms import one_part
from api.openai.ids import FileId
from api.openai.once import once
from api.openai.paging import Window, window
from api.openai.routing import new_router
from api.openai.schemas.common import ListOf
from api.openai.schemas.files import FileDeletedOut, FileFields, FileFieldsIn, FileOut
from api.schemas.fields import Plain
from api.uploads.forms import check_length
from footnote.documents import deletion, files, objects, refused_uploads
from footnote.documents.uploads import Upload, receive, safe_filename
from footnote.errors import NotFound
from footnote.tenancy import audit_log

router = new_router()

MOST_FILES = 10_000
_FIELDS: TypeAdapter[FileFieldsIn] = TypeAdapter(FileFields)
_FORM = {
    "type": "object",
    "required": ["file", "purpose"],
    "properties": {
        "purpose": {"type": "string"},
        "expires_after[anchor]": {"const": "created_at"},
        "expires_after[seconds]": {"type": "integer"},
        "file": {"type": "string", "contentMediaType": "application/octet-stream"},
    },
}
_BODY = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}}


@router.post("/files", response_model=FileOut, openapi_extra=_BODY)
@takes(FILE)
async def create_file(request: Request, rt: RuntimeDep, caller: Uploader, key: IdempotencyKey = None) -> Any:
    """Upload a file. It is `processed` immediately; if it cannot be read, that is reported when it is attached."""
    async with objects.new(rt) as object_key:

        async def store(filename: str, pieces: AsyncIterator[bytes]) -> Upload:
            async with refused_uploads.recorded(rt, safe_filename(filename)):
                check_length(request, rt)
                return await receive(rt, object_key, filename, pieces, any_type=True)

        given, stored = await one_part(request, "file", store)
        fields = _fields(given)
        expires_after = fields.expires_after.seconds if fields.expires_after else None

        async def create(session: AsyncSession) -> tuple[FileOut, str]:
            made = await files.create(session, rt, stored, purpose=fields.purpose, expires_after=expires_after)
            return FileOut.of(made), made.id

        asked = {"path": request.url.path, "file": [stored.filename, stored.sha256.hex()], **fields.model_dump()}
        async with refused_uploads.recorded(rt, stored.filename):
            return await once(rt, key, asked, create)


def _fields(given: dict[str, str]) -> FileFieldsIn:
    try:
        return _FIELDS.validate_python(given)
    except ValidationError as error:
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in error.errors()]) from error


@router.get("/files")
async def list_files(
    rt: RuntimeDep,
    caller: Reader,
    asked: Annotated[Window, window(MOST_FILES, MOST_FILES)],
    purpose: Annotated[Plain | None, Query(max_length=64)] = None,
) -> ListOf[FileOut]:
    """List files, and documents uploaded by the native API, by their ids."""
    part = asked.inner(ids.own_file_id)
    async with rt.transaction() as session:
        found = await files.page_of(session, purpose=purpose, **part.between)
    return part.page(found, FileOut.of)


@router.get("/files/{file_id}")
async def get_file(file_id: FileId, rt: RuntimeDep, caller: Reader) -> FileOut:
    """Get a file."""
    async with rt.transaction() as session:
        return FileOut.of(await files.find(session, ids.own_file_id(file_id)))


@router.delete("/files/{file_id}")
async def delete_file(file_id: FileId, rt: RuntimeDep, caller: Writer) -> FileDeletedOut:
    """Delete a file, with the documents that were made from it in all vector stores."""
    own = ids.own_file_id(file_id)
    async with rt.transaction() as session:
        is_native = await files.is_native(session, own)
    if is_native:
        await deletion.remove(rt, files.document_id_of(own))
    else:
        await deletion.remove_file(rt, own)
    return FileDeletedOut(id=file_id)


@router.get(
    "/files/{file_id}/content",
    response_class=StreamingResponse,
    responses={200: {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def download_file(file_id: FileId, rt: RuntimeDep, caller: Reader) -> Any:
    """Download a file as it was uploaded."""
    own = ids.own_file_id(file_id)
    async with rt.transaction() as session:
        found = await files.find(session, own)
        if found.object_key is None:
            raise NotFound("content_not_found", "The file has not been fetched from its address yet.")
        await audit_log.note(session, "file.downloaded", own)
    media_type = found.media_type or "application/octet-stream"
    return await download(rt, found.object_key, found.filename, media_type, found.bytes)
