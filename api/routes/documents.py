"""Documents: look at, follow, change what is said of them, delete."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Field
from starlette.types import Receive, Scope, Send

from api.deps import Cursor, Limit, Plain, Reader, RuntimeDep, Writer, again_while_busy, principal_of
from api.schemas.common import In, PageOf
from api.schemas.documents import ChunkOut, DeletionOut, DocumentOut, HighlightsOut, PageOut, ReportOut
from api.schemas.filters import FilterQuery, filter_of
from api.schemas.jobs import DocumentStatus, StatusOut
from api.uploads.forms import JsonObject
from footnote import documents, jobs
from footnote.documents import deletion, page_images
from footnote.errors import Forbidden, Invalid, NotFound, Unauthenticated, Unavailable
from footnote.runtime import Runtime
from footnote.tenancy import audit_log

router = APIRouter(prefix="/v1/documents", tags=["documents"])

POLL_SECONDS = 0.5
DocumentId = Annotated[Plain, Path(max_length=64)]
PageNumber = Annotated[int, Path(ge=1, le=1_000_000)]
OfVersion = Annotated[
    int | None,
    Query(
        ge=1,
        le=2_147_483_647,
        description="As a citation has it. Only of this version: 410 `version_replaced` once a newer one is shown.",
    ),
]


@router.get("", operation_id="documents_list")
async def list_documents(
    rt: RuntimeDep,
    caller: Reader,
    limit: Limit = 50,
    cursor: Cursor = None,
    collection: Annotated[Plain | None, Query(max_length=64)] = None,
    status: Annotated[list[DocumentStatus] | None, Query()] = None,
    external_id: Annotated[Plain | None, Query(max_length=512)] = None,
    sha256: Annotated[
        str | None, Query(pattern="^[0-9a-fA-F]{64}$", description="Of the newest version's bytes.")
    ] = None,
    filter: FilterQuery = None,
) -> PageOf[DocumentOut]:
    """Documents, newest first."""
    states = ["succeeded" if each == "ready" else each for each in status or ()]
    async with rt.transaction() as session:
        found = await documents.list_documents(
            session,
            limit=limit + 1,
            before=cursor,
            collection=collection,
            states=states,
            external_id=external_id,
            sha256=bytes.fromhex(sha256) if sha256 else None,
            filter=filter_of(filter),
        )
    more = found[limit - 1].document.id if len(found) > limit else None
    return PageOf(data=[DocumentOut.of(each) for each in found[:limit]], next_cursor=more)


@router.get("/{document_id}", operation_id="documents_get")
async def get(document_id: DocumentId, rt: RuntimeDep, caller: Reader) -> DocumentOut:
    async with rt.transaction() as session:
        return DocumentOut.of(await documents.get(session, document_id))


class DocumentPatch(In):
    metadata: Annotated[JsonObject | None, Field(description="Merged into what is there; null takes a key away.")]


@router.patch("/{document_id}", operation_id="documents_update")
@again_while_busy
async def update(document_id: DocumentId, body: DocumentPatch, rt: RuntimeDep, caller: Writer) -> DocumentOut:
    """Merges into the metadata (RFC 7396). Filters and hits go by it at once; nothing is ingested again."""
    async with rt.transaction() as session:
        await documents.patch_metadata(session, document_id, body.metadata)
        return DocumentOut.of(await documents.get(session, document_id))


@router.delete("/{document_id}", operation_id="documents_delete")
async def delete(document_id: DocumentId, rt: RuntimeDep, caller: Writer) -> DeletionOut:
    """Removes the document and all that was made of it, at any moment; the receipt says what. Asked again: the same."""
    return DeletionOut.model_validate(await deletion.remove(rt, document_id))


@router.get("/{document_id}/status", operation_id="documents_status")
async def status(document_id: DocumentId, rt: RuntimeDep, caller: Reader) -> StatusOut:
    """Where ingestion stands: the step, its progress, what is waited for and until when."""
    return await _status(rt, document_id)


async def _status(rt: Runtime, document_id: str) -> StatusOut:
    async with rt.transaction() as session:
        job = (await documents.get(session, document_id)).job
        return StatusOut.of(job, list(await jobs.steps(session, job.id)))


@router.get("/{document_id}/report", operation_id="documents_report")
async def report(document_id: DocumentId, rt: RuntimeDep, caller: Reader) -> ReportOut:
    """What was read of the newest version and what was not: pages without text, files skipped, time per step."""
    async with rt.transaction() as session:
        details = await documents.get(session, document_id)
        return ReportOut.of(details, list(await jobs.steps(session, details.job.id)))


@router.get("/{document_id}/events", operation_id="documents_events", response_class=EventSourceResponse)
async def events(
    document_id: DocumentId,
    request: Request,
    rt: RuntimeDep,
    caller: Reader,
    first: Annotated[StatusOut, Depends(status)],
) -> AsyncIterator[ServerSentEvent]:
    """The status as server-sent events: one named `status` at every change, until ingestion or the key's life is over.

    The first one is a dependency, so that what fails before the stream begins is still a plain error response.
    """
    last = first
    yield ServerSentEvent(event="status", data=first)
    while last.status in jobs.UNFINISHED:
        await asyncio.sleep(POLL_SECONDS)
        try:
            now = await _status(rt, document_id)
            if now != last:
                await principal_of(rt.operator, request)
        except Unavailable:
            continue  # it comes back, and the document goes on
        except (Forbidden, NotFound, Unauthenticated):
            return  # the document was deleted, or the key revoked
        if now != last:
            yield ServerSentEvent(event="status", data=now)
        last = now


@router.get(
    "/{document_id}/content",
    operation_id="documents_content",
    response_class=StreamingResponse,
    responses={200: {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def content(document_id: DocumentId, rt: RuntimeDep, caller: Reader) -> Any:
    """The bytes of the newest version, as they were uploaded."""
    async with rt.transaction() as session:
        version = (await documents.get(session, document_id)).version
        if version.object_key is None:
            raise NotFound("content_not_found", "The document has not been fetched from its address yet.")
        await audit_log.note(session, "document.downloaded", document_id, version=version.number)
    pieces = rt.store.read(version.object_key)
    # The first piece is awaited here, so that a store that is away is still a plain error response.
    first = await anext(pieces, b"")
    return _Download(
        first,
        pieces,
        media_type=version.media_type,
        headers={
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(version.filename)}",
            "Content-Length": str(version.bytes),
        },
    )


class _Download(StreamingResponse):
    """An object from the store, which is closed however the download ends."""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None], **given: Any) -> None:
        self._rest = rest
        super().__init__(self._pieces(first), **given)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._rest):
            await super().__call__(scope, receive, send)

    async def _pieces(self, first: bytes) -> AsyncGenerator[bytes, None]:
        yield first
        async for piece in self._rest:
            yield piece


@router.get(
    "/{document_id}/pages/{number}.webp",
    operation_id="documents_page_picture",
    response_class=Response,
    responses={200: {"content": {"image/webp": {}}}},
)
async def page_picture(
    document_id: DocumentId,
    number: PageNumber,
    rt: RuntimeDep,
    caller: Reader,
    width: Annotated[int, Query(ge=400, le=2400, multiple_of=400, description="Pixels.")] = 1200,
    version: OfVersion = None,
) -> Response:
    """A page of a PDF as a picture. Made once, then kept."""
    made = await page_images.picture(rt, document_id, number, width, version)
    return Response(made, media_type="image/webp", headers={"Cache-Control": "private, max-age=300"})


@router.get("/{document_id}/pages/{number}/highlights", operation_id="documents_page_highlights")
async def page_highlights(
    document_id: DocumentId,
    number: PageNumber,
    rt: RuntimeDep,
    caller: Reader,
    char_start: Annotated[int, Query(ge=0, le=100_000_000, description="As a chunk or a citation has it.")],
    char_end: Annotated[int, Query(ge=1, le=100_000_000)],
    version: OfVersion = None,
) -> HighlightsOut:
    """Where characters of a PDF page's stored text stand on its picture; no boxes if they cannot be placed."""
    found = await page_images.highlights(rt, document_id, number, char_start, char_end, version)
    return HighlightsOut.model_validate(found)


@router.get("/{document_id}/pages/{number}", operation_id="documents_page")
async def page(
    document_id: DocumentId,
    number: PageNumber,
    rt: RuntimeDep,
    caller: Reader,
    version: OfVersion = None,
) -> PageOut:
    """The stored text of a page, which citations are checked against. A format without pages has one."""
    async with rt.transaction() as session:
        stored, pages = await documents.page_text(session, document_id, number, version)
    return PageOut(page=number, pages=pages, text=stored)


@router.get("/{document_id}/chunks", operation_id="documents_chunks")
async def chunks(
    document_id: DocumentId, rt: RuntimeDep, caller: Reader, limit: Limit = 50, cursor: Cursor = None
) -> PageOf[ChunkOut]:
    """The chunks of the version that queries see, in order, each with its anchor in a page's text."""
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise Invalid("invalid_cursor", "The cursor is not one that this list gave.")
    async with rt.transaction() as session:
        found = await documents.chunks(session, document_id, limit=limit + 1, after=int(cursor) if cursor else -1)
    more = str(found[limit - 1].position) if len(found) > limit else None
    return PageOf(data=[ChunkOut.of(each) for each in found[:limit]], next_cursor=more)
