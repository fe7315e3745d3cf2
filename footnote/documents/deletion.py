"""The end of a document: provable, at any moment of its life, and with everything that was found in it."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from sqlalchemy import CursorResult, Executable, delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections, jobs, webhooks
from footnote.collections import revisions
from footnote.database.clock import from_now
from footnote.database.tenant_scope import scoped
from footnote.documents import derived_answers, idempotency, objects
from footnote.embeddings import checkpoint
from footnote.errors import NotFound
from footnote.models import Chunk, Collection, CollectionDeletion, Deletion, Document, Job, Page, Version
from footnote.runtime import Runtime
from footnote.tenancy import audit_log

COUNTED = ("documents", "versions", "pages", "chunks", "embeddings", "jobs", "answers", "objects", "bytes")
ABANDONED_SECONDS = 60.0  # since a collection was hidden: a large one is still being deleted then, and both go on
A_PART = 50  # documents
AT_ONCE = 3  # deletions of a tenant in one process: they may wait for each other, and hold a connection meanwhile


async def remove(rt: Runtime, document_id: str, collection_id: str | None = None) -> Deletion:
    """Deletes the document and all that was made of it; the receipt, also when asked again. Raises NotFound.

    Jobs are ended first, without a lock on their documents: a worker in the middle of storing chunks holds one until
    it notices. Each generation in a transaction of its own: who unpacks a container has its job, and waits for others.
    The receipt names the collection that it goes with, if it does.
    """
    async with rt.alone("deletion", places=AT_ONCE):
        return await rt.again_while_busy(partial(_remove, rt, document_id, collection_id))


async def _remove(rt: Runtime, document_id: str, collection_id: str | None) -> Deletion:
    async with rt.transaction() as session:
        family = await _family(session, document_id)
    for generation in family:
        async with rt.transaction() as session:
            await jobs.end_unfinished(session, Job.document_id.in_(generation), None)
    async with rt.transaction() as session:
        family = await _family(session, document_id, locked=True)
        if not family:
            receipt = await session.scalar(scoped(session, Deletion).where(Deletion.document_id == document_id))
            if receipt is None:
                raise NotFound("document_not_found", f"There is no document {document_id!r}.")
            return receipt
        innermost_first = [each for generation in reversed(family) for each in generation]
        of_family = scoped(session, Document).with_only_columns(Document.collection_id)
        collection_ids = (await session.scalars(of_family.where(Document.id.in_(innermost_first)).distinct())).all()
        counts = Counter({"documents": len(innermost_first)})
        for each in innermost_first:
            counts.update(await _delete(session, each))
        counts.update(await _delete_rows(session, innermost_first))
        gone_with = dict.fromkeys(innermost_first, document_id) | {document_id: collection_id}
        deeds = {each: {"deleted_with": other} if other else {} for each, other in gone_with.items()}
        await audit_log.note_each(session, "document.deleted", deeds)
        counts["answers"] += await revisions.changed(session, collection_ids)
        receipt = Deletion(
            document_id=document_id, tenant_id=rt.tenant, counts=dict(counts), collection_id=collection_id
        )
        session.add(receipt)
        await session.flush()
        await session.refresh(receipt)
        return receipt


async def _family(session: AsyncSession, document_id: str, *, locked: bool = False) -> list[Sequence[str]]:
    """Ids by generation: the document, what was found in it, what was found in that; none if it is gone."""
    ids = scoped(session, Document).with_only_columns(Document.id).order_by(Document.id)
    if locked:
        ids = ids.with_for_update()
    family: list[Sequence[str]] = []
    generation = (await session.scalars(ids.where(Document.id == document_id))).all()
    while generation:
        family.append(generation)
        generation = (await session.scalars(ids.where(Document.parent_id.in_(generation)))).all()
    return family


async def _delete(session: AsyncSession, document_id: str) -> dict[str, int]:
    """What was made of one document beside its texts, and the claims on objects; how many there were."""
    job_ids = await jobs.ids_of(session, document_id)
    await jobs.end_unfinished(session, Job.document_id == document_id, None)
    await webhooks.document_deleted(session, job_ids)
    await idempotency.forget_document(session, document_id)
    versions = (await session.scalars(select(Version).where(Version.document_id == document_id))).all()
    return {
        "versions": len(versions),
        "jobs": len(job_ids),
        "bytes": sum({version.object_key: version.bytes for version in versions if version.object_key}.values()),
        "answers": await derived_answers.forget_document(session, document_id),
        "objects": len(await objects.give_up_versions(session, document_id, but=None)),
    }


async def _delete_rows(session: AsyncSession, document_ids: Sequence[str]) -> dict[str, int]:
    """The documents with their texts and vectors. All of them at once: embeddings are locked once in a transaction."""
    versions = select(Version.id).where(Version.document_id.in_(document_ids))
    embeddings, _ = await checkpoint.delete_unused(session, document_ids)
    counts = {
        "embeddings": embeddings,
        "chunks": await _count(session, delete(Chunk).where(Chunk.document_id.in_(document_ids))),
        "pages": await _count(session, delete(Page).where(Page.version_id.in_(versions))),
    }
    await session.execute(delete(Document).where(Document.id.in_(document_ids)))
    return counts


async def _count(session: AsyncSession, statement: Executable) -> int:
    """Executes a DELETE; how many rows it took."""
    done = await session.execute(statement)
    assert isinstance(done, CursorResult)
    return done.rowcount


# -- a collection --------------------------------------------------------------------------------------------


async def remove_collection(rt: Runtime, name_or_id: str) -> CollectionDeletion:
    """Deletes the collection with its documents; the receipt, also when asked again by id. Raises NotFound.

    Nobody sees it from the first moment on. The documents go one after the other, each in a transaction of its own:
    one for all of them would hold up every other writer of the tenant. `finish` takes over from whoever is killed.
    """
    async with rt.transaction() as session:
        gone = scoped(session, CollectionDeletion).where(CollectionDeletion.collection_id == name_or_id)
        receipt = await session.scalar(gone)
        if receipt is not None:
            return receipt
        going = scoped(session, Collection).where(Collection.id == name_or_id, Collection.deleted_at.is_not(None))
        collection = await session.scalar(going) or await collections.hide(session, name_or_id)
    while receipt is None:
        receipt = await rt.again_while_busy(partial(_remove_next, rt, collection))
    return receipt


async def finish(rt: Runtime) -> None:
    """Goes on deleting a collection where whoever was asked to is silent; a part of it."""
    async with rt.transaction() as session:
        hidden = select(Collection).where(Collection.deleted_at < from_now(-ABANDONED_SECONDS))
        collection = await session.scalar(hidden.order_by(Collection.deleted_at).limit(1))
    if collection is not None:
        for _ in range(A_PART):
            if await _remove_next(rt, collection):
                break


async def _remove_next(rt: Runtime, collection: Collection) -> CollectionDeletion | None:
    """Removes a document of the hidden collection or, when there is none, the collection; then the receipt."""
    first = select(Document.id).where(Document.tenant_id == collection.tenant_id)
    first = first.where(Document.collection_id == collection.id).order_by(Document.id).limit(1)
    rt = rt.for_tenant(collection.tenant_id)
    async with rt.transaction() as session:
        document_id = await session.scalar(first)
        if document_id is None:
            # Who uploaded to it before it was hidden holds it until the document is there.
            held = select(Collection.id).where(Collection.id == collection.id).with_for_update()
            if await session.scalar(held) is None:
                receipt = await session.get(CollectionDeletion, collection.id)
                if receipt is None:  # it went with its tenant
                    raise collections.unknown(collection.name)
                return receipt
            document_id = await session.scalar(first)
        if document_id is None:
            return await _delete_collection(session, collection)
    with suppress(NotFound):  # somebody else was faster
        await remove(rt, document_id, collection.id)
    return None


_SUMS = text(
    """
    SELECT name, CAST(sum(CAST(number AS bigint)) AS bigint) AS total
    FROM deletion, jsonb_each_text(counts) AS counted(name, number) WHERE collection_id = :id GROUP BY name
    """
)


async def _delete_collection(session: AsyncSession, collection: Collection) -> CollectionDeletion:
    sums = await session.execute(_SUMS, {"id": collection.id})
    counts = dict.fromkeys(COUNTED, 0) | {row.name: row.total for row in sums}
    receipt = CollectionDeletion(
        collection_id=collection.id, tenant_id=collection.tenant_id, name=collection.name, counts=counts
    )
    session.add(receipt)
    await session.execute(delete(Collection).where(Collection.id == collection.id))
    await session.flush()
    await session.refresh(receipt)
    return receipt
