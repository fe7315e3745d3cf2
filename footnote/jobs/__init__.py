"""Jobs and their transitions: claim, renew, finish a step, postpone, fail, cancel, retry, restart.

A job is one row with a cursor (`step`), claimed and fenced by `database.leases`. A message has only its id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, case, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import webhooks
from footnote.database import leases
from footnote.database.clock import from_now
from footnote.database.driver import driver, planning_once
from footnote.database.ids import new_id
from footnote.database.leases import Lease, LeaseLost
from footnote.database.tenant_scope import acting, scoped, tenant_of
from footnote.errors import Conflict, FootnoteError, NotFound
from footnote.jobs import statements
from footnote.models import Document, Job, JobStep, Pause, Version
from footnote.models.documents import VISIBLE
from footnote.settings import Settings
from footnote.telemetry import log, traces
from footnote.tenancy import audit_log
from footnote.text import clean

STEPS = ("chunk", "embed", "upsert")
LARGE_BYTES = 1024 * 1024  # a document of this size counts as large until its chunks are counted
LARGE_CHUNKS = 200  # a large document has more; embedding as many takes some 12 seconds on one core
CRASH_RETRIES = 3  # after errors that are counted with the crashes of workers
CHANNEL = "footnote_jobs"  # Postgres NOTIFY channel that wakes the dispatcher
TERMINAL = ("succeeded", "failed", "cancelled")
UNFINISHED = leases.UNFINISHED
PAUSE_ENDS, FREE_WORKER, ITS_TURN = "the end of the pause", "a free worker", "its turn"  # what jobs wait for
NOT_PAUSED = ~exists(select(Pause))


class Lane(StrEnum):
    """Small documents pass large ones in a lane of their own; the value names the queue in the broker."""

    SMALL = "ingest"
    LARGE = "ingest.large"


@dataclass(frozen=True)
class Claim:
    """The right to work on one step of a job, until the lease runs out.

    `done`: units that earlier runs of the step finished, in order; `counts` are of those units. `alone`: its message
    names no other job.
    """

    job_id: str
    tenant_id: str
    document_id: str
    version_id: str
    step: str
    token: int
    attempts: int
    done: int
    counts: dict[str, Any]
    alone: bool = True
    large: bool = False  # in the lane of large documents
    traceparent: str | None = None

    @property
    def lease(self) -> Lease:
        return Lease(Job, self.job_id, self.token)


def claim_of(job: Job, counts: dict[str, Any] | None = None) -> Claim:
    ids = (job.id, job.tenant_id, job.document_id, job.version_id)
    return Claim(
        *ids, job.step, job.token, job.attempts, job.progress_done, counts or {}, True, job.large, job.traceparent
    )


async def _write(session: AsyncSession, claim: Claim, **values: Any) -> None:
    """Writes to the job if `claim` still holds it. Raises LeaseLost."""
    await leases.write(session, claim.lease, updated_at=func.now(), **values)


async def write_step(session: AsyncSession, job_id: str, step: str, **values: Any) -> None:
    await session.execute(update(JobStep).where(JobStep.job_id == job_id, JobStep.name == step).values(**values))


# -- created ---------------------------------------------------------------------------------------------------

ROWS = statements.ROWS


async def create(
    session: AsyncSession, version: Version, *, job_id: str | None = None, reingestion: bool = False
) -> Job:
    """A queued job, in no session; the dispatcher is woken when the caller's transaction commits."""
    of = job_id or new_id("job"), version.tenant_id, version.document_id, version.id
    large = version.bytes >= LARGE_BYTES or reingestion
    request_id = acting(session).request_id or None
    connection, trace = await driver(session), traces.traceparent()
    row = await connection.fetchrow(
        statements.CREATE, *of, request_id, large, reingestion, STEPS[0], STEPS, CHANNEL, trace
    )
    assert row is not None
    return ROWS.read(row[: len(ROWS)])


