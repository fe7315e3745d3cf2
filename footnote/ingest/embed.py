"""The second step: every chunk gets a vector, each batch is a checkpoint."""

import asyncio
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections, jobs
from footnote.embeddings import checkpoint, vector_lengths
from footnote.embeddings.batches import groups
from footnote.embeddings.checkpoint import NewVectors
from footnote.errors import DatabaseUnavailable, DocumentRejected, FootnoteError
from footnote.ingest import artifacts
from footnote.ingest.artifacts import ArtifactsMissing
from footnote.ingest.chunking import TextChunk, embedding_text
from footnote.ingest.in_flight import InFlight, to_its_end
from footnote.ingest.inputs import title, version_and_collection
from footnote.jobs import Claim
from footnote.jobs.heartbeat import Heartbeat
from footnote.models import Collection, EmbeddingSpace, Version
from footnote.providers import Embedder, Embeddings
from footnote.runtime import Runtime
from footnote.telemetry import log
from footnote.telemetry.metrics import chunks_embedded_total
from footnote.tenancy import usage

# Batches of a document in flight. Of a model in this process, one computes while another is read or stored, and a large
# document may use a second core.
AT_ONCE = 2
# Of a model elsewhere, whose answers take their time; all documents share its limits.
CALLS = 4


async def run(rt: Runtime, claim: Claim, heartbeat: Heartbeat) -> None:
    """Gives every chunk a vector; each batch is committed, so a crash repeats those in flight at most.

    Batches of earlier turns are skipped; if one of their vectors was removed since, upsert sends the job back here.
    """
    version, collection = await version_and_collection(rt, claim)
    async with rt.transaction() as session:
        collection, space = await current_space(session, rt, collection.id)
    bound = collection.space_id is not None
    embedder = collections.embedder_of(rt, collection)
    if space is not None and bound:
        embedder = vector_lengths.embedder_of(rt, space)
    embedding = _Embedding(rt, version, collection, heartbeat, embedder, space, bound)
    second = await _second(embedding)
    heartbeat.done, heartbeat.total = claim.done, version.chunks
    heartbeat.counts.update({"embedded": 0, "tokens": 0} | claim.counts)
    most = AT_ONCE if embedder.address is None else CALLS
    async with artifacts.of_version(rt, version) as paths, InFlight(heartbeat, most) as in_flight:
        source = (each for page in artifacts.read(paths) for each in page.chunks)
        await asyncio.to_thread(lambda: next(islice(source, claim.done, claim.done), None))
        heartbeat.restart_clock()  # 100,000 chunks are skipped in some tenths of a second
        while batch := await asyncio.to_thread(lambda: list(islice(source, rt.settings.embedding_batch))):
            await in_flight.start(embedding.of(batch, second), len(batch))
            if not embedding.bound or heartbeat.time_is_up:
                await in_flight.finish()
                await heartbeat.yield_to_others()
        await in_flight.finish()
    await heartbeat.stop()
    async with rt.transaction() as session:
        if version.chunks:  # an archive has no chunks of its own
            await bind_space(session, collection, embedding.space)
        await jobs.finish_step(session, claim, {**heartbeat.counts, "chunks": heartbeat.done})


@dataclass
class _Embedding:
    """What the batches of a document share while they are embedded."""

    rt: Runtime
    version: Version
    collection: Collection
    heartbeat: Heartbeat
    embedder: Embedder
    space: EmbeddingSpace | None
    bound: bool  # vectors of another length than the space's are refused
    counted: bool = True  # as embedded chunks; tokens are counted anyway
    _asked: set[bytes] = field(init=False, default_factory=set)  # texts in flight
    # One transaction at a time: a large document takes one connection, and the counts that a checkpoint stores are of
    # vectors that are stored.
    _transaction: asyncio.Lock = field(init=False, default_factory=asyncio.Lock)

    async def of(self, batch: Sequence[TextChunk], second: "_Second | None" = None) -> None:
        """Stores a vector for each chunk of the batch, unless it has one or an earlier batch in flight makes it.

        And a `second` one, if the model is being swapped.
        """
        await self._vectors(batch)
        if second is not None:
            await second.of(batch)

    async def _vectors(self, batch: Sequence[TextChunk]) -> None:
        texts = texts_by_hash(self.version, batch)
        mine = texts.keys() - self._asked
        self._asked |= mine
        try:
            async with self._transaction:
                self.space, known = await _known(self.rt, self.space, list(texts))
            missing = {key: each for key, each in texts.items() if key in mine and key not in known}
            for group in groups(self.embedder, missing):
                answer = await self._answer([texts[key] for key in group])
                await to_its_end(self._store(group, answer))
        finally:
            self._asked -= mine

    async def _answer(self, texts: Sequence[str]) -> Embeddings:
        if self.space is not None and self.bound:
            return await vector_lengths.in_space(self.rt, self.embedder, self.space, texts, self.collection.name)
        self.space, answer = await vector_lengths.first(self.rt, self.embedder, self.space, texts)
        self.bound = True
        return answer

    async def _store(self, hashes: list[bytes], answer: Embeddings) -> None:
        """The checkpoint: these texts are not sent to the provider again, and they are paid for once."""
        embedder, heartbeat, space = self.embedder, self.heartbeat, self.space
        assert space is not None
        async with self._transaction:
            heartbeat.counts.update(embedded=len(hashes) if self.counted else 0, tokens=answer.tokens)
            chunks_embedded_total.inc(len(hashes))
            async with self.rt.transaction() as session:
                made = NewVectors(hashes, answer.vectors, answer.split)
                await checkpoint.store(session, self.version.document_id, space, made)
                await heartbeat.checkpoint(session)
                await usage.record(session, self.rt.settings, self.version.key_id, usage.of_embedding(embedder, answer))


@dataclass
class _Second:
    """The second vectors of a document's chunks. A model that is not searched yet fails no document."""

    embedding: _Embedding
    failed: bool = False  # then the task of the swap makes them

    async def of(self, batch: Sequence[TextChunk]) -> None:
        if self.failed:
            return
        try:
            await self.embedding.of(batch)
        except DatabaseUnavailable:
            raise
        except FootnoteError as error:
            self.failed = True
            log.warning("second vectors not made", error=error.message)


async def _second(first: _Embedding) -> _Second | None:
    """None if the collection's model is not being swapped."""
    rt, collection = first.rt, first.collection
    if collection.standby_space_id is None:
        return None
    async with rt.transaction() as session:
        space = await session.get_one(EmbeddingSpace, collection.standby_space_id)
    try:
        embedder = vector_lengths.embedder_of(rt, space)
    except FootnoteError:  # it cannot be asked any more: the task of the swap says so
        return None
    return _Second(replace(first, embedder=embedder, space=space, bound=True, counted=False))


def texts_by_hash(version: Version, chunks: Sequence[TextChunk]) -> dict[bytes, str]:
    """The distinct texts that are embedded for the chunks."""
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


async def bind_space(session: AsyncSession, collection: Collection, space: EmbeddingSpace | None) -> None:
    """The first document decides the collection's space; a document that was embedded with another model is refused.

    Raises ArtifactsMissing if another model was chosen meanwhile, or the model's vectors have another length now.
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
    raise ArtifactsMissing("embed", "The collection uses another embedding space now.")
