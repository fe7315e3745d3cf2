"""The pipeline: chunk, embed, upsert; in order, each step safe to run twice.

A step works outside any transaction under a renewed lease and ends in one fenced transaction that writes its
output and moves the job's cursor. See `jobs` for the protocol.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import artifacts, cache, jobs, objects, sources
from footnote.artifacts import Extracted
from footnote.chunking import Chunk, embedding_text, split
from footnote.errors import DatabaseAway, DocumentRejected, FootnoteError, Unavailable
from footnote.formats import is_container
from footnote.formats.parent import read_pages
from footnote.heartbeat import GaveWay, Heartbeat
from footnote.jobs import Claim, LeaseLost
from footnote.models import Chunk as ChunkRow
from footnote.models import Collection, Document, EmbeddingSpace, Page, Version
from footnote.providers import Embeddings
from footnote.reports import Tally
from footnote.runtime import Runtime
from footnote.storage import writing
from footnote.telemetry import log


class OutputGone(Unavailable):
    """What an earlier step left behind was removed since: that step must run again."""

    def __init__(self, step: str, message: str) -> None:
        super().__init__("internal_error", message)
        self.step = step


async def run_step(rt: Runtime, job_id: str, step: str) -> bool:
    """Runs one step of a job if it is due. False: nothing more to do for the message that asked."""
    async with rt.transaction() as session:
        claim = await jobs.claim(session, job_id, step, rt.settings.lease_seconds)
    if claim is None:
        return False
    heartbeat = Heartbeat(rt, claim)
    work = asyncio.create_task(_work(rt, claim, heartbeat))
    heartbeat.start(work)
    try:
        return await work
    except GaveWay:
        return False
    except LeaseLost:
        log.warning("lease lost", job_id=job_id, step=step)
        return False
    except asyncio.CancelledError:
        if heartbeat.lost:
            log.warning("lease lost", job_id=job_id, step=step)
            return False
        work.cancel()
        await asyncio.wait({work})
        await _settle(rt, lambda session: jobs.release(session, claim))
        raise
    except Exception as error:
        failure = error
        await _settle(rt, lambda session: _ended_badly(session, rt, claim, failure))
        return False
    finally:
        await heartbeat.stop()


async def _work(rt: Runtime, claim: Claim, heartbeat: Heartbeat) -> bool:
    await _STEPS[claim.step](rt, claim, heartbeat)
    return True


async def _settle(rt: Runtime, write: Callable[[AsyncSession], Awaitable[None]]) -> None:
    """Writes how a step ended, trying again while Postgres is away; past the lease the dispatcher takes over."""
    deadline = asyncio.get_running_loop().time() + rt.settings.lease_seconds
    while True:
        try:
            async with rt.transaction() as session:
                await write(session)
            return
        except LeaseLost:
            return
        except DatabaseAway:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.5)


async def _ended_badly(session: AsyncSession, rt: Runtime, claim: Claim, error: Exception) -> None:
    """Waits and retries after a temporary error, fails the document after a permanent one."""
    known = error if isinstance(error, FootnoteError) else Unavailable("internal_error")
    unexpected = known is not error
    if unexpected:
        log.error("step failed", job_id=claim.job_id, step=claim.step, exc_info=error)
    back_to = error.step if isinstance(error, OutputGone) else None
    if not known.retryable or not await jobs.postpone(
        session, claim, known, rt.settings, back_to, unexpected=unexpected
    ):
        await jobs.fail(session, claim, known.code, known.message)


@asynccontextmanager
async def _artifact(rt: Runtime, version: Version) -> AsyncIterator[Path]:
    """A local copy of what the chunk step left. Raises OutputGone."""
    gone = OutputGone("chunk", "The pages and chunks between the steps are gone from the store.")
    if version.artifact_key is None:
        raise gone
    try:
        async with rt.store.local_copy(version.artifact_key) as path:
            yield path
    except DocumentRejected as error:
        if error.code != "object_missing":
            raise
        raise gone from error


# -- chunk ---------------------------------------------------------------------------------------------------


async def chunk(rt: Runtime, claim: Claim, heartbeat: Heartbeat) -> None:
    """Reads the object, writes its pages and chunks as one artifact to the store."""
    key = artifacts.key(claim.job_id, claim.token)
    async with objects.reserved(rt, key):
        version, counts = await _write_artifact(rt, claim, heartbeat, key)
        await heartbeat.stop()
        async with rt.transaction() as session:
            # The job before its version, as whoever ends it locks them.
            await jobs.renew(session, claim, rt.settings.lease_seconds)
            await objects.adopt(session, key)
            await objects.give_up(session, [version.artifact_key])
            values = {"artifact_key": key, "pages": counts["pages"], "chunks": counts["chunks"]}
            await session.execute(update(Version).where(Version.id == version.id).values(**values))
            await jobs.finish_step(session, claim, counts)


async def _write_artifact(rt: Runtime, claim: Claim, heartbeat: Heartbeat, key: str) -> tuple[Version, dict[str, Any]]:
    version, collection = await _subject(rt, claim)
    if version.source_url and not version.object_key:
        version = await sources.fetch(rt, claim, version)
    within: dict[str, Any] = {}
    tally = Tally()
    async with (
        rt.store.local_copy(version.object_key or "") as path,
        writing(rt.store, key) as out,
        aclosing(read_pages(path, version.media_type, rt.settings.parse_limits)) as read,
    ):
        async for page in read:
            pieces = await asyncio.to_thread(split, page, size=collection.chunk_size, overlap=collection.chunk_overlap)
            await out.write(await asyncio.to_thread(artifacts.dump, page, pieces))
            tally.add(page, pieces)
            heartbeat.done = tally.pages
        if is_container(version.media_type):
            within = await sources.unpack(rt, claim, heartbeat, version, path)
        if not tally.chunks and not within.get("documents"):
            raise DocumentRejected("no_text")
    return version, tally.counts() | within


async def _subject(rt: Runtime, claim: Claim) -> tuple[Version, Collection]:
    async with rt.transaction() as session:
        version = await session.get_one(Version, claim.version_id)
        document = await session.get_one(Document, claim.document_id)
        return version, await session.get_one(Collection, document.collection_id)


def _title(version: Version) -> str:
    """What the document is called, in words: `3M_2018_10K.pdf` is `3M 2018 10K`."""
    return re.sub(r"[_\s]+", " ", Path(version.filename).stem).strip()


# -- embed ---------------------------------------------------------------------------------------------------


async def embed(rt: Runtime, claim: Claim, heartbeat: Heartbeat) -> None:
    """Gives every chunk a vector; each batch is committed, so a crash repeats one batch at most.

    What was done in an earlier turn is passed over; should a vector of it be gone since, upsert sends the job back.
    """
    version, collection = await _subject(rt, claim)
    heartbeat.done, heartbeat.total = claim.done, version.chunks
    heartbeat.counts.update({"embedded": 0, "tokens": 0} | claim.counts)
    space = await _current_space(rt, collection)
    async with _artifact(rt, version) as path:
        source = (each for page in artifacts.read(path) for each in page.chunks)
        await asyncio.to_thread(lambda: next(islice(source, claim.done, claim.done), None))
        while batch := await asyncio.to_thread(lambda: list(islice(source, rt.settings.embedding_batch))):
            texts = {cache.text_hash(full): full for full in (embedding_text(_title(version), each) for each in batch)}
            for group in _groups(rt, await _missing(rt, claim.tenant_id, space, texts)):
                answer = await rt.embedder.embed([texts[key] for key in group])
                space = space or await _open_space(rt, answer)
                heartbeat.counts.update(embedded=len(group), tokens=answer.tokens)
                await _keep(rt, claim, space, group, answer, heartbeat)
            heartbeat.done += len(batch)
            await heartbeat.give_way()
    await heartbeat.stop()
    async with rt.transaction() as session:
        if version.chunks:  # an archive has none of its own
            await _bind_space(session, collection, space)
        await jobs.finish_step(session, claim, {**heartbeat.counts, "chunks": heartbeat.done})


async def _open_space(rt: Runtime, answer: Embeddings) -> EmbeddingSpace:
    """In a transaction of its own: making the index waits for writers, and holds them up."""
    async with rt.transaction() as session:
        return await cache.obtain_space(session, rt.embedder.provider, rt.embedder.model, answer.vectors.shape[1])


async def _keep(
    rt: Runtime, claim: Claim, space: EmbeddingSpace, hashes: list[bytes], answer: Embeddings, heartbeat: Heartbeat
) -> None:
    """The checkpoint: these texts are never sent to the provider again."""
    if answer.vectors.shape[1] != space.dimensions:
        lengths = f"{answer.vectors.shape[1]} dimensions, not the collection's {space.dimensions}"
        raise DocumentRejected("embedding_model_changed", f"The provider sent vectors of {lengths}.")
    async with rt.transaction() as session:
        await cache.keep(session, claim.tenant_id, claim.document_id, space, hashes, answer.vectors)
        await heartbeat.checkpoint(session)


async def _current_space(rt: Runtime, collection: Collection) -> EmbeddingSpace | None:
    """The collection's space if it is the configured model's; raises when the model changed."""
    async with rt.transaction() as session:
        if collection.space_id is None:
            return await cache.find_space(session, rt.embedder.provider, rt.embedder.model)
        space = await session.get_one(EmbeddingSpace, collection.space_id)
    if (space.provider, space.model) != (rt.embedder.provider, rt.embedder.model):
        raise DocumentRejected("embedding_model_changed")
    return space


async def _missing(
    rt: Runtime, tenant_id: str, space: EmbeddingSpace | None, texts: dict[bytes, str]
) -> dict[bytes, str]:
    if space is None:
        return texts
    async with rt.transaction() as session:
        known = await cache.known(session, tenant_id, space.id, list(texts))
    return {key: full for key, full in texts.items() if key not in known}


def _groups(rt: Runtime, texts: dict[bytes, str]) -> list[list[bytes]]:
    """The hashes in calls that the provider accepts, by its limits on texts and tokens."""
    groups: list[list[bytes]] = []
    room = 0
    for key, full in texts.items():
        tokens = rt.embedder.count_tokens(full)
        if not groups or len(groups[-1]) >= rt.embedder.max_texts or tokens > room:
            groups.append([])
            room = rt.embedder.max_tokens
        groups[-1].append(key)
        room -= tokens
    return groups


async def _bind_space(session: AsyncSession, collection: Collection, space: EmbeddingSpace | None) -> None:
    """The first document decides the collection's space; one that came with another model is refused."""
    assert space is not None
    await session.execute(
        update(Collection)
        .where(Collection.id == collection.id, Collection.space_id.is_(None))
        .values(space_id=space.id)
    )
    bound = await session.scalar(select(Collection.space_id).where(Collection.id == collection.id))
    if bound != space.id:
        raise DocumentRejected("embedding_model_changed")


