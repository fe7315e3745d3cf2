"""Uploads: a document, many, a text, a bare body, or past us to the store. Each is durable before the answer is 202."""

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from api.deps import Cursor, IdempotencyKey, Limit, Plain, Reader, RuntimeDep, Uploader, Writer
from api.disconnect import to_its_end, while_there
from api.errors import problem_body, request_id_of
from api.schemas.common import PageOf
from api.schemas.documents import AcceptedOut, BatchOut, EstimateOut
from api.schemas.uploads import DirectUploadOut, RefusedUploadOut
from api.uploads import forms
from api.uploads.forms import Rejected, UploadFields, Url
from footnote import documents
from footnote.documents import idempotency, presigned_uploads, refused_uploads
from footnote.documents.idempotency import Once
from footnote.documents.uploads import Upload, safe_filename
from footnote.errors import FootnoteError
from footnote.ingest.estimate import estimate
from footnote.outbound import guard
from footnote.runtime import Runtime
from footnote.settings import Settings

router = APIRouter(prefix="/v1", tags=["documents"])

MAX_TEXT_BYTES = 4 * 1024 * 1024
_FIELDS = {
    "collection": {"type": "string", "default": "default", "maxLength": 63},
    "metadata": {"type": "string", "contentMediaType": "application/json"},
    "external_id": {"type": "string", "maxLength": 512},
    "callback_url": {"type": "string", "format": "uri", "maxLength": 2048},
}
_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}


ONE_FILE = frozenset({"/v1/documents", "/v1/uploads/"})  # paths and folders; one too large is noted by its name
STREAMED = ONE_FILE | {"/v1/documents/batch"}


def body_limits(settings: Settings) -> dict[str, int]:
    """Bytes of a body, at most, by its path, or by its folder with a slash behind it."""
    form = settings.max_upload_bytes + forms.MULTIPART_OVERHEAD
    return {
        "/v1/documents/text": max(MAX_TEXT_BYTES, settings.max_json_bytes),
        "/v1/query/batch": max(MAX_TEXT_BYTES, settings.max_json_bytes),
        "/v1/documents/batch": form,
        "/v1/uploads/": form,
        "/v1/documents": form,
    }


