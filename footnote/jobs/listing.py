"""Jobs by filter: listed a page at a time, and requeued together once the cause of their failure is repaired."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections, jobs
from footnote.database.tenant_scope import scoped
from footnote.models import Document, Job, Version
from footnote.models.documents import VISIBLE


@dataclass(frozen=True)
class JobFilter:
    """Conditions on a job; an empty one chooses all. Times are those of the job's creation."""

    states: Sequence[str] = ()
    steps: Sequence[str] = ()
    error_codes: Sequence[str] = ()
    document_id: str | None = None
    collection: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    superseded: bool | None = None


@dataclass(frozen=True)
class ListedJob:
    """A job with the version it works on; superseded once its document has a newer job."""

    job: Job
    version: Version
    superseded: bool


async def list_jobs(session: AsyncSession, wanted: JobFilter, *, limit: int, before: str | None) -> list[ListedJob]:
    """Newest first, `limit` at most, older than the id `before`. Raises NotFound for an unknown collection."""
    query = (await _chosen(session, wanted)).join(Version, Version.id == Job.version_id)
    query = query.order_by(Job.id.desc()).limit(limit)
    if before:
        query = query.where(Job.id < before)
    found = await session.execute(query.with_only_columns(Job, Version, Document.job_id != Job.id))
    return [ListedJob(*row) for row in found]


async def retry(session: AsyncSession, wanted: JobFilter, *, limit: int) -> tuple[int, int]:
    """Requeues up to `limit` of the chosen, those that ended longest ago first: (how many, how many are left).

    They must have failed or been cancelled, and not be superseded. One whose document is being uploaded again, retried
    or deleted at this moment is left out.
    """
    assert set(wanted.states) <= {"failed", "cancelled"}
    assert wanted.superseded is False
    query = (await _chosen(session, wanted)).with_only_columns(Job.id)
    held = query.order_by(Job.finished_at, Job.id).limit(limit)
    held = held.with_for_update(of=[Document, Job], key_share=True, skip_locked=True)
    requeued = await jobs.requeue(session, Job.id.in_((await session.scalars(held)).all()))
    left = await session.scalar(select(func.count()).select_from(query.subquery()))
    return len(requeued), left or 0


async def _chosen(session: AsyncSession, wanted: JobFilter) -> Select[Job]:
    query = scoped(session, Job).join(Document, Document.id == Job.document_id).where(VISIBLE)
    several = ((Job.state, wanted.states), (Job.step, wanted.steps), (Job.error_code, wanted.error_codes))
    for column, values in several:
        if values:
            query = query.where(column.in_(values))
    if wanted.document_id:
        query = query.where(Job.document_id == wanted.document_id)
    if wanted.collection:
        found = await collections.find(session, wanted.collection)
        query = query.where(Document.collection_id == found.id)
    if wanted.created_after:
        query = query.where(Job.created_at > wanted.created_after)
    if wanted.created_before:
        query = query.where(Job.created_at < wanted.created_before)
    if wanted.superseded is not None:
        query = query.where((Document.job_id != Job.id) == wanted.superseded)
    return query