async def unsend(session: AsyncSession, job_ids: Sequence[str]) -> None:
    """Has jobs sent again that no worker has claimed, because their message had no effect."""
    unclaimed = Job.id.in_(job_ids) & Job.state.in_(leases.UNCLAIMED)
    await session.execute(update(Job).where(unclaimed).values(dispatched_at=None))
    await wake_dispatcher(session)


async def wake_dispatcher(session: AsyncSession) -> None:
    await (await driver(session)).execute("SELECT pg_notify($1, '')", CHANNEL)


# -- worked on -----------------------------------------------------------------------------------------------


async def claim(
    session: AsyncSession,
    job_id: str,
    step: str,
    lease_seconds: float,
    holder: str | None = None,
    *,
    alone: bool = True,
) -> Claim | None:
    """Claims the job if `step` is due now; None for a late, duplicate or early message, and in a pause.

    `alone`: the message names no other job; others give only jobs that were not attempted before.
    """
    row = await (await driver(session)).fetchrow(statements.CLAIM, job_id, step, holder, lease_seconds, alone)
    return Claim(**row, alone=alone) if row else None


async def renew(
    session: AsyncSession,
    claim: Claim,
    lease_seconds: float,
    done: int | None = None,
    total: int | None = None,
) -> None:
    """A heartbeat, with progress in the step's unit. Raises LeaseLost."""
    values: dict[str, Any] = {"lease_until": from_now(lease_seconds)}
    if done is not None:
        values |= {"progress_done": done, "progress_total": total}
    await _write(session, claim, **values)


async def checkpoint(
    session: AsyncSession, claim: Claim, lease_seconds: float, done: int, total: int | None, counts: dict[str, Any]
) -> None:
    """A renewal after work that will not be repeated: earlier errors and crashes no longer count."""
    values = {"lease_until": from_now(lease_seconds), "progress_done": done, "progress_total": total}
    await _write(session, claim, attempts=1, retries=0, **values)
    await write_step(session, claim.job_id, claim.step, counts=counts)


async def finish_step(session: AsyncSession, claim: Claim, counts: dict[str, Any]) -> bool:
    """Moves the cursor; True when that was the last step. Raises LeaseLost: the caller's output rolls back.

    `counts` go to the step's history; its "chunks" are the work of the next step.

    `dispatched_at` is set because the message for the next step is already on its way in the Celery chain. It is not
    if the number of chunks moves the job to the other lane, or if its message named other jobs, too: then another
    message is sent.
    """
    last = claim.step == STEPS[-1]
    if last:
        values: dict[str, Any] = {
            "state": "succeeded",
            "finished_at": func.now(),
            "dispatched_at": None,
            "progress_done": counts.get("chunks", 0),
            "progress_total": counts.get("chunks"),
        }
    else:
        following = STEPS[STEPS.index(claim.step) + 1]
        begun = select(func.least(1, JobStep.attempts)).where(JobStep.job_id == claim.job_id, JobStep.name == following)
        values = {
            "state": "queued",
            "step": following,
            "attempts": begun.scalar_subquery(),  # in a run whose process died: that was an attempt, too
            "retries": 0,
            "next_attempt_at": func.now(),
            "dispatched_at": func.now(),
            "progress_done": 0,
            "progress_total": counts.get("chunks"),
        }
    if claim.step == STEPS[0]:
        large = or_(Job.reingestion, counts.get("chunks", 0) > LARGE_CHUNKS)
        values |= {"large": large, "dispatched_at": case((Job.large == large, func.now())) if claim.alone else None}
    await _write(session, claim, lease_until=None, error_code=None, error_message=None, **values)
    await write_step(session, claim.job_id, claim.step, state="succeeded", finished_at=func.now(), counts=counts)
    if last:
        await webhooks.enqueue(session, [claim.job_id], "document.ready")
    elif not claim.alone:
        await wake_dispatcher(session)
    return last


