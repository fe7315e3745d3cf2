"""Documents are re-ingested: one that is asked for; or those of a collection whose settings changed, a few at a time.

A version stores the settings it was made by. If they are not its collection's, it is re-ingested. The change itself
records only that documents must be reviewed; `Collection.review_after` is the cursor of that. Nothing else has to be
remembered: after a kill, or when the settings change again or back, the same comparison decides.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import documents, jobs
from footnote.database.tenant_scope import scoped
from footnote.documents import objects
from footnote.models import Chunk, Collection, Document, Job, Version
from footnote.models.documents import VISIBLE
from footnote.runtime import Runtime
from footnote.tenancy import audit_log

AT_ONCE = 100  # unfinished jobs of a collection; its other documents wait
A_LOOK = 20  # documents of a collection, before the next collection is reviewed
# The space of a document's chunks, which is the same for all of them; empty if there are none.
_SPACE = select(Chunk.space_id).where(Chunk.document_id == Document.id).limit(1).scalar_subquery()


async def review(rt: Runtime) -> None:
    """Reviews some documents of every collection that has documents to review."""
    async with rt.transaction() as session:
        changed = select(Collection.id).where(Collection.review_after.is_not(None), Collection.deleted_at.is_(None))
        ids = (await session.scalars(changed)).all()
    for collection_id in ids:
        for _ in range(A_LOOK):
            # A transaction for each document: a deletion of several locks them in another order.
            async with rt.transaction() as session:
                if not await _next(session, collection_id):
                    break


async def _next(session: AsyncSession, collection_id: str) -> bool:
    """Re-ingests the next document that needs it; False: none does, there is no room, or another process reviews."""
    # In this order: collection, document, job, version.
    held = select(Collection).where(Collection.id == collection_id, Collection.review_after.is_not(None))
    collection = await session.scalar(held.with_for_update(key_share=True, skip_locked=True))
    if collection is None:
        return False
    unfinished = select(func.count()).select_from(Job).join(Document, Document.id == Job.document_id)
    unfinished = unfinished.where(
        Job.tenant_id == collection.tenant_id, Job.reingestion, Job.state.in_(jobs.UNFINISHED)
    )
    if (await session.scalar(unfinished.where(Document.collection_id == collection_id)) or 0) >= AT_ONCE:
        return False
    collection.review_after = await session.scalar(
        select(Document.id)
        .join(Collection, Collection.id == Document.collection_id)
        .join(Job, Job.id == Document.job_id)
        .join(Version, (Version.document_id == Document.id) & (Version.number == Document.newest_version))
        .where(
            Document.tenant_id == collection.tenant_id,
            Document.collection_id == collection_id,
            Document.id > collection.review_after,
            # A job that has not begun will use the settings of that time, unless it failed or was cancelled.
            or_(
                Version.chunking != func.coalesce(Document.chunking, Collection.chunking),
                Version.language != Collection.language,
                Version.chunking.is_(None) & Job.reingestion & Job.state.in_(("failed", "cancelled")),
                _SPACE.not_in((func.coalesce(Collection.space_id, 0), func.coalesce(Collection.standby_space_id, 0))),
            ),
        )
        .order_by(Document.id)
        .limit(1)
    )
    if collection.review_after is None:
        return False
    held_document = select(Document).where(Document.id == collection.review_after).with_for_update(key_share=True)
    document = await session.scalar(held_document)
    if document is not None:  # or it was deleted just now
        await ingest_as_configured(session, collection, document)
    return True


async def ingest_as_configured(session: AsyncSession, collection: Collection, document: Document) -> None:
    """Has the document, which the caller holds, made as the collection says.

    The way depends on the newest version: it is visible, being ingested, failed or cancelled.
    """
    # Weaker locks than a deletion takes: this need not wait for a step that stores the version's pages.
    held: Any = {"key_share": True}
    job = await session.get_one(Job, document.job_id, with_for_update=held)
    version = await session.get_one(Version, job.version_id, with_for_update=held)
    if job.state == "succeeded" and not version.chunks:  # an archive: its files are documents of their own
        version.chunking, version.language = document.chunking or collection.chunking, collection.language
    elif job.state == "succeeded":
        await documents.reingest(session, document, version)
    else:
        # Its artifacts were made by the old settings. If it is retried, it begins at the first step.
        await objects.give_up_artifacts(session, [version.id])
        version.chunking = version.language = None
        if job.reingestion or job.state in jobs.UNFINISHED:
            await jobs.restart(session, job)


async def again(session: AsyncSession, document_id: str, asked_at: datetime) -> None:
    """Has a document ingested again because a person asked for it at that time.

    Not one that is being ingested, has been since, or is gone. One that failed or was cancelled begins at the first
    step.
    """
    # Without the lock on the collection that a review takes: no setting of it is written.
    held: Any = {"key_share": True}
    chosen = scoped(session, Document).where(Document.id == document_id, VISIBLE).with_for_update(**held)
    document = await session.scalar(chosen)
    if document is None:
        return
    job = await session.get_one(Job, document.job_id, with_for_update=held)
    if job.state in jobs.UNFINISHED or job.created_at > asked_at:
        return
    version = await session.get_one(Version, job.version_id, with_for_update=held)
    if job.state == "succeeded":
        await documents.reingest(session, document, version)
    else:
        await objects.give_up_artifacts(session, [version.id])
        version.chunking = version.language = None
        await jobs.restart(session, job)
    await audit_log.note(session, "document.reingested", document_id, job_id=document.job_id)
