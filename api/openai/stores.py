"""Vector stores, which are collections under other ids."""

from collections.abc import Sequence
from typing import Any

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.deps import Asker, IdempotencyKey, Reader, RuntimeDep, Uploader, Writer, again_while_busy
from api.disconnect import while_connected
from api.openai import ids
from api.openai.asking import mode_of
from api.openai.ids import VectorStoreId
from api.openai.once import once
from api.openai.paging import Windowed
from api.openai.routing import ask_again, new_router
from api.openai.schemas.common import ListOf
from api.openai.schemas.stores import (
    SearchPageOut,
    VectorStoreDeletedOut,
    VectorStoreHitOut,
    VectorStoreIn,
    VectorStoreOut,
    VectorStorePatchIn,
    VectorStoreSearchIn,
)
from footnote import collections, filters
from footnote.answering import gate, searching
from footnote.collections import catalog, expiry
from footnote.documents import deletion, file_batches, file_counts
from footnote.documents.file_batches import WantedFile
from footnote.models import Collection
from footnote.retrieval import Hit, Query, SearchResult
from footnote.tenancy import usage
from footnote.tenancy.keys import Principal
from footnote.tenancy.usage import UsageEntry

router = new_router()


async def _rendered(session: AsyncSession, found: Sequence[Collection]) -> dict[str, VectorStoreOut]:
    counts = await file_counts.of_collections(session, [each.id for each in found])
    return {each.id: VectorStoreOut.of(each, counts[each.id]) for each in found}


async def _one(session: AsyncSession, response: Response, collection_id: str) -> VectorStoreOut:
    found = await collections.find(session, collection_id)
    rendered = (await _rendered(session, [found]))[found.id]
    if rendered.status == "in_progress":
        ask_again(response)
    return rendered


@router.post("/vector_stores", response_model=VectorStoreOut)
async def create_vector_store(
    body: VectorStoreIn, request: Request, rt: RuntimeDep, caller: Uploader, key: IdempotencyKey = None
) -> Any:
    """Create a vector store, and attach files to it. A file that does not exist counts as failed."""
    given = {"title": "", **body.given(), "metadata": body.metadata}
    chunking = body.chunking_strategy.chunking() if body.chunking_strategy else None
    wanted = [WantedFile(ids.own_file_id(each, "file_ids"), None, chunking) for each in dict.fromkeys(body.file_ids)]

    async def create(session: AsyncSession) -> tuple[VectorStoreOut, None]:
        made = (await collections.create(session, rt, given)).collection
        if wanted:
            await file_batches.begin(session, made.id, wanted)
        return (await _rendered(session, [made]))[made.id], None

    return await once(rt, key, {"path": request.url.path, **body.model_dump()}, create)


@router.get("/vector_stores")
async def list_vector_stores(rt: RuntimeDep, caller: Reader, asked: Windowed) -> ListOf[VectorStoreOut]:
    """List vector stores: all collections of the tenant."""
    part = asked.inner(ids.collection_id)
    async with rt.transaction() as session:
        found = (await session.scalars(part.of(catalog.visible(session), Collection.id))).all()
        rendered = await _rendered(session, found)
    return part.page(found, lambda each: rendered[each.id])


@router.get("/vector_stores/{vector_store_id}")
async def get_vector_store(
    vector_store_id: VectorStoreId, response: Response, rt: RuntimeDep, caller: Reader
) -> VectorStoreOut:
    """Get a vector store, with the counts of its files."""
    async with rt.transaction() as session:
        return await _one(session, response, ids.collection_id(vector_store_id))


@router.post("/vector_stores/{vector_store_id}")
@again_while_busy
async def update_vector_store(
    vector_store_id: VectorStoreId, body: VectorStorePatchIn, response: Response, rt: RuntimeDep, caller: Writer
) -> VectorStoreOut:
    """Change the name, the expiry or the metadata of a vector store; the metadata are replaced."""
    collection_id = ids.collection_id(vector_store_id)
    async with rt.transaction() as session:
        await collections.change(session, rt, collection_id, body.given())
        return await _one(session, response, collection_id)


@router.delete("/vector_stores/{vector_store_id}")
async def delete_vector_store(vector_store_id: VectorStoreId, rt: RuntimeDep, caller: Writer) -> VectorStoreDeletedOut:
    """Delete a vector store with its documents. It is hidden immediately; files are kept."""
    collection_id = ids.collection_id(vector_store_id)
    async with rt.transaction() as session:
        await collections.find(session, collection_id)
    await deletion.begin_collection(rt, collection_id)
    return VectorStoreDeletedOut(id=vector_store_id)


# -- searched ------------------------------------------------------------------------------------------------


@router.post("/vector_stores/{vector_store_id}/search")
async def search_vector_store(
    vector_store_id: VectorStoreId, body: VectorStoreSearchIn, request: Request, rt: RuntimeDep, caller: Asker
) -> SearchPageOut:
    """Search a vector store. The score of a hit is from 0 to 1 and means the same for every question.

    Several queries are searched at once, and a chunk has the better of its scores.
    """
    collection_id = ids.collection_id(vector_store_id)
    async with rt.transaction() as session:
        expiry.check(await collections.find(session, collection_id))
    asked = [_query(each, collection_id, body, caller) for each in body.query]
    results = await while_connected(request, searching.in_parallel(rt, asked))
    spent = [entry for each in results for entry in each.spent]
    await usage.record_apart(rt, caller.key_id, *[UsageEntry("query")] * len(asked), *spent)
    best = [each for each in _merged(results) if each[1] >= body.ranking_options.score_threshold]
    shown = best[: body.max_num_results]
    names = await ids.file_ids(rt, {hit.document_id for hit, _ in shown})
    data = [VectorStoreHitOut.of(hit, score, names[hit.document_id]) for hit, score in shown]
    return SearchPageOut(search_query=body.query, data=data)


def _query(words: str, collection_id: str, body: VectorStoreSearchIn, caller: Principal) -> Query:
    return Query(
        words,
        collections=[collection_id],
        filter=filters.parse(body.filters, "body.filters") if body.filters else None,
        mode=mode_of(body.ranking_options),
        top_k=body.max_num_results,
        rerank=False if body.ranking_options.ranker == "none" else None,
        key_id=caller.key_id,
    )


def _merged(results: Sequence[SearchResult]) -> list[tuple[Hit, float]]:
    """Hits with their relevance, most relevant first; of those of one chunk the better one."""
    best: dict[tuple[str, int], tuple[Hit, float]] = {}
    for found in results:
        for hit, score in zip(found.hits, gate.relevance(found.hits), strict=True):
            if hit.key not in best or best[hit.key][1] < score:
                best[hit.key] = (hit, score)
    return sorted(best.values(), key=lambda each: -each[1])