async def postpone(
    session: AsyncSession,
    claim: Claim,
    error: FootnoteError,
    settings: Settings,
    back_to: str | None = None,
) -> bool:
    """After a temporary error: waits and tries again, this step or one before. False when retries are used up.

    Exponential backoff with jitter, or longer if the other side asked for it. What `is_crash` is counted like a crash
    of the worker. What is no failure, such as a rate limit, uses up no retries and waits as long as the answer says.
    """
    job = (await session.execute(select(Job.attempts, Job.retries).where(claim.lease.fence))).one_or_none()
    if job is None:
        raise LeaseLost(claim.job_id)
    attempts, retries = job
    failed = error.is_failure and not error.is_crash
    if attempts > CRASH_RETRIES if error.is_crash else failed and retries >= settings.max_retries:
        return False
    doublings = retries + attempts - 1 if error.is_failure else 0
    again: dict[str, Any] = {"step": back_to, "progress_done": 0} if back_to else {}
    await leases.put_back(
        session,
        claim.lease,
        after=max(error.retry_after or 0.0, leases.backoff(doublings)),
        waiting_for=clean(f"{error.waits_for}: {error.message}"),
        attempts=attempts if error.is_crash else attempts - 1,
        retries=retries + 1 if failed else retries,
        error_code=error.code,
        error_message=clean(error.message),
        updated_at=func.now(),
        **again,
    )
    await write_step(session, claim.job_id, claim.step, state="pending")
    await write_step(session, claim.job_id, back_to or claim.step, state="waiting")
    return True


async def release(session: AsyncSession, claim: Claim, back_to: str | None = None) -> None:
    """Gives the step back because it yields or the worker shuts down: due at once, not counted.

    `back_to`: an earlier step, whose output was not stored yet.
    """
    again: dict[str, Any] = {"step": back_to, "progress_done": 0} if back_to else {}
    await leases.put_back(session, claim.lease, updated_at=func.now(), **again)
    for step in {claim.step, back_to or claim.step}:
        await write_step(session, claim.job_id, step, state="pending", finished_at=None)
    await wake_dispatcher(session)


async def fail(session: AsyncSession, claim: Claim, code: str, message: str) -> None:
    """Ends the job permanently and queues the webhooks. Raises LeaseLost."""
    await _write(
        session,
        claim,
        state="failed",
        lease_until=None,
        error_code=code,
        error_message=clean(message),
        finished_at=func.now(),
    )
    await write_step(session, claim.job_id, claim.step, state="failed", finished_at=func.now())
    await webhooks.enqueue(session, [claim.job_id], "document.failed")
    log.warning("document failed", document_id=claim.document_id, job_id=claim.job_id, code=code, reason=message)


# -- looked up, cancelled, begun again -------------------------------------------------------------------------


_READ = f"""
    SELECT {ROWS.columns} FROM job
    JOIN document ON document.id = job.document_id JOIN collection ON collection.id = document.collection_id
    WHERE job.tenant_id = $1 AND job.id = $2 AND collection.deleted_at IS NULL
    """  # noqa: S608  constants


async def read(session: AsyncSession, job_id: str) -> Job:
    """The job to look at, in no session. Raises NotFound."""
    row = await (await planning_once(session)).fetchrow(_READ, tenant_of(session), job_id)
    if row is None:
        raise unknown(job_id)
    return ROWS.read(row)


def unknown(job_id: str) -> NotFound:
    return NotFound("job_not_found", f"There is no job {job_id!r}.")


async def get(session: AsyncSession, job_id: str) -> Job:
    """The job to change. Raises NotFound."""
    query = scoped(session, Job).join(Document, Document.id == Job.document_id)
    job = await session.scalar(query.where(Job.id == job_id, VISIBLE))
    if job is None:
        raise unknown(job_id)
    return job


