"""Files that are attached to a vector store together."""

from typing import Any

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.body_limits import TEXT, takes
from api.deps import IdempotencyKey, Reader, RuntimeDep, Uploader, Writer, again_while_busy
from api.openai import ids
from api.openai.ids import BatchId, VectorStoreId
from api.openai.once import once
from api.openai.paging import Window, Windowed
from api.openai.routing import ask_again, new_router
from api.openai.schemas.common import ListOf
from api.openai.schemas.stores import FileBatchIn, FileBatchOut, VectorStoreFileOut
from api.openai.store_files import Filter
from footnote import collections
from footnote.documents import file_batches, file_counts
from footnote.documents.file_batches import WantedFile
from footnote.models import FileBatch

router = new_router()

OF_STORE = "/vector_stores/{vector_store_id}/file_batches"


async def _rendered(session: AsyncSession, batch: FileBatch, response: Response) -> FileBatchOut:
    rendered = FileBatchOut.of(batch, await file_counts.of_batch(session, batch.id))
    if rendered.status == "in_progress":
        ask_again(response)
    return rendered


@router.post(OF_STORE, response_model=FileBatchOut)
@takes(TEXT)
async def create_file_batch(
    vector_store_id: VectorStoreId,
    body: FileBatchIn,
    request: Request,
    rt: RuntimeDep,
    caller: Uploader,
    key: IdempotencyKey = None,
) -> Any:
    """Attach up to 2000 files in the background. A file that does not exist counts as failed."""
    collection_id = ids.collection_id(vector_store_id)
    param = "file_ids" if body.files is None else "files"
    wanted = [
        WantedFile(
            ids.own_file_id(each.file_id, param),
            each.attributes,
            each.chunking_strategy.chunking() if each.chunking_strategy else None,
        )
        for each in body.each()
    ]

    async def begin(session: AsyncSession) -> tuple[FileBatchOut, None]:
        batch = await file_batches.begin(session, collection_id, wanted)
        return FileBatchOut.of(batch, await file_counts.of_batch(session, batch.id)), None

    return await once(rt, key, {"path": request.url.path, **body.model_dump()}, begin)


@router.get(OF_STORE + "/{batch_id}")
async def get_file_batch(
    vector_store_id: VectorStoreId, batch_id: BatchId, response: Response, rt: RuntimeDep, caller: Reader
) -> FileBatchOut:
    """Get a batch, with the counts of its files."""
    async with rt.transaction() as session:
        batch = await file_batches.get(session, ids.collection_id(vector_store_id), batch_id)
        return await _rendered(session, batch, response)


@router.post(OF_STORE + "/{batch_id}/cancel")
@again_while_busy
async def cancel_file_batch(
    vector_store_id: VectorStoreId, batch_id: BatchId, response: Response, rt: RuntimeDep, caller: Writer
) -> FileBatchOut:
    """Cancel the unfinished files of a batch. Completed files are kept."""
    async with rt.transaction() as session:
        batch = await file_batches.cancel(session, ids.collection_id(vector_store_id), batch_id)
        return await _rendered(session, batch, response)


@router.get(OF_STORE + "/{batch_id}/files")
async def list_file_batch_files(
    vector_store_id: VectorStoreId,
    batch_id: BatchId,
    rt: RuntimeDep,
    caller: Reader,
    asked: Windowed,
    filter: Filter = None,
) -> ListOf[VectorStoreFileOut]:
    """List the files of a batch by their ids, also those that could not be attached."""
    part = asked.inner(ids.own_file_id)
    async with rt.transaction() as session:
        collection = await collections.find(session, ids.collection_id(vector_store_id))
        batch = await file_batches.get(session, collection.id, batch_id)
        found = await file_batches.list_items(session, batch_id, filter)
    rendered = {
        item.file_id: VectorStoreFileOut.of(details, collection)
        if details
        else VectorStoreFileOut.of_item(item, batch, collection)
        for item, details in found
    }
    return _page(part, rendered)


def _page(part: Window, rendered: dict[str, VectorStoreFileOut]) -> ListOf[VectorStoreFileOut]:
    low, high = part.between["low"], part.between["high"]
    within = [own for own in rendered if (low is None or own > low) and (high is None or own < high)]
    ordered = sorted(within, reverse=part.descends)
    return part.page(ordered[: part.limit + 1], lambda own: rendered[own])
