"""Chooses the next job: a lane for small and one for large documents, each with tenants in rotation; and the pause.

A step that takes long yields at a checkpoint: it gives its worker's slot back while others wait for one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, exists, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from footnote import jobs
from footnote.database import leases
from footnote.database.clock import from_now
from footnote.database.driver import driver
from footnote.jobs import STEPS, Lane
from footnote.models import Job, Pause
from footnote.settings import Settings
from footnote.tenancy import audit_log

MESSAGE_JOBS = 16  # in one message
MESSAGE_BYTES = 256 * 1024  # of the documents in one message

WAITING_SECONDS = 1.0  # a job that is due for less than this may still find a free slot


@dataclass(frozen=True)
class JobMessage:
    """What one message of the broker asks for: a step of a job, or the first step of several."""

    step: str
    job_ids: list[str]


# The tenants by a loose index scan, then the first few jobs of each: the cost does not grow with the backlog.
_TAKE_DUE = text(
    """
    WITH RECURSIVE waiting AS (
        SELECT CAST('' AS varchar) AS tenant_id
        UNION ALL
        SELECT (SELECT tenant_id FROM job WHERE state IN ('queued', 'waiting') AND large = :large
                AND tenant_id > waiting.tenant_id ORDER BY tenant_id, level LIMIT 1)
        FROM waiting WHERE waiting.tenant_id IS NOT NULL
    ), in_flight AS (
        SELECT tenant_id, count(*) AS jobs
        FROM (SELECT tenant_id FROM job WHERE state = 'running' AND large = :large
              UNION ALL
              SELECT tenant_id FROM job WHERE state IN ('queued', 'waiting') AND large = :large
              AND dispatched_at >= now() - make_interval(secs => :again)) AS sent
        GROUP BY tenant_id
    ), chosen AS MATERIALIZED (
        SELECT due.id
        FROM waiting LEFT JOIN in_flight USING (tenant_id) CROSS JOIN LATERAL (
            SELECT id, next_attempt_at, row_number() OVER (ORDER BY level, id) AS place
            FROM job
            WHERE state IN ('queued', 'waiting') AND large = :large AND tenant_id = waiting.tenant_id
              AND next_attempt_at <= now()
              AND (dispatched_at IS NULL OR dispatched_at < now() - make_interval(secs => :again))
            ORDER BY level, id LIMIT :room
        ) AS due
        ORDER BY due.place + coalesce(in_flight.jobs, 0), due.next_attempt_at LIMIT :room
    )
    UPDATE job SET dispatched_at = now()
    FROM chosen
    WHERE job.id = chosen.id AND job.next_attempt_at <= now()
    RETURNING job.id, job.step
    """
)


async def take_due(session: AsyncSession, lane: Lane, room: int, again_seconds: float) -> Sequence[tuple[str, str]]:
    """Up to `room` due jobs of a lane as (id, step), marked as dispatched; tenants in rotation.

    Within a tenant the older goes first, whatever interrupted it. The jobs that a tenant has in flight go
    before its first one. A job already dispatched is due again after `again_seconds` without being claimed.
    """
    if room <= 0:
        return []
    taken = await session.execute(_TAKE_DUE, {"large": lane is Lane.LARGE, "room": room, "again": again_seconds})
    return [(row.id, row.step) for row in taken]


# Small documents that no worker has begun. One that was attempted before goes alone: it may kill its worker.
_TOGETHER = """
SELECT job.id, document.collection_id, version.bytes
FROM job JOIN version ON version.id = job.version_id JOIN document ON document.id = job.document_id
WHERE job.id = ANY($1) AND job.step = $2 AND NOT job.large AND job.attempts = 0 AND job.retries = 0
  AND version.object_key IS NOT NULL AND version.bytes <= $3
