"""Documents are moved to another collection, and what holds before and after is checked."""

from typing import Any

from sqlalchemy import func, select

from footnote import collections, retrieval
from footnote.documents import moving
from footnote.models import Chunk, ChunkVector, Collection, Document, VocabularyWord
from footnote.operations import consistency
from footnote.runtime import Runtime
from footnote.tenancy import tallies
from tests.postings import posted


async def made(rt: Runtime, tenant: str, name: str, **given: Any) -> str:
    async with rt.for_tenant(tenant).transaction() as session:
        return (await collections.create(session, rt, {"name": name, **given})).collection.id


async def moved(rt: Runtime, tenant: str, document_id: str, name: str = "there") -> None:
    acting = rt.for_tenant(tenant)

    async def once() -> None:
        async with acting.transaction() as session:
            await moving.move(session, acting, document_id, name)

    await acting.again_while_busy(once)


async def found(rt: Runtime, tenant: str, words: str, name: str, mode: Any = "hybrid") -> set[str]:
    query = retrieval.Query(words, mode=mode, collections=(name,), top_k=20)
    return {hit.document_id for hit in (await retrieval.search(rt.for_tenant(tenant), query)).hits}


async def counted(rt: Runtime, tenant: str, name: str) -> tuple[int, int, int]:
    """Documents, those that can be searched, and chunks, as they are tallied."""
    async with rt.for_tenant(tenant).transaction() as session:
        collection = await collections.find(session, name)
        tally = (await tallies.of_collections(session, [collection.id])).get(collection.id, tallies.DocumentTally())
        return tally.documents, tally.searchable, tally.chunks


async def is_right(rt: Runtime) -> None:
    """Postings, counts and all else are what the documents say; each chunk is in its document's collection."""
    await posted(rt)
    assert [each async for each in consistency.audit(rt.operator, fix=False)] == []
    async with rt.sessions() as session:
        for table in (Chunk, ChunkVector):
            elsewhere = select(func.count()).select_from(table).join(Document, Document.id == table.document_id)
            assert await session.scalar(elsewhere.where(table.collection_id != Document.collection_id)) == 0


async def collection_of(rt: Runtime, document_id: str) -> str:
    """The name of the document's collection."""
    async with rt.sessions() as session:
        document = await session.get_one(Document, document_id)
        return (await session.get_one(Collection, document.collection_id)).name


async def words_of(rt: Runtime, tenant: str, name: str) -> set[str]:
    """Words in the vocabulary of a collection, by its keys."""
    async with rt.for_tenant(tenant).transaction() as session:
        collection = await collections.find(session, name)
        key = func.hashtextextended(
            VocabularyWord.word,
            func.hashtextextended("english", func.hashtextextended(collection.id, func.hashtextextended(tenant, 0))),
        )
        return set(await session.scalars(select(VocabularyWord.word).where(VocabularyWord.key == key)))