async def steps(session: AsyncSession, job_id: str) -> Sequence[JobStep]:
    found = await session.scalars(select(JobStep).where(JobStep.job_id == job_id).order_by(JobStep.position))
    return found.all()


async def cancel(session: AsyncSession, job_id: str) -> Job:
    """Ends an unfinished job; the worker notices at its next write, which is fenced. Raises Conflict."""
    job = await get(session, job_id)
    if not await end_unfinished(session, Job.id == job.id):
        raise Conflict("job_finished", f"The job is {job.state}; only an unfinished one can be cancelled.")
    await audit_log.note(session, "document.cancelled", job.document_id, job_id=job.id)
    await session.refresh(job)
    return job


async def end_unfinished(
    session: AsyncSession, which: ColumnElement[bool], event: str | None = "document.cancelled"
) -> Sequence[str]:
    """Cancels the unfinished jobs of `which`, and queues webhooks of the event; returns their ids."""
    ending = leases.ending(Job, which, "cancelled").values(updated_at=func.now())
    ids = (await session.scalars(ending.returning(Job.id))).all()
    stopped = update(JobStep).where(JobStep.job_id.in_(ids), JobStep.state.in_(("running", "waiting")))
    await session.execute(stopped.values(state="pending"))
    if event:
        await webhooks.enqueue(session, ids, event)
    return ids


async def retry(session: AsyncSession, job_id: str) -> Job:
    """Queues a failed or cancelled job again, at the step it stopped at. Raises Conflict."""
    job = await get(session, job_id)
    newest = select(Document.job_id).where(Document.id == job.document_id).with_for_update(read=True)
    if await session.scalar(newest) != job.id:
        raise Conflict("job_superseded", "The document was uploaded again since and has a newer job.")
    if not await requeue(session, Job.id == job.id):
        raise Conflict("job_not_retryable", f"The job is {job.state}; only a failed or cancelled one can be retried.")
    await session.refresh(job)
    return job


async def requeue(session: AsyncSession, which: ColumnElement[bool]) -> Sequence[str]:
    """Requeues the failed or cancelled jobs of `which`, at the step where they stopped; returns their ids.

    One job for each document. The caller holds the documents, or a job could overtake a newer upload.
    """
    requeued = await session.execute(
        update(Job)
        .where(which, Job.state.in_(("failed", "cancelled")))
        .values(
            state="queued",
            run=Job.run + 1,
            attempts=0,
            retries=0,
            error_code=None,
            error_message=None,
            next_attempt_at=func.now(),
            dispatched_at=None,
            finished_at=None,
            updated_at=func.now(),
        )
        .returning(Job.id, Job.document_id)
    )
    job_ids = {row.document_id: row.id for row in requeued}
    ids = list(job_ids.values())
    actions = {document_id: {"job_id": job_id} for document_id, job_id in job_ids.items()}
    await audit_log.note_each(session, "document.retried", actions)
    stopped = update(JobStep).where(JobStep.job_id == Job.id, JobStep.name == Job.step, Job.id.in_(ids))
    await session.execute(stopped.values(state="pending", finished_at=None))
    await wake_dispatcher(session)
    return ids


async def restart(session: AsyncSession, job: Job) -> None:
    """Restarts the job at its first step, in any state. A worker at work notices at its next write."""
    if job.state in TERMINAL:
        job.run += 1
    job.state, job.step, job.token = "queued", STEPS[0], job.token + 1
    job.attempts = job.retries = job.progress_done = 0
    job.next_attempt_at = func.now()
    job.lease_until = job.dispatched_at = job.finished_at = job.progress_total = None
    job.waiting_for = job.error_code = job.error_message = None
    pending: dict[str, Any] = {"state": "pending", "counts": {}, "started_at": None, "finished_at": None}
    await session.execute(update(JobStep).where(JobStep.job_id == job.id).values(**pending))
    await session.flush()
    await wake_dispatcher(session)