# -- upsert --------------------------------------------------------------------------------------------------

ROWS = 200  # rows a statement: enough to amortise the round trip, little enough to keep memory flat


async def upsert(rt: Runtime, claim: Claim, heartbeat: Heartbeat) -> None:
    """Makes the version visible, whole, in one transaction that also removes the one before.

    The new rows go in first, seen by nobody and under a beating heart: a newer upload, a cancellation or a deletion
    need not wait for them, and ends this step at its next beat.
    """
    version, collection = await _subject(rt, claim)
    heartbeat.total = version.chunks
    async with _artifact(rt, version) as path, rt.transaction() as session:
        counts = await _insert_rows(session, claim, version, collection, path, heartbeat)
        await heartbeat.stop()
        # The document, then the job, as an upload of a new version locks them: in the other order they would wait
        # for each other.
        await session.execute(_LOCK_DOCUMENT, {"id": claim.document_id})
        await jobs.renew(session, claim, rt.settings.lease_seconds)
        await _remove_rows(session, claim)
        await session.execute(
            update(Document)
            .where(Document.id == claim.document_id)
            .values(active_version_id=version.id, updated_at=func.now())
        )
        await objects.give_up_versions(session, claim.document_id, but=version.id)
        await jobs.finish_step(session, claim, counts)


