"""Documents: read them, follow their ingestion, change their metadata, delete them."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import ConfigDict, Field, model_validator

from api.deps import Reader, RuntimeDep, Writer, again_while_busy, principal_of
from api.downloads import download
from api.paging import ChunkCursor, DocumentCursor, Limit, page
from api.schemas.common import In, PageOf, Params
from api.schemas.documents import (
    ChunkOut,
    DeletionOut,
    DocumentOut,
    HighlightsOut,
    ListedDocumentsOut,
    OutlineOut,
    PageOut,
    ReportOut,
)
from api.schemas.fields import JsonObject, Plain
from api.schemas.filters import filter_of
from api.schemas.jobs import DocumentStatus, StatusOut, job_states
from footnote import documents, jobs
from footnote.database.driver import PLANNED_ONCE
from footnote.documents import deletion, moving, page_images
from footnote.errors import Forbidden, Invalid, NotFound, Unauthenticated, Unavailable
from footnote.runtime import Runtime
from footnote.tenancy import audit_log

router = APIRouter(prefix="/v1/documents", tags=["documents"])

POLL_SECONDS = 0.5
DocumentId = Annotated[Plain, Path(max_length=64)]
PICTURE_WIDTHS = [200, 400, 800, 1200, 1600, 2000, 2400]
PageNumber = Annotated[int, Path(ge=1, le=1_000_000)]
OfVersion = Annotated[
    int | None,
    Query(
        ge=1,
        le=2_147_483_647,
        description="The version that a citation names. 410 `version_replaced` if a newer one is searchable.",
    ),
]


class DocumentsIn(Params):
    limit: Limit = 50
    cursor: DocumentCursor = None
    offset: Annotated[
        int,
        Field(ge=0, le=10_000_000, description="How many documents to skip, for lists that load only visible rows."),
    ] = 0
    sort: Annotated[documents.Sort, Field(description="`name` ignores case.")] = "newest"
    total: Annotated[bool, Field(description="Also return the total number.")] = False
    collection: Annotated[Plain | None, Field(max_length=64)] = None
    status: Annotated[list[DocumentStatus], Field(max_length=20)] = []
    q: Annotated[
        Plain | None,
        Field(min_length=1, max_length=200, description="A part of the name or of the external id; case is ignored."),
    ] = None
    parent_id: Annotated[Plain | None, Field(max_length=64, description="Files found in this document.")] = None
    external_id: Annotated[Plain | None, Field(max_length=512)] = None
    sha256: Annotated[
        str | None, Field(pattern="^[0-9a-fA-F]{64}$", description="SHA-256 of the newest version's file.")
    ] = None
    filter: Annotated[
        str | None, Field(max_length=8192, description="A filter as JSON, like `filters` of a search.")
    ] = None

    def wanted(self) -> documents.DocumentFilter:
        """Raises Invalid for a filter that is none."""
        return documents.DocumentFilter(
            collection=self.collection,
            states=job_states(self.status),
            external_id=self.external_id,
            sha256=bytes.fromhex(self.sha256) if self.sha256 else None,
            parent_id=self.parent_id,
            q=self.q,
            filter=filter_of(self.filter),
        )


@router.get("")
async def list_documents(rt: RuntimeDep, caller: Reader, given: Annotated[DocumentsIn, Query()]) -> ListedDocumentsOut:
    """List documents, newest first unless you choose another order.

    `total` is looked up quickly for all documents and for a collection. Otherwise they are counted.
    """
    wanted = given.wanted()
    is_plain = wanted == documents.DocumentFilter() and given.sort == "newest"
    async with rt.transaction(**(PLANNED_ONCE if is_plain else {})) as session:
        found = await documents.list_documents(
            session, limit=given.limit + 1, before=given.cursor, sort=given.sort, offset=given.offset, **vars(wanted)
        )
        total = await documents.count_documents(session, wanted) if given.total else None
    shown = page(found, given.limit, DocumentOut.of, lambda each: each.document.id)
    return ListedDocumentsOut(data=shown.data, next_cursor=shown.next_cursor, total=total)


@router.get("/{document_id}")
async def get_document(document_id: DocumentId, rt: RuntimeDep, caller: Reader) -> DocumentOut:
    """Get a document with the state of its ingestion."""
    async with rt.transaction() as session:
        return DocumentOut.of(await documents.get(session, document_id))


class DocumentPatch(In):
    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    metadata: Annotated[
        JsonObject | None, Field(description="Merged into the existing metadata; null removes a key.")
    ] = None
    collection: Annotated[
        Plain | None,
        Field(min_length=1, max_length=64, description="Id or name of the new collection; a new name creates it."),
    ] = None

    @model_validator(mode="after")
    def _is_some(self) -> "DocumentPatch":
        if not self.model_fields_set:
            raise ValueError("needs `metadata` or `collection`")
        return self


@router.patch("/{document_id}")
@again_while_busy
async def update_document(document_id: DocumentId, body: DocumentPatch, rt: RuntimeDep, caller: Writer) -> DocumentOut:
    """Merge into the document's metadata (RFC 7396), or move it to another collection.

    Filters and hits use the new metadata immediately. A moved document is immediately found in its new collection, with
    the files found in it. It is ingested again only if that collection has another chunking, language or model; until
    then, keyword search finds it.
    """
    async with rt.transaction() as session:
        if body.collection is not None:
            await moving.move(session, rt, document_id, body.collection)
        if "metadata" in body.model_fields_set:
            await documents.patch_metadata(session, document_id, body.metadata)
        return DocumentOut.of(await documents.get(session, document_id))


@router.delete("/{document_id}")
async def delete_document(document_id: DocumentId, rt: RuntimeDep, caller: Writer) -> DeletionOut:
    """Delete a document and everything derived from it. The receipt has the counts.

    You can delete it at any time, also during ingestion. If you repeat the request, you get the same receipt.
    """
    return DeletionOut.model_validate(await deletion.remove(rt, document_id))


@router.get("/{document_id}/status")
async def get_document_status(document_id: DocumentId, rt: RuntimeDep, caller: Reader) -> StatusOut:
    """Get the state of the ingestion: the step, its progress, and what it waits for until when."""
    return await _status(rt, document_id)


async def _status(rt: Runtime, document_id: str) -> StatusOut:
    async with rt.transaction() as session:
        job = (await documents.get(session, document_id)).job
        return StatusOut.of(job, list(await jobs.steps(session, job.id)))


@router.get("/{document_id}/report")
async def get_document_report(document_id: DocumentId, rt: RuntimeDep, caller: Reader) -> ReportOut:
    """Get what was read of the newest version and what was not: empty pages, skipped files, the time of each step."""
    async with rt.transaction() as session:
        details = await documents.get(session, document_id)
        return ReportOut.of(details, list(await jobs.steps(session, details.job.id)))


@router.get("/{document_id}/events", response_class=EventSourceResponse)
async def stream_document_status(
    document_id: DocumentId,
    request: Request,
    rt: RuntimeDep,
    caller: Reader,
    first: Annotated[StatusOut, Depends(get_document_status)],
) -> AsyncIterator[ServerSentEvent]:
    """Stream the status as server-sent events, one named `status` for every change.

    The stream ends when the ingestion has ended or the key is no longer valid.
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
            continue  # it comes back, and the ingestion continues
        except (Forbidden, NotFound, Unauthenticated):
            return  # the document was deleted, or the key revoked
        if now != last:
            yield ServerSentEvent(event="status", data=now)
        last = now


