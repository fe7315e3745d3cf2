"""Jobs by filter: listed a page at a time, and requeued together once the cause of their failure is repaired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections, jobs
from footnote.database.paging import page_of_each
from footnote.database.tenant_scope import scoped
from footnote.models import Document, Job, Version
from footnote.models.documents import VISIBLE

STATES = (*jobs.UNFINISHED, *jobs.TERMINAL)


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
    jobs_of = scoped(session, Job).with_only_columns(Job.id).where(*_of_job(wanted))
    # A subquery and no join: a join would not be expected to find a page before all jobs of the state are read.
    meant = select(Document.id).where(Document.id == Job.document_id, *await _of_document(session, wanted))
    jobs_of = jobs_of.where(meant.scalar_subquery().is_not(None))
    states = wanted.states or STATES
    page = page_of_each(lambda state: jobs_of.where(Job.state == state), states, Job.id, limit, before)
    query = select(Job, Version, Document.job_id != Job.id).join(page, page.c.id == Job.id)
    query = query.join(Version, Version.id == Job.version_id).join(Document, Document.id == Job.document_id)
    return [ListedJob(*row) for row in await session.execute(query.order_by(Job.id.desc()))]


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
    query = scoped(session, Job).join(Document, Document.id == Job.document_id)
    conditions = [*_of_job(wanted), *await _of_document(session, wanted)]
    return query.where(Job.state.in_(wanted.states or STATES), *conditions)


def _of_job(wanted: JobFilter) -> list[ColumnElement[bool]]:
    """Conditions on jobs other than their states."""
    several = ((Job.step, wanted.steps), (Job.error_code, wanted.error_codes))
    conditions: list[ColumnElement[bool]] = [column.in_(values) for column, values in several if values]
    if wanted.document_id:
        conditions.append(Job.document_id == wanted.document_id)
    if wanted.created_after:
        conditions.append(Job.created_at > wanted.created_after)
    if wanted.created_before:
        conditions.append(Job.created_at < wanted.created_before)
    return conditions


async def _of_document(session: AsyncSession, wanted: JobFilter) -> list[ColumnElement[bool]]:
    """Conditions on the documents of jobs."""
    conditions: list[ColumnElement[bool]] = [VISIBLE]
    if wanted.collection:
        conditions.append(Document.collection_id == (await collections.find(session, wanted.collection)).id)
    if wanted.superseded is not None:
        conditions.append((Document.job_id != Job.id) == wanted.superseded)
    return conditions


async def ids_of(session: AsyncSession, document_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """The ids of each document's jobs, oldest first."""
    found = select(Job.document_id, Job.id).where(Job.document_id.in_(document_ids)).order_by(Job.id)
    ids: dict[str, list[str]] = {}
    for document_id, job_id in await session.execute(found):
        ids.setdefault(document_id, []).append(job_id)
    return ids