"""


async def in_messages(session: AsyncSession, due: Sequence[tuple[str, str]], settings: Settings) -> list[JobMessage]:
    """The due jobs, in their order, in messages: several small documents of a collection share one.

    A message is no longer than leaves one for each slot of a worker. If a single crash fails a document, each has a
    message of its own.
    """
    first = [job_id for job_id, step in due if step == STEPS[0]] if settings.max_attempts > 1 else []
    found = await (await driver(session)).fetch(_TOGETHER, first, STEPS[0], MESSAGE_BYTES) if len(first) > 1 else []
    small = {row["id"]: (row["collection_id"], row["bytes"]) for row in found}
    most = min(MESSAGE_JOBS, -(-len(small) // settings.worker_concurrency))
    messages: list[JobMessage] = []
    open_: dict[str, tuple[JobMessage, int]] = {}  # by collection, with the bytes that it has room for
    for job_id, step in due:
        collection, size = small.get(job_id, ("", 0))
        message, room = open_.get(collection, (JobMessage(step, []), 0))
        if room < size or not size or len(message.job_ids) >= most:
            message, room = JobMessage(step, []), MESSAGE_BYTES
            messages.append(message)
        message.job_ids.append(job_id)
        if size:
            open_[collection] = (message, room - size)
    return messages


@dataclass(frozen=True)
class JobsInFlight:
    """Jobs that run, by lane, and those of the small lane that were sent a short time ago and wait for a worker."""

    running: dict[Lane, int]
    sent: int


_IN_FLIGHT = """
SELECT pg_try_advisory_xact_lock($1) AS mine, EXISTS (SELECT FROM pause) AS paused,
       (SELECT count(*) FROM job WHERE state = 'running' AND NOT large) AS small,
       (SELECT count(*) FROM job WHERE state = 'running' AND large) AS large,
       (SELECT count(*) FROM job WHERE state IN ('queued', 'waiting') AND NOT large
        AND dispatched_at > now() - make_interval(secs => $2)) AS sent
"""


async def read_in_flight(session: AsyncSession, lock: int, seconds: float) -> JobsInFlight | None:
    """What was sent in the last `seconds` and what runs; None in a pause, or if another transaction has the lock.

    The transaction has the advisory lock until it ends.
    """
    row = await (await driver(session)).fetchrow(_IN_FLIGHT, lock, seconds)
    if row is None or row["paused"] or not row["mine"]:
        return None
    return JobsInFlight({Lane.SMALL: row["small"], Lane.LARGE: row["large"]}, row["sent"])


async def others_wait(session: AsyncSession, job_id: str) -> bool:
    """Whether a running job should yield: jobs with priority wait, or work is paused.

    Others go first that are small, of another tenant, or have yielded less often.
    """
    other = aliased(Job)
    waits = other.state.in_(leases.UNCLAIMED) & (other.next_attempt_at < from_now(-WAITING_SECONDS))
    same_lane = other.large == Job.large
    before = (
        Job.large & ~other.large,
        same_lane & (other.tenant_id < Job.tenant_id),
        same_lane & (other.tenant_id > Job.tenant_id),
        same_lane & (other.tenant_id == Job.tenant_id) & (other.level < Job.level),
    )
    # In the order of the index, or the planner reads the table because it expects to find a row soon.
    found = (select(other.id).where(waits, each).order_by(other.tenant_id, other.level).limit(1) for each in before)
    answers = (each.scalar_subquery().is_not(None) for each in found)
    return bool(await session.scalar(select(or_(exists(select(Pause)), *answers)).where(Job.id == job_id)))


# -- paused --------------------------------------------------------------------------------------------------


async def pause(session: AsyncSession) -> None:
    """No further step of any job begins; running ones end, or yield at their next checkpoint."""
    if await paused(session) is None:
        session.add(Pause())
        await audit_log.note_for(session, audit_log.EVERYBODY, "work.paused", "")


async def resume(session: AsyncSession) -> None:
    if await paused(session) is not None:
        await audit_log.note_for(session, audit_log.EVERYBODY, "work.resumed", "")
    await session.execute(delete(Pause))
    await leases.forget_dispatched(session, Job)  # messages answered during the pause found nothing to do
    await jobs.wake_dispatcher(session)


async def paused(session: AsyncSession) -> datetime | None:
    """Since when, if at all."""
    return await session.scalar(select(func.min(Pause.since)))
