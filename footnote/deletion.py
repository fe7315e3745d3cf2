"""The end of a document: provable, at any moment of its life, and with everything that was found in it."""

from collections import Counter

from sqlalchemy import CursorResult, Executable, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import cache, idempotency, jobs, objects, webhooks
from footnote.errors import NotFound
from footnote.models import Chunk, Deletion, Document, Job, Page, Version
from footnote.runtime import Runtime
from footnote.tenants import scoped


async def remove(rt: Runtime, tenant_id: str, document_id: str) -> Deletion:
    """Deletes the document and all that was made of it; the receipt, also when asked again. Raises NotFound.

    Its job is ended first, in a transaction of its own: a worker in the middle of storing chunks holds a lock on the
    document until it notices.
    """
    async with rt.transaction() as session:
        await jobs.end_unfinished(session, Job.document_id.in_(await _family(session, tenant_id, document_id)), None)
    async with rt.transaction() as session:
        family = await _family(session, tenant_id, document_id)
        if not family:
            receipt = await session.scalar(scoped(Deletion, tenant_id).where(Deletion.document_id == document_id))
            if receipt is None:
                raise NotFound("document_not_found", f"There is no document {document_id!r}.")
            return receipt
        counts = Counter({"documents": len(family)})
        for each in family:
            counts.update(await _delete(session, tenant_id, each))
        receipt = Deletion(document_id=document_id, tenant_id=tenant_id, counts=dict(counts))
        session.add(receipt)
        await session.flush()
        await session.refresh(receipt)
        return receipt


async def _family(session: AsyncSession, tenant_id: str, document_id: str) -> list[str]:
    """The ids of the document and of all that was found in it, the innermost first, locked; none if it is gone."""
    level = list(
        await session.scalars(
            scoped(Document, tenant_id)
            .with_only_columns(Document.id)
            .where(Document.id == document_id)
            .with_for_update()
        )
    )
    family: list[str] = []
    while level:
        family = level + family
        within = select(Document.id).where(Document.parent_id.in_(level)).order_by(Document.id).with_for_update()
        level = list(await session.scalars(within))
    return family


async def _delete(session: AsyncSession, tenant_id: str, document_id: str) -> dict[str, int]:
    """Rows, vectors and the claims on objects of one document; how many there were."""
    job_ids = await jobs.ids_of(session, document_id)
    await jobs.end_unfinished(session, Job.document_id == document_id, None)
    await webhooks.document_deleted(session, job_ids)
    await idempotency.forget_document(session, tenant_id, document_id)
    versions = (await session.scalars(select(Version).where(Version.document_id == document_id))).all()
    kept = [key for version in versions for key in (version.object_key, version.artifact_key) if key]
    await objects.give_up(session, kept)
    counts = {
        "versions": len(versions),
        "jobs": len(job_ids),
        "objects": len(kept),
        "bytes": sum(version.bytes for version in versions if version.object_key),
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
