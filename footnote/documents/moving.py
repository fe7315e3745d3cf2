"""Documents are moved to another collection, with all that was made from them (ADR 79).

What queries see of a document goes with it in the same transaction. If the other collection would have made it in
another way, or with another model, the document is re-ingested there; until then its words find it.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections
from footnote.collections import expiry, revisions
from footnote.database.driver import driver
from footnote.database.tenant_scope import scoped, tenant_of
from footnote.documents import reading, reingestion
from footnote.embeddings import vector_lengths
from footnote.errors import Busy, Conflict
from footnote.jobs import tasks
from footnote.models import Chunk, ChunkVector, Collection, Document, Job, ModelSwap, Version
from footnote.models.documents import VISIBLE
from footnote.runtime import Runtime
from footnote.tenancy import audit_log


async def move(session: AsyncSession, rt: Runtime, document_id: str, name_or_id: str) -> None:
    """Moves the document, and those that were found in it, to the collection; a new name makes a new one.

    Nothing is done if it is there. Raises NotFound; Conflict if the collection has its `external_id` or file already,
    or it was found in another document; Invalid for a collection that is expired; Busy if it was moved just now.
    """
    target = await collections.obtain(session, name_or_id, rt.settings)
    collections.embedder_of(rt, target)  # refuses an unknown model now, and not in a later step
    is_here = scoped(session, Document).where(Document.id == document_id, VISIBLE)
    found = (await session.execute(is_here.with_only_columns(Document.collection_id, Document.parent_id))).one_or_none()
    if found is None:
        raise reading.unknown(document_id)
    if found.parent_id is not None:
        raise Conflict("found_in_document", f"It was found in {found.parent_id}: move that document.")
    if found.collection_id == target.id:
        return
    source, target = await _hold_collections(session, found.collection_id, target)
    family = await _hold_family(session, document_id) if source else []
    if source is None or not family:  # deleted, or its collection is, just now
        raise reading.unknown(document_id)
    if family[0][0].collection_id != source.id:  # another move was faster
        raise Busy
    ids = [document.id for document, _ in family]
    await _take_names(session, target, [document for document, _ in family])
    await _move_rows(session, source, target, ids)
    await _bind(session, rt, target, ids)
    for document, job in family:
        await _ingested_alike(session, target, document, job)
    if target.standby_space_id is not None:
        await _wake_swap(session, target)
    await expiry.note_active(session, [target.id])
    about = {"from_collection_id": source.id, "collection_id": target.id}
    await audit_log.note_each(session, "document.moved", dict.fromkeys(ids, about))
    await revisions.changed(session, [source.id, target.id])


# -- held ----------------------------------------------------------------------------------------------------

# In the order of all transactions: collections, documents, jobs.


async def _hold_collections(
    session: AsyncSession, source_id: str, target: Collection
) -> tuple[Collection | None, Collection]:
    """Both, which are not deleted until the transaction ends. The one that it leaves may be gone already.

    Versions become visible in both at the same time. A collection without a space may get one here, so that one is
    held alone. Raises NotFound, Invalid.
    """
    chosen = scoped(session, Collection).where(Collection.id.in_((source_id, target.id)))
    strength: Any = {"read": True} if target.space_id is not None else {"key_share": True}
    query = chosen.order_by(Collection.id).with_for_update(**strength).execution_options(populate_existing=True)
    held = {each.id: each for each in await session.scalars(query)}
    alive = {name: each for name, each in held.items() if each.deleted_at is None}
    if target.id not in alive:
        raise collections.unknown(target.name)
    for each in alive.values():
        expiry.check(each)
    return alive.get(source_id), alive[target.id]


async def _hold_family(session: AsyncSession, document_id: str) -> list[tuple[Document, Job]]:
    """The document and what was found in it, each with its newest job, which makes no progress from here on.

    A step that unpacks a container holds its job: only after that is it known what was found in it.
    """
    family: list[tuple[Document, Job]] = []
    held: Any = {"key_share": True}
    chosen = Document.id == document_id
    while True:
        query = scoped(session, Document).where(chosen).order_by(Document.id).with_for_update(**held)
        generation = (await session.scalars(query.execution_options(populate_existing=True))).all()
        if not generation:
            return family
        newest = select(Job).where(Job.id.in_([each.job_id for each in generation])).order_by(Job.id)
        rows = await session.scalars(newest.with_for_update(**held).execution_options(populate_existing=True))
        of_document = {job.document_id: job for job in rows}
        family += [(each, of_document[each.id]) for each in generation]
        chosen = Document.parent_id.in_([each.id for each in generation])


_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended($1 || ':' || same, 0)) FROM unnest($2::text[]) AS same"


async def _take_names(session: AsyncSession, target: Collection, documents: Sequence[Document]) -> None:
    """Waits for uploads of the same things to the collection, and holds up later ones. Raises Conflict."""
    same = sorted({each.file_id or each.external_id or each.sha256.hex() for each in documents})
    await (await driver(session)).execute(_ALONE, target.id, same)
    names = [each.external_id for each in documents if each.external_id is not None]
    files = [each.file_id for each in documents if each.file_id is not None]
    taken = (Document.external_id.in_(names)) | (Document.file_id.in_(files))
    there = scoped(session, Document).where(Document.collection_id == target.id, taken).limit(1)
    other = await session.scalar(there)
    if other is not None:
        what = "external_id" if other.external_id in names else "file"
        raise Conflict("document_exists", f"{target.name!r} has a document with the same {what}: {other.id}.")


# -- moved ---------------------------------------------------------------------------------------------------

# The words of its lexemes in the vocabulary that it leaves, in the language of its chunks: `key` is a hash of both.
_LEARN = """
WITH lexemes AS MATERIALIZED (
    SELECT DISTINCT CAST(c.language AS text) AS language, l.lexeme FROM chunk c, unnest(c.tsv) AS l
    WHERE c.document_id = ANY($4)
), found AS MATERIALIZED (
    SELECT lexemes.language, array_agg(DISTINCT v.word) AS words
    FROM lexemes, LATERAL (
        SELECT word, key FROM vocabulary_of_tenant WHERE lexeme_key = posting_key($1, $2, lexemes.lexeme) OFFSET 0
    ) AS v
    WHERE v.key = hashtextextended(v.word, hashtextextended(
        lexemes.language, hashtextextended($2, hashtextextended($1, 0))))
    GROUP BY lexemes.language
)
SELECT learn_words($1, $3, CAST(language AS regconfig), words) FROM found
"""


async def _move_rows(session: AsyncSession, source: Collection, target: Collection, ids: Sequence[str]) -> None:
    """A trigger posts the chunks again, and takes words along that no other chunk of the collection has.

    Second vectors stay after: the swap that they are for is that of the collection.
    """
    connection = await driver(session)
    await connection.execute(_LEARN, tenant_of(session), source.id, target.id, list(ids))
    moved = {"collection_id": target.id}
    await session.execute(
        update(Document).where(Document.id.in_(ids)).values(**moved, updated_at=func.now()),
        execution_options={"synchronize_session": False},
    )
    await session.execute(delete(ChunkVector).where(ChunkVector.document_id.in_(ids)))
    await session.execute(
        update(Chunk).where(Chunk.document_id.in_(ids)).values(**moved),
        execution_options={"synchronize_session": False},
    )


async def _bind(session: AsyncSession, rt: Runtime, target: Collection, ids: Sequence[str]) -> None:
    """Gives a collection without a space that of the documents, if its model makes the same vectors."""
    if target.space_id is not None:
        return
    space = await vector_lengths.likely(session, rt, collections.embedder_of(rt, target))
    if space is None or not await session.scalar(_in_space(ids, Chunk.space_id == space.id)):
        return
    target.space_id, target.embedding_provider, target.embedding_model = space.id, space.provider, space.model
    await session.flush()


def _in_space(ids: Sequence[str], condition: Any) -> Any:
    return select(Chunk.document_id).where(Chunk.document_id.in_(ids), condition).limit(1)


async def _ingested_alike(session: AsyncSession, target: Collection, document: Document, job: Job) -> None:
    """Work on the document begins again, in its new collection; so does a version that is not as there."""
    await session.refresh(document)
    if job.state != "succeeded" or await _differs(session, target, document):
        await reingestion.ingest_as_configured(session, target, document)


async def _differs(session: AsyncSession, target: Collection, document: Document) -> bool:
    version = await session.get(Version, document.active_version_id) if document.active_version_id else None
    if version is None:
        return False
    ingest_as_configured = document.chunking or target.chunking, target.language
    # Not in the space of a swap that is not searched, either: only the search of the collection counts.
    other = _in_space([document.id], Chunk.space_id.is_distinct_from(target.space_id))
    return (version.chunking, version.language) != ingest_as_configured or await session.scalar(other) is not None


async def _wake_swap(session: AsyncSession, target: Collection) -> None:
    """The chunks lack a vector of the other model, which the task of the swap makes."""
    swap = scoped(session, ModelSwap).where(ModelSwap.collection_id == target.id, ModelSwap.ended_at.is_(None))
    if (found := await session.scalar(swap)) is not None:
        await tasks.wake(session, "model.swap", found.id)
