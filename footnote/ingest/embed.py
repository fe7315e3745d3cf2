"""The second step: every chunk gets a vector, each batch is a checkpoint."""

import asyncio
from collections.abc import Container, Sequence
from itertools import islice

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections, jobs
from footnote.embeddings import checkpoint, vector_lengths
from footnote.errors import DocumentRejected
from footnote.ingest import artifacts
from footnote.ingest.artifacts import OutputGone
from footnote.ingest.chunking import TextChunk, embedding_text
from footnote.ingest.inputs import title, version_and_collection
from footnote.jobs import Claim
from footnote.jobs.heartbeat import Heartbeat
from footnote.models import Collection, EmbeddingSpace, Version
from footnote.providers import Embedder, Embeddings
from footnote.runtime import Runtime
from footnote.tenancy import usage
from footnote.tenancy.usage import UsageEntry


async def run(rt: Runtime, claim: Claim, heartbeat: Heartbeat) -> None:
    """Gives every chunk a vector; each batch is committed, so a crash repeats one batch at most.

    Batches of earlier turns are skipped; if one of their vectors was removed since, upsert sends the job back here.
    """
    version, collection = await version_and_collection(rt, claim)
    async with rt.transaction() as session:
        collection, space = await current_space(session, rt, collection.id)
    bound = collection.space_id is not None
    embedder = collections.embedder_of(rt, collection)
    if space is not None and bound:
        embedder = vector_lengths.embedder_of(rt, space)
    heartbeat.done, heartbeat.total = claim.done, version.chunks
    heartbeat.counts.update({"embedded": 0, "tokens": 0} | claim.counts)
    async with artifacts.of_version(rt, version) as paths:
        source = (each for page in artifacts.read(paths) for each in page.chunks)
        await asyncio.to_thread(lambda: next(islice(source, claim.done, claim.done), None))
        heartbeat.restart_clock()  # 100,000 chunks are skipped in some tenths of a second
        while batch := await asyncio.to_thread(lambda: list(islice(source, rt.settings.embedding_batch))):
            texts = texts_by_hash(version, batch)
            space, known = await _known(rt, space, list(texts))
            missing = {key: full for key, full in texts.items() if key not in known}
            for group in groups(embedder, missing):
                full = [texts[key] for key in group]
                if space is not None and bound:
                    answer = await vector_lengths.in_space(rt, embedder, space, full, collection.name)
                else:
                    space, answer = await vector_lengths.first(rt, embedder, space, full)
                bound = True
                await _keep(rt, version, space, group, answer, embedder, heartbeat)
            heartbeat.done += len(batch)
            await heartbeat.yield_to_others()
    await heartbeat.stop()
    async with rt.transaction() as session:
        if version.chunks:  # an archive has no chunks of its own
            await bind_space(session, collection, space)
        await jobs.finish_step(session, claim, {**heartbeat.counts, "chunks": heartbeat.done})


async def _keep(
    rt: Runtime,
    version: Version,
    space: EmbeddingSpace,
    hashes: list[bytes],
    answer: Embeddings,
    embedder: Embedder,
    heartbeat: Heartbeat,
) -> None:
    """The checkpoint: these texts are not sent to the provider again, and they are paid for once."""
    heartbeat.counts.update(embedded=len(hashes), tokens=answer.tokens)
    async with rt.transaction() as session:
        found = answer.vectors
        await checkpoint.store(session, version.document_id, space, hashes, found, answer.split)
        await heartbeat.checkpoint(session)
        await usage.record(session, rt.settings, version.key_id, spent(embedder, answer))


def spent(embedder: Embedder, answer: Embeddings) -> UsageEntry:
    paid, estimated = embedder.address is not None, answer.estimated
    return UsageEntry("embedding", embedder.provider, embedder.model, answer.tokens, paid=paid, estimated=estimated)


def texts_by_hash(version: Version, chunks: Sequence[TextChunk]) -> dict[bytes, str]:
    """What is embedded for the chunks, each text once."""
    named = title(version.filename)
    return {checkpoint.text_hash(full): full for full in (embedding_text(named, each) for each in chunks)}


def hashes_of(version: Version, chunks: Sequence[TextChunk]) -> list[bytes]:
    named = title(version.filename)
    return [checkpoint.text_hash(embedding_text(named, each)) for each in chunks]


async def current_space(
    session: AsyncSession, rt: Runtime, collection_id: str
) -> tuple[Collection, EmbeddingSpace | None]:
    """The collection and its space, or the newest of its model, which it will probably have."""
    collection = await session.get_one(Collection, collection_id)
    await vector_lengths.unbind_if_empty(session, collection)
    if collection.space_id is None:
        return collection, await vector_lengths.likely(session, rt, collections.embedder_of(rt, collection))
    return collection, await session.get_one(EmbeddingSpace, collection.space_id)


async def _known(
    rt: Runtime, space: EmbeddingSpace | None, hashes: list[bytes]
) -> tuple[EmbeddingSpace | None, Container[bytes]]:
    """The space as it is now, and which of the texts have a vector in it."""
    if space is None:
        return None, ()
    async with rt.transaction() as session:
        known = await checkpoint.known(session, space.id, hashes)
        return await session.get_one(EmbeddingSpace, space.id), known


def groups(embedder: Embedder, texts: dict[bytes, str]) -> list[list[bytes]]:
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


async def bind_space(session: AsyncSession, collection: Collection, space: EmbeddingSpace | None) -> None:
    """The first document decides the collection's space; a document that was embedded with another model is refused.

    Raises OutputGone if another model was chosen meanwhile, or the model's vectors have another length now.
    """
    assert space is not None
    model = {"embedding_provider": space.provider, "embedding_model": space.model}
    chosen = func.coalesce(Collection.embedding_provider, space.provider) == space.provider
    chosen &= func.coalesce(Collection.embedding_model, space.model) == space.model
    await session.execute(
        update(Collection)
        .where(Collection.id == collection.id, Collection.space_id.is_(None), chosen)
        .values(space_id=space.id, **model)
    )
    await session.refresh(collection := await session.get_one(Collection, collection.id))
    if collection.space_id == space.id:
        return
    bound = collection.embedding_provider, collection.embedding_model
    if collection.space_id is not None and not collection.embedding_chosen and bound != (space.provider, space.model):
        raise DocumentRejected("embedding_model_changed")
    raise OutputGone("embed", "The collection uses another embedding space now.")
