"""The last step: the complete version becomes visible in one transaction."""

import asyncio
import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import jobs
from footnote.collections import revisions
from footnote.database.driver import driver
from footnote.database.leases import LeaseLost
from footnote.documents import objects
from footnote.embeddings import checkpoint, second_vectors
from footnote.embeddings.checkpoint import NewVectors
from footnote.ingest import artifacts
from footnote.ingest.artifacts import ArtifactsMissing, Extracted
from footnote.ingest.chunking import TextChunk, embedding_text
from footnote.ingest.inputs import title, version_and_collection
from footnote.jobs import Claim
from footnote.jobs.heartbeat import Heartbeat
from footnote.models import Collection, Document, Page, Version
from footnote.runtime import Runtime
from footnote.text import languages, searched, words

ROWS = 200  # rows a statement: enough to amortise the round trip, few enough to bound memory


async def run(rt: Runtime, claim: Claim, heartbeat: Heartbeat) -> None:
    """Makes the complete version visible in one transaction that also removes the previous one.

    The new rows are inserted first, invisible to others and while the heartbeat runs: a newer upload, a cancellation
    or a deletion does not wait for them, and ends this step at its next heartbeat.
    """
    version, collection = await version_and_collection(rt, claim)
    _, tally = await artifacts.last_part(rt, version.id)
    heartbeat.total = version.chunks
    async with artifacts.of_version(rt, version) as paths, rt.transaction() as session:
        # Locks the document first: pages refer to the version only, so a deletion could lock the document before the
        # chunks, which refer to it, are inserted, and then wait for the version: a deadlock.
        if await session.scalar(_KEEP_DOCUMENT, {"id": claim.document_id}) is None:
            raise LeaseLost(claim.job_id)
        counts = await _insert_rows(session, claim, version, collection, paths, tally.language, heartbeat)
        await heartbeat.stop()
        # Locks the collection, the document, then the job, as an upload of a new version does: another order could
        # deadlock.
        spaces = (await session.execute(_LOCK_COLLECTION, {"id": collection.id})).one()
        if spaces.space_id != collection.space_id:
            raise ArtifactsMissing("embed", "The collection uses another embedding space now.")
        if spaces.standby_space_id is not None:
            await second_vectors.add(session, [version.id], spaces.standby_space_id)
        await session.execute(_LOCK_DOCUMENT, {"id": claim.document_id})
        await jobs.renew(session, claim, rt.settings.lease_seconds)
        await session.execute(
            update(Document)
            .where(Document.id == claim.document_id)
            .values(active_version_id=version.id, updated_at=func.now())
        )
        await objects.give_up_versions(session, claim.document_id, but=version.id)
        await jobs.finish_step(session, claim, counts)
        await remove_older(session, claim)  # late: deletions of documents that it has texts from wait from here on
        await revisions.changed(session, [collection.id])


async def remove_older(session: AsyncSession, claim: Claim, just_made: Sequence[bytes] = ()) -> None:
    """Deletes the rows of earlier versions and the vectors that are in chunks now. Raises ArtifactsMissing."""
    older = select(Version.id).where(Version.document_id == claim.document_id, Version.id != claim.version_id)
    if not await checkpoint.hold(session, claim.document_id, claim.version_id, just_made):
        raise embeddings_missing()
    await checkpoint.release(session, [claim.document_id])
    await second_vectors.remove_older_chunks(session, claim.document_id, claim.version_id)
    await session.execute(delete(Page).where(Page.version_id.in_(older)))


async def _insert_rows(
    session: AsyncSession,
    claim: Claim,
    version: Version,
    collection: Collection,
    paths: Sequence[Path],
    language: str,
    heartbeat: Heartbeat,
) -> dict[str, Any]:
    pages = position = 0
    source = artifacts.read(paths)
    await session.execute(_PLAN_ONCE)
    while batch := await asyncio.to_thread(lambda: list(islice(source, 50))):
        pages += len(batch)
        await insert_pages(session, claim, batch)
        chunks = [each for page in batch for each in page.chunks]
        for start in range(0, len(chunks), ROWS):
            rows = chunks[start : start + ROWS]
            await insert_chunks(session, claim, version, collection, rows, position, language)
            position = heartbeat.done = position + len(rows)
    await session.execute(_PLAN_EACH)
    split = await session.scalar(_SPLIT, {"version_id": claim.version_id})
    return {"pages": pages, "chunks": position, "split_chunks": split}


async def insert_pages(session: AsyncSession, claim: Claim, batch: Sequence[Extracted]) -> None:
    numbers, texts = [page.number for page in batch], [page.text for page in batch]
    words = [None if page.words is None else json.dumps(page.words) for page in batch]
    outlines = [json.dumps(page.outline) if page.outline else None for page in batch]
    rows = (numbers, texts, words, outlines)
    await (await driver(session)).execute(_INSERT_PAGES, claim.version_id, claim.tenant_id, *rows)


