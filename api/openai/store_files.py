"""The files of a vector store, which are documents."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession

from api.deps import IdempotencyKey, Reader, RuntimeDep, Uploader, Writer, again_while_busy
from api.openai import ids
from api.openai.ids import FileId, VectorStoreId
from api.openai.once import once
from api.openai.paging import Windowed
from api.openai.routing import ask_again, new_router
from api.openai.schemas.common import ListOf
from api.openai.schemas.stores import AttachIn, AttributesIn, VectorStoreFileDeletedOut, VectorStoreFileOut
from footnote import collections, documents
from footnote.documents import deletion, files, reading
from footnote.documents.file_counts import FileStatus
from footnote.documents.reading import DocumentDetails
from footnote.runtime import Runtime

router = new_router()

OF_STORE = "/vector_stores/{vector_store_id}/files"
PAGES_AT_ONCE = 50
Filter = Annotated[FileStatus | None, Query()]


async def _found(session: AsyncSession, vector_store_id: str, file_id: str) -> DocumentDetails:
    return await files.in_collection(session, ids.collection_id(vector_store_id), ids.own_file_id(file_id))


async def _rendered(
    session: AsyncSession, details: DocumentDetails, response: Response | None = None
) -> VectorStoreFileOut:
    rendered = VectorStoreFileOut.of(details, await collections.find(session, details.document.collection_id))
    if response and rendered.status == "in_progress":
        ask_again(response)
    return rendered


@router.post(OF_STORE, response_model=VectorStoreFileOut)
async def attach_file(
    vector_store_id: VectorStoreId,
    body: AttachIn,
    request: Request,
    rt: RuntimeDep,
    caller: Uploader,
    key: IdempotencyKey = None,
) -> Any:
    """Attach a file: it becomes a document in the background.

    The same file again is the same document, with another attempt if the last one failed or was cancelled.
    """
    collection_id, file_id = ids.collection_id(vector_store_id), ids.own_file_id(body.file_id)
    chunking = body.chunking_strategy.chunking() if body.chunking_strategy else None
    about = {"attributes": body.attributes, "chunking": chunking}

    async def attach(session: AsyncSession) -> tuple[VectorStoreFileOut, str]:
        details = (await files.attach(session, rt, file_id, collection_id, **about)).details
        return await _rendered(session, details), details.document.id

    async with rt.exclusive("upload", collection_id, file_id):
        return await once(rt, key, {"path": request.url.path, **body.model_dump()}, attach)


@router.get(OF_STORE)
async def list_vector_store_files(
    vector_store_id: VectorStoreId, rt: RuntimeDep, caller: Reader, asked: Windowed, filter: Filter = None
) -> ListOf[VectorStoreFileOut]:
    """List the files of a vector store by their ids; with `filter`, those in that status."""
    part = asked.inner(ids.own_file_id)
    async with rt.transaction() as session:
        collection = await collections.find(session, ids.collection_id(vector_store_id))
        found = await files.list_in_collection(session, collection.id, status=filter, **part.between)
    return part.page(found, lambda each: VectorStoreFileOut.of(each, collection))


@router.get(OF_STORE + "/{file_id}")
async def get_vector_store_file(
    vector_store_id: VectorStoreId, file_id: FileId, response: Response, rt: RuntimeDep, caller: Reader
) -> VectorStoreFileOut:
    """Get a file of a vector store, with the status of its ingestion."""
    async with rt.transaction() as session:
        return await _rendered(session, await _found(session, vector_store_id, file_id), response)


@router.post(OF_STORE + "/{file_id}")
@again_while_busy
async def update_vector_store_file(
    vector_store_id: VectorStoreId,
    file_id: FileId,
    body: AttributesIn,
    response: Response,
    rt: RuntimeDep,
    caller: Writer,
) -> VectorStoreFileOut:
    """Replace the attributes of a file in this vector store. Filters use the new ones immediately."""
    async with rt.transaction() as session:
        document_id = (await _found(session, vector_store_id, file_id)).document.id
        await documents.replace_metadata(session, document_id, body.attributes)
        session.expire_all()
        return await _rendered(session, await documents.get(session, document_id), response)


@router.delete(OF_STORE + "/{file_id}")
async def detach_file(
    vector_store_id: VectorStoreId, file_id: FileId, rt: RuntimeDep, caller: Writer
) -> VectorStoreFileDeletedOut:
    """Remove a file from this vector store. The file is kept, and so are the documents of other stores."""
    async with rt.transaction() as session:
        document_id = (await _found(session, vector_store_id, file_id)).document.id
    await deletion.remove(rt, document_id)
    return VectorStoreFileDeletedOut(id=file_id)


@router.get(
    OF_STORE + "/{file_id}/content",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
)
async def get_vector_store_file_content(
    vector_store_id: VectorStoreId, file_id: FileId, rt: RuntimeDep, caller: Reader
) -> Any:
    """Get the text of a file by page, as used for citations. It is empty until the file is completed."""
    async with rt.transaction() as session:
        document = (await _found(session, vector_store_id, file_id)).document
    return StreamingResponse(_content(rt, document.active_version_id), media_type="application/json")


async def _content(rt: Runtime, version_id: str | None) -> AsyncIterator[bytes]:
    """Sent as it is read; it breaks off where a newer version replaces the one that is being read."""
    yield b'{"object":"vector_store.file_content.page","has_more":false,"next_page":null,"data":['
    last, separator = 0, b""
    while version_id:
        async with rt.transaction() as session:
            pages = await reading.pages_after(session, version_id, last, PAGES_AT_ONCE)
        for _, text in pages:
            yield separator + json.dumps({"type": "text", "text": text}, ensure_ascii=False).encode()
            separator = b","
        if len(pages) < PAGES_AT_ONCE:
            break
        last = pages[-1][0]
    yield b"]}"