@router.get(
    "/{document_id}/content",
    response_class=StreamingResponse,
    responses={200: {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def download_document(document_id: DocumentId, rt: RuntimeDep, caller: Reader) -> Any:
    """Download the newest version of the file as it was uploaded."""
    async with rt.transaction() as session:
        version = (await documents.get(session, document_id)).version
        if version.object_key is None:
            raise NotFound("content_not_found", "The document has not been fetched from its address yet.")
        await audit_log.note(session, "document.downloaded", document_id, version=version.number)
    return await download(rt, version.object_key, version.filename, version.media_type, version.bytes)


@router.get(
    "/{document_id}/pages/{number}.webp",
    response_class=Response,
    responses={200: {"content": {"image/webp": {}}}, 304: {"description": "The image that you have is current."}},
)
async def get_document_page_image(
    document_id: DocumentId,
    number: PageNumber,
    rt: RuntimeDep,
    caller: Reader,
    width: Annotated[
        int, Query(description="Width in pixels: 200 or a multiple of 400.", json_schema_extra={"enum": PICTURE_WIDTHS})
    ] = 1200,
    version: OfVersion = None,
    if_none_match: Annotated[str | None, Header(description="`ETag` of the image that you have.")] = None,
) -> Response:
    """Get a page of a PDF as a WebP image. It is rendered once and then stored.

    With `version` the image never changes, and a client may store it. Otherwise send its `ETag` to ask again.
    """
    if width not in PICTURE_WIDTHS:
        raise Invalid.in_fields([{"field": "query.width", "message": f"Must be one of {PICTURE_WIDTHS}."}])
    made = await page_images.picture(rt, document_id, number, width, version)
    headers = {
        "ETag": f'"{hashlib.sha256(made).hexdigest()[:32]}"',
        "Cache-Control": "private, max-age=31536000, immutable" if version else "private, no-cache",
    }
    if if_none_match == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(made, media_type="image/webp", headers=headers)


@router.get("/{document_id}/pages/{number}/highlights")
async def get_document_page_highlights(
    document_id: DocumentId,
    number: PageNumber,
    rt: RuntimeDep,
    caller: Reader,
    char_start: Annotated[
        int,
        Query(
            ge=0,
            le=100_000_000,
            description="Offset of the first character in the page's text, as in a chunk or a citation.",
        ),
    ],
    char_end: Annotated[int, Query(ge=1, le=100_000_000)],
    version: OfVersion = None,
) -> HighlightsOut:
    """Get the boxes that a range of a page's text has on the image of the page.

    There are no boxes if the text cannot be located.
    """
    found = await page_images.highlights(rt, document_id, number, char_start, char_end, version)
    return HighlightsOut.model_validate(found)


@router.get("/{document_id}/pages/{number}")
async def get_document_page(
    document_id: DocumentId,
    number: PageNumber,
    rt: RuntimeDep,
    caller: Reader,
    version: OfVersion = None,
    char_start: Annotated[
        int, Query(ge=0, le=100_000_000, description="Offset of the first character that you want.")
    ] = 0,
    char_end: Annotated[
        int | None,
        Query(ge=0, le=100_000_000, description="Offset after the last character. Default: the end of the page."),
    ] = None,
    around: Annotated[int, Query(ge=0, le=1_000_000, description="Characters to add on both sides.")] = 0,
) -> PageOut:
    """Get the stored text of a page, or a part of it. Citations are checked against this text.

    A document in a format without pages has one page, which may be long. Offsets count Unicode code points.
    """
    start = max(0, char_start - around)
    end = None if char_end is None else char_end + around
    async with rt.transaction() as session:
        found = await documents.page_text(session, document_id, number, version, start=start, end=end)
    outline = [OutlineOut(char_start=start, char_end=end, headings=path) for start, end, path in found.outline]
    return PageOut(page=number, **vars(found) | {"outline": outline})


@router.get("/{document_id}/chunks")
async def list_document_chunks(
    document_id: DocumentId, rt: RuntimeDep, caller: Reader, limit: Limit = 50, cursor: ChunkCursor = None
) -> PageOf[ChunkOut]:
    """List the searchable chunks in order, each with its position in a page's text."""
    async with rt.transaction() as session:
        found = await documents.chunks(session, document_id, limit=limit + 1, after=int(cursor) if cursor else -1)
    return page(found, limit, ChunkOut.of, lambda chunk: chunk.position)
