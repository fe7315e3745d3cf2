"""All steps of a small document in one run: three transactions, and neither a message nor an artifact between them.

A document is small if it fits into one batch of embeddings: so a crash repeats as much as it does where the steps are
apart. The cursor moves and is fenced as it is there. What cannot continue at once (a pause, a provider that refuses, a
conflict) is stored where the steps are apart, which then continue from there.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from structlog.contextvars import bind_contextvars

from footnote import collections, jobs
from footnote.collections import revisions
from footnote.database.driver import PLANNED_ONCE, driver
from footnote.database.leases import LeaseLost
from footnote.documents import objects
from footnote.embeddings import checkpoint, second_vectors, vector_lengths
from footnote.embeddings.batches import groups
from footnote.embeddings.checkpoint import NewVectors
from footnote.errors import DocumentRejected, FootnoteError
from footnote.formats import ParsedPage
from footnote.formats.sandbox.parent import read_pages
from footnote.ingest import artifacts, chunk, embed, upsert
from footnote.ingest.artifacts import ArtifactsMissing, Extracted
from footnote.ingest.chunking import TextChunk
from footnote.ingest.inputs import Subject
from footnote.ingest.joined_calls import JoinedCalls
from footnote.ingest.report import Tally
from footnote.jobs import one_run
from footnote.jobs.heartbeat import Heartbeat, Yielded
from footnote.jobs.one_run import LockedJob
from footnote.models import EmbeddingSpace
from footnote.providers import Embedder, Embeddings
from footnote.storage import writing
from footnote.telemetry import log
from footnote.telemetry.metrics import chunks_embedded_total
from footnote.tenancy import usage

Pages = list[tuple[ParsedPage, list[TextChunk]]]


async def run(heartbeat: Heartbeat, subject: Subject, calls: JoinedCalls) -> bool:
    """Whether a message must bring the next step; False: the job has ended."""
    rt, version = heartbeat.rt, subject.version
    cut = chunk.cutter(rt, version.chunking, subject.collection)
    async with (
        rt.store.local_copy(version.object_key or "") as path,
        aclosing(read_pages(path, version.media_type, rt.settings.parse_limits, owner=version.tenant_id)) as source,
    ):
        pages, small = await _read(heartbeat, cut, source)
        if not small:
            await chunk.go_on(rt, heartbeat.claim, heartbeat, _again(pages, source))
            return heartbeat.claim.alone
    found = _Found(heartbeat, subject, pages)
    if not found.chunks:
        raise DocumentRejected("no_text")
    if not await found.go_on():
        await chunk.go_on(rt, heartbeat.claim, heartbeat, _again(pages, source))
        return heartbeat.claim.alone
    await _to_the_end(found, calls)
    return False


async def _read(
    heartbeat: Heartbeat, cut: Callable[[ParsedPage], list[TextChunk]], source: AsyncIterator[ParsedPage]
) -> tuple[Pages, bool]:
    """The first pages, and whether they are all and small enough: for one part, one batch and one turn."""
    room, pages = min(heartbeat.rt.settings.embedding_batch, upsert.ROWS), Pages()
    while room >= 0 and len(pages) < chunk.PART_PAGES and not heartbeat.time_is_up:
        page = await anext(source, None)
        if page is None:
            return pages, not heartbeat.time_is_up
        chunks = await asyncio.to_thread(cut, page)
        pages.append((page, chunks))
        room -= len(chunks)
        heartbeat.done = len(pages)
    return pages, False


async def _again(pages: Pages, rest: AsyncIterator[ParsedPage]) -> AsyncIterator[ParsedPage]:
    for page, _ in pages:
        yield page
    async for page in rest:
        yield page


async def _to_the_end(found: "_Found", calls: JoinedCalls) -> None:
    """The last two steps. What they have if they cannot end is stored for a later turn."""
    try:
        await found.embed(calls)
        await found.heartbeat.stop()
        if await found.show():
            found.moved_to(jobs.STEPS[-1])
            return
    except LeaseLost:
        raise
    except Exception:
        try:
            await found.store()
        except (FootnoteError, OSError) as error:  # then the document is read again
            log.warning("output not stored", error=f"{type(error).__name__}: {error}"[:300])
        raise
    await found.store()
    async with found.heartbeat.rt.transaction() as session:
        await jobs.release(session, found.heartbeat.claim)
    raise Yielded


@dataclass
class _Paid:
    """An answer of the provider, and the hashes of its texts."""

    hashes: Sequence[bytes]
    answer: Embeddings
    embedder: Embedder

    @property
    def made(self) -> NewVectors:
        return NewVectors(self.hashes, self.answer.vectors, self.answer.split)


@dataclass
class _Found:
    """What the run has in memory: of the version, its pages, chunks and texts; of these, the vectors."""

    heartbeat: Heartbeat
    subject: Subject
    read: Pages
    pages: list[Extracted] = field(init=False)
    chunks: list[TextChunk] = field(init=False)
    texts: dict[bytes, str] = field(init=False)
    tally: Tally = field(default_factory=Tally)
    space: EmbeddingSpace | None = None
    bound: bool = False  # whether the collection has the space already
    known: dict[bytes, bool] = field(default_factory=dict)
    paid: list[_Paid] = field(default_factory=list)

    def __post_init__(self) -> None:
        for page, chunks in self.read:
            self.tally.add(page, chunks)
        self.pages = [artifacts.extracted(page, chunks) for page, chunks in self.read]
        self.chunks = [each for page in self.pages for each in page.chunks]
        self.texts = embed.texts_by_hash(self.subject.version, self.chunks)

    # -- chunk is over ---------------------------------------------------------------------------------------

    async def go_on(self) -> bool:
        """Moves the cursor to `embed` and looks up which texts have a vector. False in a pause."""
        heartbeat, rt = self.heartbeat, self.heartbeat.rt
        # If a crash of Postgres takes this back, the job is at a step that it did; nothing else goes by it.
        async with rt.transaction(**PLANNED_ONCE, synchronous_commit="off") as session:
            await self._look_up(session)  # first: it may lock the collection
            lease = rt.settings.lease_seconds
            claim = await one_run.go_on(session, heartbeat.claim, lease, self.tally.counts())
        if claim is None:
            return False
        heartbeat.unstored = heartbeat.claim.step
        self.moved_to(claim.step)
        heartbeat.done, heartbeat.total = 0, len(self.chunks)
        return True

    def moved_to(self, step: str) -> None:
        """Records that a step is over; later log lines belong to the next one."""
        log.info("step done")
        self.heartbeat.over("done")
        self.heartbeat.claim = replace(self.heartbeat.claim, step=step)
        self.heartbeat.begin_span()
        bind_contextvars(step=step)

    async def _look_up(self, session: AsyncSession) -> None:
        collection = self.subject.collection
        values = collection.id, collection.tenant_id, list(self.texts)
        row = await (await driver(session)).fetchrow(_SPACE_AND_KNOWN, *values)
        if row is not None and row["filled"]:
            self.known = dict.fromkeys(row["whole"], False) | dict.fromkeys(row["split"], True)
            self.space, self.bound = EmbeddingSpace(**{name: row[name] for name in _SPACE}), True
            return
        # Nothing of the collection is embedded yet, or any more: its space may change.
        current, self.space = await embed.current_space(session, self.heartbeat.rt, collection.id)
        self.bound = current.space_id is not None
        collection.embedding_provider, collection.embedding_model = current.embedding_provider, current.embedding_model
        if self.space is not None:
            self.known = await checkpoint.known(session, self.space.id, list(self.texts))

    # -- embed -----------------------------------------------------------------------------------------------

    async def embed(self, calls: JoinedCalls) -> None:
        """Requests the vectors that are not stored yet."""
        rt, collection, bound = self.heartbeat.rt, self.subject.collection, self.bound
        embedder = collections.embedder_of(rt, collection)
        if self.space is not None and bound:
            embedder = vector_lengths.embedder_of(rt, self.space)
        missing = {key: full for key, full in self.texts.items() if key not in self.known}
        for group in groups(embedder, missing):
            full = [missing[key] for key in group]
            if self.space is not None and bound:
                joined = calls.of(embedder)
                answer = await vector_lengths.in_space(rt, joined, self.space, full, collection.name)
            else:
                self.space, answer = await vector_lengths.first(rt, embedder, self.space, full)
            bound = True
            self.paid.append(_Paid(group, answer, embedder))
            self.heartbeat.counts.update(embedded=len(group), tokens=answer.tokens)
            chunks_embedded_total.inc(len(group))

    async def _count(self, session: AsyncSession) -> None:
        spent = (usage.of_embedding(each.embedder, each.answer) for each in self.paid)
        await usage.record(session, self.heartbeat.rt.settings, self.subject.version.key_id, *spent)

    # -- upsert ----------------------------------------------------------------------------------------------

    async def show(self) -> bool:
        """Stores everything and makes the version visible, in one transaction; False in a pause.

        Raises ArtifactsMissing if the collection changed meanwhile, or a vector that was known is gone.
        """
        rt, claim, collection = self.heartbeat.rt, self.heartbeat.claim, self.subject.collection
        async with rt.transaction(**PLANNED_ONCE) as session:  # the look-ups of references are planned like this, too
            if not self.bound:
                await embed.bind_space(session, collection, self.space)
            held = await self._held(session)
            if held.paused:
                return False
            if self.space is None or held.space_id != self.space.id:
                raise ArtifactsMissing("embed", "The collection uses another embedding space now.")
            collection.space_id = held.space_id
            await self._insert(session, held)
            await (await driver(session)).execute(_SHOW, claim.document_id, *self._version_values())
            await one_run.complete(session, claim, *self._counts())
            await revisions.changed(session, [collection.id])
            await self._count(session)
        return True

    async def _held(self, session: AsyncSession) -> LockedJob:
        """Raises LeaseLost; ArtifactsMissing if the collection's documents are to be cut in another way now."""
        version, collection = self.subject.version, self.subject.collection
        as_cut = version.chunking or {}, version.language or ""
        held = await one_run.hold(session, self.heartbeat.claim, collection.id, *as_cut)
        if not held.as_cut:
            raise ArtifactsMissing("chunk", "The collection's documents are cut in another way now.")
        return held

    async def _insert(self, session: AsyncSession, held: LockedJob) -> None:
        """The rows of the version, with their vectors. What older ones leave, if there are any, is removed."""
        claim, version, collection = self.heartbeat.claim, self.subject.version, self.subject.collection
        await upsert.insert_pages(session, claim, self.pages)
        made = [each.made for each in self.paid]
        await upsert.insert_chunks(session, claim, version, collection, self.chunks, 0, self.tally.language, made)
        if held.standby_space_id is not None:  # a swap of the model began meanwhile
            await second_vectors.add(session, [version.id], held.standby_space_id)
        just_made = [key for each in made for key in each.hashes]
        if not self.subject.new:
            await objects.give_up_versions(session, claim.document_id, but=version.id)
            await upsert.remove_older(session, claim, just_made)
        elif self.known and not await checkpoint.hold(session, claim.document_id, version.id, just_made):
            raise upsert.embeddings_missing()

    def _version_values(self) -> tuple[Any, ...]:
        version = self.subject.version
        counted = len(self.pages), len(self.chunks)
        return version.id, *counted, json.dumps(version.chunking), version.language

    def _counts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Of the steps `embed` and `upsert`."""
        split = {key for key, split in self.known.items() if split}
        split |= {each.hashes[place] for each in self.paid for place in each.answer.split}
        hashes = embed.hashes_of(self.subject.version, self.chunks) if split else []
        chunks = len(self.chunks)
        stored = {"pages": len(self.pages), "chunks": chunks, "split_chunks": sum(key in split for key in hashes)}
        return {"embedded": 0, "tokens": 0, **self.heartbeat.counts, "chunks": chunks}, stored

    # -- for a later turn ------------------------------------------------------------------------------------

    async def store(self) -> None:
        """Stores the results so far, as separate steps store them. Raises ArtifactsMissing or LeaseLost."""
        heartbeat = self.heartbeat
        if self.paid:
            async with heartbeat.rt.transaction() as session:
                await heartbeat.checkpoint(session)
                assert self.space is not None
                for each in self.paid:
                    await checkpoint.store(session, heartbeat.claim.document_id, self.space, each.made)
                await self._count(session)
        key = artifacts.key(heartbeat.claim.job_id, heartbeat.claim.token, 1)
        async with objects.reserved(heartbeat.rt, key):
            async with writing(heartbeat.rt.store, key) as out:
                for page in self.pages:
                    await out.write(artifacts.dump(page))
            async with heartbeat.rt.transaction() as session:
                await self._store_pages(session, key)
        heartbeat.unstored = None

    async def _store_pages(self, session: AsyncSession, key: str) -> None:
        await self._held(session)
        await objects.adopt(session, key)
        await artifacts.add_part(session, self.subject.version, 1, key, self.tally)
        await (await driver(session)).execute(_COUNT, *self._version_values())


_SPACE = ("id", "provider", "model", "dimensions", "requested_dimensions", "other_dimensions", "other_seen")
_SPACE_AND_KNOWN = f"""
SELECT s.id, s.provider, s.model, s.dimensions, s.requested_dimensions, s.other_dimensions, s.other_seen,
       EXISTS (SELECT FROM chunk WHERE chunk.tenant_id = c.tenant_id AND chunk.collection_id = c.id) AS filled,
       coalesce(known.whole, '{{}}') AS whole, coalesce(known.split, '{{}}') AS split
FROM collection AS c JOIN embedding_space AS s ON s.id = c.space_id CROSS JOIN LATERAL (
    SELECT array_agg(asked.hash) FILTER (WHERE NOT found.split) AS whole,
           array_agg(asked.hash) FILTER (WHERE found.split) AS split
    FROM unnest(CAST($3 AS bytea[])) AS asked(hash)
    CROSS JOIN LATERAL ({checkpoint.stored("$2", "s.id", "asked.hash", "split")}) AS found
) AS known
WHERE c.id = $1
"""  # noqa: S608  constants
_COUNT = """
UPDATE version SET pages = $2, chunks = $3, chunking = $4, language = CAST(CAST($5 AS text) AS regconfig) WHERE id = $1
"""
_SHOW = """
WITH counted AS (
    UPDATE version SET pages = $3, chunks = $4, chunking = $5, language = CAST(CAST($6 AS text) AS regconfig)
    WHERE id = $2
)
UPDATE document SET active_version_id = $2, updated_at = now() WHERE id = $1
"""