async def _remove_rows(session: AsyncSession, claim: Claim) -> None:
    """What was there of the versions before, with the embeddings that nothing uses any more."""
    older = select(Version.id).where(Version.document_id == claim.document_id, Version.id != claim.version_id)
    await cache.forget(session, claim.tenant_id, claim.document_id, claim.version_id)
    await session.execute(delete(ChunkRow).where(ChunkRow.version_id.in_(older)))
    await session.execute(delete(Page).where(Page.version_id.in_(older)))


async def _insert_rows(
    session: AsyncSession, claim: Claim, version: Version, collection: Collection, path: Path, heartbeat: Heartbeat
) -> dict[str, Any]:
    pages = position = 0
    source = artifacts.read(path)
    while batch := await asyncio.to_thread(lambda: list(islice(source, 50))):
        pages += len(batch)
        await _insert_pages(session, claim, batch)
        chunks = [each for page in batch for each in page.chunks]
        for start in range(0, len(chunks), ROWS):
            rows = chunks[start : start + ROWS]
            await _insert_chunks(session, claim, version, collection, rows, position)
            position = heartbeat.done = position + len(rows)
    return {"pages": pages, "chunks": position}


async def _insert_pages(session: AsyncSession, claim: Claim, batch: Sequence[Extracted]) -> None:
    await session.execute(
        Page.__table__.insert(),  # type: ignore[attr-defined]
        [
            {
                "version_id": claim.version_id,
                "number": page.number,
                "tenant_id": claim.tenant_id,
                "text": page.text,
            }
            for page in batch
        ],
    )


