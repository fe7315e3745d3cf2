"""Uploads: a file, many files, a text, a bare body, or parts that you send to the store. 202 means: durably stored."""

import json
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from api.body_limits import FILE, FILES, TEXT, takes
from api.deps import IdempotencyKey, Reader, RuntimeDep, Uploader, Writer
from api.disconnect import to_completion, while_connected
from api.errors import problem_body, request_id_of
from api.paging import Limit, RefusalCursor, page
from api.schemas.common import PageOf, ProblemOut
from api.schemas.documents import AcceptedOut, BatchItemOut, BatchOut, EstimateOut
from api.schemas.fields import Plain
from api.schemas.uploads import DirectIn, DirectUploadOut, RefusedUploadOut, TextIn, UploadFields, UrlIn
from api.uploads import forms
from api.uploads.accepting import accept_once
from api.uploads.forms import Rejected
from footnote.documents import idempotency, presigned_uploads, refused_uploads
from footnote.documents.idempotency import Once
from footnote.documents.uploads import Upload, safe_filename
from footnote.errors import FootnoteError
from footnote.ingest.estimate import estimate
from footnote.outbound import guard
from footnote.runtime import Runtime
from footnote.telemetry import log

router = APIRouter(prefix="/v1", tags=["documents"])

_ESTIMATES = "/v1/documents/estimate"
_DEPRECATED = {"Deprecation": "@1796083200", "Link": f'<{_ESTIMATES}>; rel="successor-version"'}
_FIELDS = {
    "collection": {"type": "string", "default": "default", "maxLength": 63},
    "metadata": {"type": "string", "contentMediaType": "application/json"},
    "external_id": {"type": "string", "maxLength": 512},
    "callback_url": {"type": "string", "format": "uri", "maxLength": 2048},
}
_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}


