"""The second step: every chunk gets a vector, each batch is a checkpoint."""

import asyncio
from itertools import islice

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import artifacts, cache, collections, jobs, usage
from footnote.chunking import embedding_text
from footnote.errors import DocumentRejected
from footnote.heartbeat import Heartbeat
from footnote.ingest.subject import subject, title
from footnote.jobs import Claim
from footnote.models import Collection, EmbeddingSpace, Version
from footnote.providers import Embedder, Embeddings
from footnote.runtime import Runtime
from footnote.usage import Spent


async def run(rt: Runtime, claim: Claim, heartbeat: Heartbeat) -> None:
    """Gives every chunk a vector; each batch is committed, so a crash repeats one batch at most.

    What was done in an earlier turn is passed over; should a vector of it be gone since, upsert sends the job back.
    """
    version, collection = await subject(rt, claim)
    heartbeat.done, heartbeat.total = claim.done, version.chunks
    heartbeat.counts.update({"embedded": 0, "tokens": 0} | claim.counts)
    embedder = collections.embedder_of(rt, collection)
    space = await _current_space(rt, collection, embedder)
    async with artifacts.of_version(rt, version) as paths:
        source = (each for page in artifacts.read(paths) for each in page.chunks)
        await asyncio.to_thread(lambda: next(islice(source, claim.done, claim.done), None))
        heartbeat.begin_turn()  # 100,000 chunks are passed over in some tenths of a second
        while batch := await asyncio.to_thread(lambda: list(islice(source, rt.settings.embedding_batch))):
            texts = {
                cache.text_hash(full): full
                for full in (embedding_text(title(version.filename), each) for each in batch)
            }
            for group in _groups(embedder, await _missing(rt, claim.tenant_id, space, texts)):
                answer = await embedder.embed([texts[key] for key in group])
                space = space or await _open_space(rt, embedder, answer)
                heartbeat.counts.update(embedded=len(group), tokens=answer.tokens)
                paid = embedder.address is not None
                spent = Spent(
                    "embedding",
                    embedder.provider,
                    embedder.model,
                    answer.tokens,
                    paid=paid,
                    estimated=answer.estimated,
                )
                await _keep(rt, version, space, group, answer, spent, heartbeat)
            heartbeat.done += len(batch)
            await heartbeat.give_way()
    await heartbeat.stop()
    async with rt.transaction() as session:
        if version.chunks:  # an archive has none of its own
            await _bind_space(session, collection, space)
        await jobs.finish_step(session, claim, {**heartbeat.counts, "chunks": heartbeat.done})


async def _open_space(rt: Runtime, embedder: Embedder, answer: Embeddings) -> EmbeddingSpace:
    """In a transaction of its own: making the index waits for writers, and holds them up. Spaces are nobody's."""
    async with rt.operator.transaction() as session:
        return await cache.obtain_space(session, embedder.provider, embedder.model, answer.vectors.shape[1])


async def _keep(
    rt: Runtime,
    version: Version,
    space: EmbeddingSpace,
    hashes: list[bytes],
    answer: Embeddings,
    spent: Spent,
    heartbeat: Heartbeat,
) -> None:
    """The checkpoint: these texts are never sent to the provider again, and they are paid for once."""
    if answer.vectors.shape[1] != space.dimensions:
        lengths = f"{answer.vectors.shape[1]} dimensions, not the collection's {space.dimensions}"
        raise DocumentRejected("embedding_model_changed", f"The provider sent vectors of {lengths}.")
    async with rt.transaction() as session:
        await cache.keep(session, version.tenant_id, version.document_id, space, hashes, answer.vectors)
        await heartbeat.checkpoint(session)
        await usage.record(session, rt.settings, version.tenant_id, version.key_id, spent)


async def _current_space(rt: Runtime, collection: Collection, embedder: Embedder) -> EmbeddingSpace | None:
    """The collection's space, or the one of its model that it will have for all that is known."""
    async with rt.transaction() as session:
        if collection.space_id is None:
            return await cache.find_space(session, embedder.provider, embedder.model)
        return await session.get_one(EmbeddingSpace, collection.space_id)


async def _missing(
    rt: Runtime, tenant_id: str, space: EmbeddingSpace | None, texts: dict[bytes, str]
) -> dict[bytes, str]:
    if space is None:
        return texts
    async with rt.transaction() as session:
        known = await cache.known(session, tenant_id, space.id, list(texts))
    return {key: full for key, full in texts.items() if key not in known}


def _groups(embedder: Embedder, texts: dict[bytes, str]) -> list[list[bytes]]:
    """The hashes in calls that the provider accepts, by its limits on texts and tokens."""
    groups: list[list[bytes]] = []
    room = 0
    for key, full in texts.items():
        tokens = embedder.count_tokens(full)
        if not groups or len(groups[-1]) >= embedder.max_texts or tokens > room:
            groups.append([])
            room = embedder.max_tokens
        groups[-1].append(key)
        room -= tokens
    return groups


async def _bind_space(session: AsyncSession, collection: Collection, space: EmbeddingSpace | None) -> None:
    """The first document decides the collection's space; one that came with another model is refused."""
    assert space is not None
    model = {"embedding_provider": space.provider, "embedding_model": space.model}
    chosen = func.coalesce(Collection.embedding_provider, space.provider) == space.provider
    chosen &= func.coalesce(Collection.embedding_model, space.model) == space.model
    await session.execute(
        update(Collection)
        .where(Collection.id == collection.id, Collection.space_id.is_(None), chosen)
        .values(space_id=space.id, **model)
    )
    bound = await session.scalar(select(Collection.space_id).where(Collection.id == collection.id))
    if bound != space.id:
        raise DocumentRejected("embedding_model_changed")