async def insert_chunks(
    session: AsyncSession,
    claim: Claim,
    version: Version,
    collection: Collection,
    rows: Sequence[TextChunk],
    position: int,
    language: str,
    made: Sequence[NewVectors] = (),
) -> None:
    """Joins the chunks with vectors that were just `made`, or are stored: those do not cross the wire.

    `language` is what the document was found to be in. What its words are is added to the collection's vocabulary.
    Raises ArtifactsMissing if one is not stored.
    """
    named = title(version.filename)
    contexts, texts = [row.context(named) for row in rows], [searched(row.text) for row in rows]
    found = [f"{searched(context)}\n{text}" for context, text in zip(contexts, texts, strict=True)]
    owners = (claim.version_id, claim.tenant_id, collection.id, claim.document_id, collection.space_id)
    columns = (
        list(range(position, position + len(rows))),
        [checkpoint.text_hash(embedding_text(named, row)) for row in rows],
        [row.page for row in rows],
        [row.char_start for row in rows],
        [row.char_end for row in rows],
        [" > ".join(row.heading) for row in rows],
        contexts,
        [row.text for row in rows],
        found,
        [len(text.split()) for text in texts],
        [words.telling(text) for text in found],
        words.distinct(found),
    )
    stemmed_as = languages.stemming(version.language or "", language)
    values = *owners, stemmed_as, *columns, *checkpoint.columns(made)
    status = await (await driver(session)).execute(_INSERT_CHUNKS, *values)
    if status != f"INSERT 0 {len(rows)}":
        raise embeddings_missing()


def embeddings_missing() -> ArtifactsMissing:
    return ArtifactsMissing("embed", "Embeddings were removed before the chunks were stored.")


_KEEP_DOCUMENT = text("SELECT id FROM document WHERE id = :id FOR KEY SHARE")
# Each row refers to five others, and Postgres would plan the look-up of each again: that costs more than the look-up.
_PLAN_ONCE = text("SET LOCAL plan_cache_mode = auto")
_PLAN_EACH = text("SET LOCAL plan_cache_mode = force_custom_plan")
# Chunks whose vectors are means of pieces, in whichever run they were made.
_SPLIT = text("SELECT count(*) FROM chunk WHERE version_id = :version_id AND split")
_LOCK_COLLECTION = text("SELECT space_id, standby_space_id FROM collection WHERE id = :id FOR SHARE")
_LOCK_DOCUMENT = text("SELECT FROM document WHERE id = :id FOR NO KEY UPDATE")

_INSERT_PAGES = """
INSERT INTO page (version_id, tenant_id, number, text, words, outline)
SELECT $1, $2, row.*
FROM unnest(CAST($3 AS int[]), CAST($4 AS text[]), CAST($5 AS jsonb[]), CAST($6 AS jsonb[]))
     AS row(number, text, words, outline)
"""
# The vocabulary learns once a statement: as a function in FROM it would be called for each row.
_INSERT_CHUNKS = f"""
WITH learned AS MATERIALIZED (
    SELECT learn_words($2, $3, CAST(CAST($6 AS text) AS regconfig), CAST($18 AS text[]))
), made AS ({checkpoint.new_vectors_table(19)})
INSERT INTO chunk (version_id, position, tenant_id, collection_id, document_id, space_id, language,
                   page_start, page_end, char_start, char_end, heading, context, text, words,
                   text_sha256, embedding, split, tsv)
SELECT $1, row.position, $2, $3, $4, $5,
       CAST(CAST($6 AS text) AS regconfig), row.page, row.page, row.char_start, row.char_end,
       row.heading, row.context, row.text, row.words, row.hash, found.embedding, found.split,
       to_tsvector(CAST(CAST($6 AS text) AS regconfig), row.searched)
       || CASE WHEN row.telling = '' THEN '' ELSE array_to_tsvector(identifiers(row.telling)) END
FROM learned,
     unnest(CAST($7 AS int[]), CAST($8 AS bytea[]), CAST($9 AS int[]), CAST($10 AS int[]), CAST($11 AS int[]),
            CAST($12 AS text[]), CAST($13 AS text[]), CAST($14 AS text[]), CAST($15 AS text[]), CAST($16 AS int[]),
            CAST($17 AS text[]))
     AS row(position, hash, page, char_start, char_end, heading, context, text, searched, words, telling)
CROSS JOIN LATERAL (
    SELECT embedding, split FROM made WHERE made.hash = row.hash
    UNION ALL {checkpoint.stored("$2", "$5", "row.hash")}
) AS found
"""  # noqa: S608  constants