async def _insert_chunks(
    session: AsyncSession,
    claim: Claim,
    version: Version,
    collection: Collection,
    rows: Sequence[Chunk],
    position: int,
) -> None:
    """Joins the chunks with their stored vectors inside Postgres, so that no vector crosses the wire."""
    inserted = await session.execute(
        _INSERT_CHUNKS,
        {
            "version_id": claim.version_id,
            "tenant_id": claim.tenant_id,
            "collection_id": collection.id,
            "document_id": claim.document_id,
            "space_id": collection.space_id,
            "language": collection.language,
            "positions": list(range(position, position + len(rows))),
            "hashes": [cache.text_hash(embedding_text(_title(version), row)) for row in rows],
            "pages": [row.page for row in rows],
            "starts": [row.char_start for row in rows],
            "ends": [row.char_end for row in rows],
            "headings": [" > ".join(row.heading) for row in rows],
            "contexts": [" > ".join((_title(version), *row.heading)) for row in rows],
            "texts": [row.text for row in rows],
            "words": [len(row.text.split()) for row in rows],
        },
    )
    if inserted.rowcount != len(rows):  # type: ignore[attr-defined]
        raise OutputGone("embed", "Embeddings were removed before the chunks were stored.")


_LOCK_DOCUMENT = text("SELECT FROM document WHERE id = :id FOR NO KEY UPDATE")

_INSERT_CHUNKS = text(
    """
    INSERT INTO chunk (version_id, position, tenant_id, collection_id, document_id, space_id, language,
                       page_start, page_end, char_start, char_end, heading, context, text, words,
                       text_sha256, embedding)
    SELECT :version_id, row.position, :tenant_id, :collection_id, :document_id, :space_id,
           CAST(CAST(:language AS text) AS regconfig), row.page, row.page, row.char_start, row.char_end,
           row.heading, row.context, row.text, row.words, row.hash, embedding.embedding
    FROM unnest(CAST(:positions AS int[]), CAST(:hashes AS bytea[]), CAST(:pages AS int[]),
                CAST(:starts AS int[]), CAST(:ends AS int[]), CAST(:headings AS text[]),
                CAST(:contexts AS text[]), CAST(:texts AS text[]), CAST(:words AS int[]))
         AS row(position, hash, page, char_start, char_end, heading, context, text, words)
    JOIN embedding ON embedding.tenant_id = :tenant_id AND embedding.space_id = :space_id
                  AND embedding.text_sha256 = row.hash
    """
)

_STEPS = {"chunk": chunk, "embed": embed, "upsert": upsert}