def _form(file: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": ["file"], "properties": {"file": file, **fields}}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


_BODY = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": _FILE}}}}
_MANY = {name: schema for name, schema in _FIELDS.items() if name != "external_id"}


class TextIn(UploadFields):
    """A text as a document."""

    text: Annotated[str, Field(min_length=1)]
    filename: Annotated[str, Field(min_length=1, max_length=255, description="Its ending tells `.md` from `.txt`.")] = (
        "text.txt"
    )


class UrlIn(UploadFields):
    """An address to fetch a document from."""

    url: Annotated[Url, Field(min_length=1)]
    filename: Annotated[
        str | None, Field(min_length=1, max_length=255, description="Default: as the address says.")
    ] = None


class DirectIn(UploadFields):
    """A file that is to be sent to the object store directly."""

    filename: Annotated[str, Field(min_length=1, max_length=255)]
    size: Annotated[int, Field(ge=0, description="Bytes of the whole file, no more and no fewer.")]
    sha256: Annotated[
        str | None, Field(pattern="^[0-9a-fA-F]{64}$", description="Of the whole file, to be checked at the end.")
    ] = None


UploadId = Annotated[Plain, Path(max_length=64)]


@router.post(
    "/documents",
    status_code=202,
    operation_id="documents_create",
    response_model=AcceptedOut,
    responses={200: {"model": EstimateOut, "description": "What it would take (`dry_run`)."}},
    openapi_extra=_form(_FILE, _FIELDS),
)
async def upload(
    request: Request,
    response: Response,
    rt: RuntimeDep,
    caller: Uploader,
    key: IdempotencyKey = None,
    dry_run: Annotated[bool, Query(description="Only tell what it would take, and keep nothing.")] = False,
) -> Any:
    """Stores the file and queues its ingestion. Follow the job, or give a `callback_url`."""
    if dry_run:
        async with forms.one_file(request, rt, on_trial=True) as (stored, fields):
            found = await while_there(request, estimate(rt, stored, fields.collection))
        return Response(EstimateOut.model_validate(found).model_dump_json(), 200, media_type="application/json")
    async with _once(rt, key) as held, forms.one_file(request, rt) as taken:
        reply = await _accept(request, response, rt, *taken, held)
    return AcceptedOut.model_validate(reply)


@router.get("/documents/refused", operation_id="documents_refused")
async def list_refused(
    rt: RuntimeDep, caller: Reader, limit: Limit = 50, cursor: Cursor = None
) -> PageOf[RefusedUploadOut]:
    """Files of which there is no document, as they were refused at upload, with the reason; newest first.

    The newest 1,000, for 30 days. What failed after it was accepted is in `GET /v1/jobs?status=failed`.
    """
    async with rt.transaction() as session:
        found = await refused_uploads.list_refused(session, limit=limit + 1, before=cursor)
    more = found[limit - 1].id if len(found) > limit else None
    return PageOf(data=[RefusedUploadOut.model_validate(each) for each in found[:limit]], next_cursor=more)


@router.put("/uploads/{filename}", status_code=202, operation_id="documents_put", openapi_extra=_BODY)
async def put(
    filename: Annotated[str, Path(min_length=1, max_length=512)],
    request: Request,
    response: Response,
    rt: RuntimeDep,
    caller: Uploader,
    collection: Annotated[str, Query(max_length=63)] = "default",
    metadata: Annotated[str | None, Query(description="A JSON object.")] = None,
    external_id: Annotated[str | None, Query(max_length=512, description="Default: the name.")] = None,
    callback_url: Annotated[str | None, Query(max_length=2048)] = None,
    key: IdempotencyKey = None,
) -> AcceptedOut:
    """The file as the bare body, for scripts: `curl -T report.pdf .../v1/uploads/`. The same name: a new version."""
    given = {"collection": collection, "metadata": metadata, "callback_url": callback_url}
    fields = forms.checked(given | {"external_id": external_id or filename})
    async with _once(rt, key) as held, forms.bare(request, rt, filename, request.stream()) as stored:
        reply = await _accept(request, response, rt, stored, fields, held)
    return AcceptedOut.model_validate(reply)


@router.post("/uploads", status_code=201, operation_id="uploads_create")
async def begin_direct(body: DirectIn, rt: RuntimeDep, caller: Uploader) -> DirectUploadOut:
    """For large files: PUT each part to its address in the object store, in any order, then complete the upload."""
    fields = UploadFields(**body.model_dump(exclude={"filename", "size", "sha256"}))
    _check_callback(rt, fields)
    sha256 = bytes.fromhex(body.sha256) if body.sha256 else None
    async with refused_uploads.recorded(rt, safe_filename(body.filename)):
        begun = await presigned_uploads.begin(rt, body.filename, body.size, sha256, fields.model_dump())
    return DirectUploadOut.of(*begun)


@router.post("/uploads/{upload_id}/complete", status_code=202, operation_id="uploads_complete")
async def complete_direct(
    upload_id: UploadId, request: Request, response: Response, rt: RuntimeDep, caller: Uploader
) -> AcceptedOut:
    """Joins the parts and queues the document's ingestion. Sent again, it is answered the same for 24 hours."""
    asked = {"path": request.url.path}
    async with idempotency.once(rt, request.url.path) as held:
        reply = _replay(response, held, asked)
        if reply is None:
            async with presigned_uploads.arrived(rt, upload_id) as (stored, given):
                fields = UploadFields.model_validate(given)
                reply = await _accept_once(rt, stored, fields, held, asked)
    response.headers["Location"] = f"/v1/jobs/{reply['job']['id']}"
    return AcceptedOut.model_validate(reply)


@router.delete("/uploads/{upload_id}", status_code=204, operation_id="uploads_abort")
async def abort_direct(upload_id: UploadId, rt: RuntimeDep, caller: Writer) -> None:
    """Forgets an upload that is not completed, and what was sent of it."""
    await presigned_uploads.abort(rt, upload_id)


@router.post("/documents/text", status_code=202, operation_id="documents_create_text")
async def upload_text(
    body: TextIn, request: Request, response: Response, rt: RuntimeDep, caller: Uploader, key: IdempotencyKey = None
) -> AcceptedOut:
    """A text as a document; a long one is better uploaded as a file."""
    fields = UploadFields(**body.model_dump(exclude={"text", "filename"}))

    async def pieces() -> Any:
        yield body.text.encode("utf-8", "replace")

    async with _once(rt, key) as held, forms.bare(request, rt, body.filename, pieces()) as stored:
        reply = await _accept(request, response, rt, stored, fields, held)
    return AcceptedOut.model_validate(reply)


@router.post("/documents/url", status_code=202, operation_id="documents_create_url")
async def upload_url(
    body: UrlIn, request: Request, response: Response, rt: RuntimeDep, caller: Uploader, key: IdempotencyKey = None
) -> AcceptedOut:
    """An address, fetched by a worker. Known by itself unless an `external_id` is given; again: fetched anew."""
    guard.check_url(body.url, allow_private=rt.settings.fetch_allow_private)
    fields = UploadFields(**body.model_dump(exclude={"url", "filename"}))
    promised = Upload(safe_filename(body.filename or guard.filename_of(body.url)), "", b"", 0, None, body.url)
    async with _once(rt, key) as held:
        reply = await _accept(request, response, rt, promised, fields, held)
    return AcceptedOut.model_validate(reply)


@router.post(
    "/documents/batch",
    status_code=202,
    operation_id="documents_create_batch",
    openapi_extra=_form({"type": "array", "items": _FILE, "maxItems": forms.MOST_FILES}, _MANY),
)
async def upload_batch(
    request: Request, response: Response, rt: RuntimeDep, caller: Uploader, key: IdempotencyKey = None
) -> BatchOut:
    """Several parts named `file`: one result for each, in order, accepted or rejected on its own."""
    async with _once(rt, key) as held, forms.many_files(request, rt) as (taken, fields):
        asked = _asked(request, fields, *taken)
        reply = _replay(response, held, asked)
        if reply is None:
            _check_callback(rt, fields)
            reply = await to_its_end(_accept_each(request, rt, taken, fields, held, asked))
    return BatchOut.model_validate(reply)


async def _accept_each(
    request: Request,
    rt: Runtime,
    taken: list[Upload | Rejected],
    fields: UploadFields,
    held: Once | None,
    asked: dict[str, Any],
) -> dict[str, Any]:
    reply = {"data": [await _result(request, rt, each, fields) for each in taken]}
    if held:
        async with rt.transaction() as session:
            await idempotency.finish(session, held, asked, reply, None)
    return reply


async def _result(request: Request, rt: Runtime, taken: Upload | Rejected, fields: UploadFields) -> dict[str, Any]:
    if isinstance(taken, Rejected):
        return {"filename": taken.filename, "error": problem_body(request_id_of(request), taken.error)}
    try:
        async with refused_uploads.recorded(rt, taken.filename):
            reply = await _accept_once(rt, taken, fields)
        return {"filename": taken.filename} | reply
    except FootnoteError as error:
        return {"filename": taken.filename, "error": problem_body(request_id_of(request), error)}


def _once(rt: Runtime, key: str | None) -> AbstractAsyncContextManager[Once | None]:
    return idempotency.once(rt, key) if key else nullcontext()


def _asked(request: Request, fields: UploadFields, *taken: Upload | Rejected) -> dict[str, Any]:
    """What makes two requests the same one."""
    files = [(each.filename, _content(each)) for each in taken]
    return fields.model_dump() | {"path": request.url.path, "files": files}


def _content(taken: Upload | Rejected) -> str:
    return taken.error.code if isinstance(taken, Rejected) else taken.source_url or taken.sha256.hex()


def _replay(response: Response, held: Once | None, asked: dict[str, Any]) -> dict[str, Any] | None:
    reply = held.replay(asked) if held else None
    if reply is not None:
        response.headers["Idempotent-Replayed"] = "true"
    return reply


def _check_callback(rt: Runtime, fields: UploadFields) -> None:
    if fields.callback_url:
        guard.check_url(fields.callback_url, allow_private=rt.settings.webhook_allow_private)


async def _accept(
    request: Request,
    response: Response,
    rt: Runtime,
    stored: Upload,
    fields: UploadFields,
    held: Once | None,
) -> dict[str, Any]:
    asked = _asked(request, fields, stored)
    reply = _replay(response, held, asked)
    if reply is None:
        _check_callback(rt, fields)
        reply = await _accept_once(rt, stored, fields, held, asked)
    response.headers["Location"] = f"/v1/jobs/{reply['job']['id']}"
    return reply


async def _accept_once(
    rt: Runtime,
    stored: Upload,
    fields: UploadFields,
    held: Once | None = None,
    asked: Any = None,
) -> dict[str, Any]:
    """Uploads of the same thing wait for each other here, before they have a connection."""

    async def accept() -> dict[str, Any]:
        async with rt.transaction() as session:
            accepted = await documents.accept(session, rt, stored, **fields.model_dump())
            reply = AcceptedOut.of(accepted).model_dump(mode="json")
            if held:
                await idempotency.finish(session, held, asked, reply, accepted.details.document.id)
        return reply

    async with rt.alone("upload", fields.collection, fields.external_id or stored.source_url or stored.sha256.hex()):
        return await rt.again_while_busy(accept)
