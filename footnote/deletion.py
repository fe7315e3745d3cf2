"""The end of a document: provable, at any moment of its life, and with everything that was found in it."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import CursorResult, Executable, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import cache, idempotency, jobs, objects, webhooks
from footnote.errors import NotFound
from footnote.models import Chunk, Deletion, Document, Job, Page, Version
from footnote.runtime import Runtime
from footnote.tenants import scoped


async def remove(rt: Runtime, tenant_id: str, document_id: str) -> Deletion:
    """Deletes the document and all that was made of it; the receipt, also when asked again. Raises NotFound.

    Jobs are ended first, without a lock on their documents: a worker in the middle of storing chunks holds one until
    it notices. Each generation in a transaction of its own: who unpacks a container has its job, and waits for others.
    """
    async with rt.transaction() as session:
        family = await _family(session, tenant_id, document_id)
    for generation in family:
        async with rt.transaction() as session:
            await jobs.end_unfinished(session, Job.document_id.in_(generation), None)
    async with rt.transaction() as session:
        family = await _family(session, tenant_id, document_id, locked=True)
        if not family:
            receipt = await session.scalar(scoped(Deletion, tenant_id).where(Deletion.document_id == document_id))
            if receipt is None:
                raise NotFound("document_not_found", f"There is no document {document_id!r}.")
            return receipt
        innermost_first = [each for generation in reversed(family) for each in generation]
        counts = Counter({"documents": len(innermost_first)})
        for each in innermost_first:
            counts.update(await _delete(session, tenant_id, each))
        receipt = Deletion(document_id=document_id, tenant_id=tenant_id, counts=dict(counts))
        session.add(receipt)
        await session.flush()
        await session.refresh(receipt)
        return receipt


async def _family(
    session: AsyncSession, tenant_id: str, document_id: str, *, locked: bool = False
) -> list[Sequence[str]]:
    """Ids by generation: the document, what was found in it, what was found in that; none if it is gone."""
    ids = scoped(Document, tenant_id).with_only_columns(Document.id).order_by(Document.id)
    if locked:
        ids = ids.with_for_update()
    family: list[Sequence[str]] = []
    generation = (await session.scalars(ids.where(Document.id == document_id))).all()
    while generation:
        family.append(generation)
        generation = (await session.scalars(ids.where(Document.parent_id.in_(generation)))).all()
    return family


async def _delete(session: AsyncSession, tenant_id: str, document_id: str) -> dict[str, int]:
    """Rows, vectors and the claims on objects of one document; how many there were."""
    job_ids = await jobs.ids_of(session, document_id)
    await jobs.end_unfinished(session, Job.document_id == document_id, None)
    await webhooks.document_deleted(session, job_ids)
    await idempotency.forget_document(session, tenant_id, document_id)
    versions = (await session.scalars(select(Version).where(Version.document_id == document_id))).all()
    counts = {
        "versions": len(versions),
        "jobs": len(job_ids),
        "bytes": sum(version.bytes for version in versions if version.object_key),
        "objects": len(await objects.give_up_versions(session, document_id, but=None)),
        "embeddings": await cache.forget(session, tenant_id, document_id),
        "chunks": await _count(session, delete(Chunk).where(Chunk.document_id == document_id)),
        "pages": await _count(session, delete(Page).where(Page.version_id.in_([each.id for each in versions]))),
    }
    await session.execute(delete(Document).where(Document.id == document_id))
    return counts


async def _count(session: AsyncSession, statement: Executable) -> int:
    """Executes a DELETE; how many rows it took."""
    done = await session.execute(statement)
    assert isinstance(done, CursorResult)
    return done.rowcount