def _form(file: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": ["file"], "properties": {"file": file, **fields}}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


_BODY = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": _FILE}}}}
_MANY = {name: schema for name, schema in _FIELDS.items() if name != "external_id"}
UploadId = Annotated[Plain, Path(max_length=64)]


@router.post(
    "/documents",
    status_code=202,
    response_model=AcceptedOut,
    responses={200: {"model": EstimateOut, "description": "With `dry_run`: the estimate."}},
    openapi_extra=_form(_FILE, _FIELDS),
)
@takes(FILE)
async def upload_document(
    request: Request,
    rt: RuntimeDep,
    caller: Uploader,
    key: IdempotencyKey = None,
    dry_run: Annotated[bool, Query(deprecated=True, description=f"Use `POST {_ESTIMATES}` instead.")] = False,
) -> Response:
    """Upload a file. It is stored before the answer, and its ingestion is queued.

    Follow the job at `Location`, or give a `callback_url`.
    """
    if dry_run:
        log.warning("dry_run is deprecated", instead=f"POST {_ESTIMATES}")
        found = await estimate_document(request, rt, caller)
        return JSONResponse(found.model_dump(mode="json"), headers=_DEPRECATED)
    async with _once(rt, key) as held, forms.one_file(request, rt) as taken:
        return await _accept(request, rt, *taken, held)


@router.post("/documents/estimate", openapi_extra=_form(_FILE, _FIELDS))
@takes(FILE)
async def estimate_document(request: Request, rt: RuntimeDep, caller: Uploader) -> EstimateOut:
    """Estimate the ingestion of a file: pages, chunks, tokens and cost. The file is not stored."""
    async with forms.one_file(request, rt, on_trial=True) as (stored, fields):
        found = await while_connected(request, estimate(rt, stored, fields.collection))
    return EstimateOut.model_validate(found)


@router.get("/documents/refused")
async def list_refused_uploads(
    rt: RuntimeDep, caller: Reader, limit: Limit = 50, cursor: RefusalCursor = None
) -> PageOf[RefusedUploadOut]:
    """List the files that were refused at upload, with the reason, newest first.

    The list has the newest 1,000 of the last 30 days. A file that failed after it was accepted is in
    `GET /v1/jobs?status=failed`.
    """
    async with rt.transaction() as session:
        found = await refused_uploads.list_refused(session, limit=limit + 1, before=cursor)
    return page(found, limit, RefusedUploadOut.model_validate)


@router.put("/uploads/{filename}", status_code=202, response_model=AcceptedOut, openapi_extra=_BODY)
@takes(FILE)
async def upload_raw_file(
    filename: Annotated[str, Path(min_length=1, max_length=512)],
    request: Request,
    rt: RuntimeDep,
    caller: Uploader,
    collection: Annotated[str, Query(max_length=63)] = "default",
    metadata: Annotated[str | None, Query(description="Metadata as a JSON object.")] = None,
    external_id: Annotated[
        str | None, Query(max_length=512, description="Your own id of the document. Default: the name.")
    ] = None,
    callback_url: Annotated[str | None, Query(max_length=2048)] = None,
    key: IdempotencyKey = None,
) -> Response:
    """Upload a file as the bare body, for scripts: `curl -T report.pdf .../v1/uploads/`.

    The name is the `external_id` unless you give one: the same name again is a new version of the document.
    """
    given = {"collection": collection, "metadata": metadata, "callback_url": callback_url}
    fields = forms.checked(given | {"external_id": external_id or filename})
    async with (
        _once(rt, key) as held,
        forms.bare(request, rt, filename, request.stream()) as stored,
    ):
        return await _accept(request, rt, stored, fields, held)


@router.post("/uploads", status_code=201)
async def create_direct_upload(body: DirectIn, rt: RuntimeDep, caller: Uploader) -> DirectUploadOut:
    """Begin a direct upload of a large file.

    PUT each part to its address in the object store, in any order, then complete the upload.
    """
    fields = UploadFields(**body.model_dump(exclude={"filename", "size", "sha256"}))
    _check_callback(rt, fields)
    sha256 = bytes.fromhex(body.sha256) if body.sha256 else None
    async with refused_uploads.recorded(rt, safe_filename(body.filename)):
        begun = await presigned_uploads.begin(rt, body.filename, body.size, sha256, fields.model_dump())
    return DirectUploadOut.of(*begun)


@router.post("/uploads/{upload_id}/complete", status_code=202, response_model=AcceptedOut)
async def complete_direct_upload(upload_id: UploadId, request: Request, rt: RuntimeDep, caller: Uploader) -> Response:
    """Join the parts and queue the document's ingestion. A repeated request gets the same reply for 24 hours."""
    asked = {"path": request.url.path}
    async with idempotency.once(rt, request.url.path) as held:
        reply = held.replay(asked)
        if reply is not None:
            return _sent(reply, replayed=True)
        async with presigned_uploads.arrived(rt, upload_id) as (stored, given):
            fields = UploadFields.model_validate(given)
            return _sent(await accept_once(rt, stored, fields, held, asked))


@router.delete("/uploads/{upload_id}", status_code=204)
async def abort_direct_upload(upload_id: UploadId, rt: RuntimeDep, caller: Writer) -> None:
    """Abort a direct upload that is not completed. The parts that you sent are deleted."""
    await presigned_uploads.abort(rt, upload_id)


@router.post("/documents/text", status_code=202, response_model=AcceptedOut)
@takes(TEXT)
async def upload_text(
    body: TextIn, request: Request, rt: RuntimeDep, caller: Uploader, key: IdempotencyKey = None
) -> Response:
    """Add a text as a document. Upload a long text as a file instead."""
    fields = UploadFields(**body.model_dump(exclude={"text", "filename"}))

    async def pieces() -> Any:
        yield body.text.encode("utf-8", "replace")

    async with (
        _once(rt, key) as held,
        forms.bare(request, rt, body.filename, pieces()) as stored,
    ):
        return await _accept(request, rt, stored, fields, held)


@router.post("/documents/url", status_code=202, response_model=AcceptedOut)
async def upload_from_url(
    body: UrlIn, request: Request, rt: RuntimeDep, caller: Uploader, key: IdempotencyKey = None
) -> Response:
    """Add a document from an address. A worker fetches it.

    The address is the document's identity unless you give an `external_id`: the same address again is fetched again.
    """
    guard.check_url(body.url, allow_private=rt.settings.fetch_allow_private)
    fields = UploadFields(**body.model_dump(exclude={"url", "filename"}))
    promised = Upload(safe_filename(body.filename or guard.filename_of(body.url)), "", b"", 0, None, body.url)
    async with _once(rt, key) as held:
        return await _accept(request, rt, promised, fields, held)


@router.post(
    "/documents/batch",
    status_code=202,
    response_model=BatchOut,
    openapi_extra=_form({"type": "array", "items": _FILE, "maxItems": forms.MOST_FILES}, _MANY),
)
@takes(FILES)
async def upload_documents(request: Request, rt: RuntimeDep, caller: Uploader, key: IdempotencyKey = None) -> Response:
    """Upload up to 100 files, each as a part named `file`.

    Each file has its own result, in the order of the parts: accepted or refused.
    """
    async with (
        _once(rt, key) as held,
        forms.many_files(request, rt) as (taken, fields),
    ):
        asked = _asked(request, fields, *taken)
        reply = held.replay(asked) if held else None
        if reply is not None:
            return _sent(reply, replayed=True)
        _check_callback(rt, fields)
        return _sent(await to_completion(_accept_each(request, rt, taken, fields, held, asked)))


async def _accept_each(
    request: Request,
    rt: Runtime,
    taken: list[Upload | Rejected],
    fields: UploadFields,
    held: Once | None,
    asked: dict[str, Any],
) -> dict[str, Any]:
    """A `BatchOut` as JSON."""
    reply = {"data": [await _result(request, rt, each, fields) for each in taken]}
    if held:
        async with rt.transaction() as session:
            await idempotency.finish(session, held, asked, reply, None)
    return reply


async def _result(request: Request, rt: Runtime, taken: Upload | Rejected, fields: UploadFields) -> dict[str, Any]:
    """A `BatchItemOut` as JSON."""
    item = dict.fromkeys(BatchItemOut.model_fields) | {"filename": taken.filename}
    try:
        if isinstance(taken, Rejected):
            raise taken.error
        async with refused_uploads.recorded(rt, taken.filename):
            return item | await accept_once(rt, taken, fields)
    except FootnoteError as error:
        problem = ProblemOut.model_validate(problem_body(request_id_of(request), error))
        return item | {"error": problem.model_dump()}


def _once(rt: Runtime, key: str | None) -> AbstractAsyncContextManager[Once | None]:
    return idempotency.once(rt, key) if key else nullcontext()


def _asked(request: Request, fields: UploadFields, *taken: Upload | Rejected) -> dict[str, Any]:
    """Two requests are the same if this is equal."""
    files = [(each.filename, _content(each)) for each in taken]
    return fields.model_dump() | {"path": request.url.path, "files": files}


def _content(taken: Upload | Rejected) -> str:
    return taken.error.code if isinstance(taken, Rejected) else taken.source_url or taken.sha256.hex()


class _Reply(JSONResponse):
    """With sorted fields: the database does not preserve their order, and a replay must equal the first reply."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _sent(reply: dict[str, Any], *, replayed: bool = False) -> Response:
    """The reply as it is stored under its Idempotency-Key; with the job's address if it is about one document."""
    headers = {"Location": f"/v1/jobs/{reply['job']['id']}"} if "job" in reply else {}
    return _Reply(reply, 202, headers | ({"Idempotent-Replayed": "true"} if replayed else {}))


def _check_callback(rt: Runtime, fields: UploadFields) -> None:
    if fields.callback_url:
        guard.check_url(fields.callback_url, allow_private=rt.settings.webhook_allow_private)


async def _accept(request: Request, rt: Runtime, stored: Upload, fields: UploadFields, held: Once | None) -> Response:
    asked = _asked(request, fields, stored)
    reply = held.replay(asked) if held else None
    if reply is not None:
        return _sent(reply, replayed=True)
    _check_callback(rt, fields)
    return _sent(await accept_once(rt, stored, fields, held, asked))
