"""A job's life: claim, lease, heartbeat, step done, postpone, fail, cancel; and what stands still.

A job is one row with a cursor (`step`). A message in the broker is only a doorbell: whoever answers it must first
claim the row, which raises a fencing token, and may write only while it holds the newest token. So a lost,
doubled, late or reordered message does no harm. All times are the database's.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from footnote.errors import Conflict, FootnoteError, NotFound
from footnote.ids import new_id
from footnote.models import Document, Job, JobStep, Version
from footnote.settings import Settings
from footnote.tenants import scoped
from footnote.text import clean

STEPS = ("chunk", "embed", "upsert")
CHANNEL = "footnote_jobs"  # Postgres NOTIFY channel that wakes the dispatcher
TERMINAL = ("succeeded", "failed", "cancelled")
UNFINISHED = ("queued", "running", "waiting")


class LeaseLost(Exception):
    """Somebody else holds the job now (or it was cancelled); whatever this holder does must not count."""


@dataclass(frozen=True)
class Claim:
    """The right to work on one step of a job, until the lease runs out."""

    job_id: str
    tenant_id: str
    document_id: str
    version_id: str
    step: str
    token: int
    attempts: int
    retries: int


def _seconds(seconds: float) -> ColumnElement[Any]:
    return func.make_interval(0, 0, 0, 0, 0, 0, seconds)


def _fence(claim: Claim) -> ColumnElement[bool]:
    return (Job.id == claim.job_id) & (Job.token == claim.token) & (Job.state == "running")


async def _write(session: AsyncSession, claim: Claim, **values: Any) -> None:
    """Writes to the job if `claim` still holds it. Raises LeaseLost."""
    result = await session.execute(update(Job).where(_fence(claim)).values(updated_at=func.now(), **values))
    if _rows(result) != 1:
        raise LeaseLost(claim.job_id)


def _rows(result: Any) -> int:
    assert isinstance(result, CursorResult)
    return result.rowcount


async def _write_step(session: AsyncSession, job_id: str, step: str, **values: Any) -> None:
    await session.execute(update(JobStep).where(JobStep.job_id == job_id, JobStep.name == step).values(**values))


# -- made ----------------------------------------------------------------------------------------------------


async def create(
    session: AsyncSession,
    *,
    tenant_id: str,
    document_id: str,
    version_id: str,
    callback_url: str | None,
    request_id: str | None,
) -> Job:
    """A queued job; the dispatcher hears of it when the caller's transaction commits."""
    job = Job(
        id=new_id("job"),
        tenant_id=tenant_id,
        document_id=document_id,
        version_id=version_id,
        step=STEPS[0],
        callback_url=callback_url,
        request_id=request_id,
    )
    session.add(job)
    await session.flush()
    session.add_all(
        JobStep(job_id=job.id, tenant_id=tenant_id, name=name, position=position) for position, name in enumerate(STEPS)
    )
    await session.flush()
    await session.refresh(job)
    await wake_dispatcher(session)
    return job


async def wake_dispatcher(session: AsyncSession) -> None:
    await session.execute(select(func.pg_notify(CHANNEL, "")))


# -- worked on -----------------------------------------------------------------------------------------------


async def claim(session: AsyncSession, job_id: str, step: str, lease_seconds: float) -> Claim | None:
    """Takes the job if `step` is the one due now; None for every late, doubled or early message."""
    claimed = await session.execute(
        update(Job)
        .where(
            Job.id == job_id,
            Job.step == step,
            Job.state.in_(("queued", "waiting")),
            Job.next_attempt_at <= func.now(),
        )
        .values(
            state="running",
            token=Job.token + 1,
            attempts=Job.attempts + 1,
            lease_until=func.now() + _seconds(lease_seconds),
            next_attempt_at=None,
            waiting_for=None,
            updated_at=func.now(),
        )
        .returning(Job)
    )
    job = claimed.scalar_one_or_none()
    if job is None:
        return None
    await _write_step(
        session,
        job_id,
        step,
        state="running",
        attempts=JobStep.attempts + 1,
        started_at=func.coalesce(JobStep.started_at, func.now()),
    )
    return _claim_of(job)


async def renew(
    session: AsyncSession,
    claim: Claim,
    lease_seconds: float,
    done: int | None = None,
    total: int | None = None,
) -> None:
    """A heartbeat, with progress in the step's unit. Raises LeaseLost."""
    values: dict[str, Any] = {"lease_until": func.now() + _seconds(lease_seconds)}
    if done is not None:
        values |= {"progress_done": done, "progress_total": total}
    await _write(session, claim, **values)


async def finish_step(session: AsyncSession, claim: Claim, counts: dict[str, Any]) -> bool:
    """Moves the cursor; True when that was the last step. Raises LeaseLost: the caller's output rolls back.

    `dispatched_at` is set because the message for the next step is already on its way in the Celery chain.
    """
    last = claim.step == STEPS[-1]
    if last:
        values: dict[str, Any] = {"state": "succeeded", "finished_at": func.now(), "dispatched_at": None}
    else:
        values = {
            "state": "queued",
            "step": STEPS[STEPS.index(claim.step) + 1],
            "attempts": 0,
            "retries": 0,
            "next_attempt_at": func.now(),
            "dispatched_at": func.now(),
            "progress_done": 0,
            "progress_total": None,
        }
    await _write(session, claim, lease_until=None, error_code=None, error_message=None, **values)
    await _write_step(session, claim.job_id, claim.step, state="succeeded", finished_at=func.now(), counts=counts)
    return last


async def postpone(
    session: AsyncSession, claim: Claim, error: FootnoteError, settings: Settings, back_to: str | None = None
) -> bool:
    """After a temporary error: waits and tries again, this step or one before. False when retries are used up.

    Exponential backoff with full jitter, or what the other side asked for. Not counted as a crash.
    """
    if claim.retries >= settings.max_retries:
        return False
    delay = error.retry_after
    if delay is None:
        delay = min(300.0, 2.0**claim.retries) * random.uniform(0.5, 1.0)  # noqa: S311  spreading, not secrecy
    await _write(
        session,
        claim,
        state="waiting",
        step=back_to or claim.step,
        attempts=Job.attempts - 1,
        retries=Job.retries + 1,
        lease_until=None,
        next_attempt_at=func.now() + _seconds(delay),
        dispatched_at=None,
        waiting_for=clean(error.message),
        error_code=error.code,
        error_message=clean(error.message),
    )
    await _write_step(session, claim.job_id, claim.step, state="pending")
    await _write_step(session, claim.job_id, back_to or claim.step, state="waiting")
    return True


async def release(session: AsyncSession, claim: Claim) -> None:
    """Gives the step back unharmed (the worker is shutting down): due at once, not counted as a crash."""
    await _write(
        session,
        claim,
        state="queued",
        attempts=Job.attempts - 1,
        lease_until=None,
        next_attempt_at=func.now(),
        dispatched_at=None,
    )
    await _write_step(session, claim.job_id, claim.step, state="pending")
    await wake_dispatcher(session)


async def fail(session: AsyncSession, claim: Claim, code: str, message: str) -> None:
    """Ends the job for good. Raises LeaseLost."""
    await _write(
        session,
        claim,
        state="failed",
        lease_until=None,
        error_code=code,
        error_message=clean(message),
        finished_at=func.now(),
    )
    await _write_step(session, claim.job_id, claim.step, state="failed", finished_at=func.now())


# -- looked after (the dispatcher) ---------------------------------------------------------------------------


async def reap(session: AsyncSession, settings: Settings) -> tuple[list[str], list[Claim]]:
    """Takes jobs back whose worker went silent: (ids to be sent again, claims to be failed as poison)."""
    silent = await session.execute(
        select(Job)
        .where(Job.state == "running", Job.lease_until < func.now())
        .order_by(Job.lease_until)
        .limit(100)
        .with_for_update(skip_locked=True)
    )
    again: list[str] = []
    poison: list[Claim] = []
    for job in silent.scalars():
        job.token += 1  # fences the silent worker, should it wake
        if job.attempts >= settings.max_attempts:
            poison.append(_claim_of(job))
        else:
            job.state, job.lease_until, job.dispatched_at = "waiting", None, None
            job.waiting_for = "another attempt: the worker stopped answering"
            job.next_attempt_at = await session.scalar(select(func.now() + _seconds(min(30.0, 0.5 * 2**job.attempts))))
            await _write_step(session, job.id, job.step, state="waiting")
            again.append(job.id)
    await session.flush()
    return again, poison


def _claim_of(job: Job) -> Claim:
    return Claim(job.id, job.tenant_id, job.document_id, job.version_id, job.step, job.token, job.attempts, job.retries)


async def take_due(session: AsyncSession, room: int, again_seconds: float) -> Sequence[tuple[str, str]]:
    """Up to `room` due jobs as (id, step), marked as dispatched; tenants take turns, oldest first within one.

    A job already dispatched is due again after `again_seconds` without being claimed.
    """
    due = (Job.state.in_(("queued", "waiting")) & (Job.next_attempt_at <= func.now())) & or_(
        Job.dispatched_at.is_(None), Job.dispatched_at < func.now() - _seconds(again_seconds)
    )
    turn = func.row_number().over(partition_by=Job.tenant_id, order_by=Job.next_attempt_at)
    ranked = select(Job.id, turn.label("turn"), Job.next_attempt_at).where(due).subquery()
    chosen = select(ranked.c.id).order_by(ranked.c.turn, ranked.c.next_attempt_at).limit(room)
    taken = await session.execute(
        update(Job).where(Job.id.in_(chosen), due).values(dispatched_at=func.now()).returning(Job.id, Job.step)
    )
    return [(row.id, row.step) for row in taken]


async def forget_dispatched(session: AsyncSession) -> None:
    """The broker lost its messages: every waiting job may be sent again at once."""
    await session.execute(
        update(Job)
        .where(Job.state.in_(("queued", "waiting")), Job.dispatched_at.is_not(None))
        .values(dispatched_at=None)
    )


# -- asked about ---------------------------------------------------------------------------------------------


async def get(session: AsyncSession, tenant_id: str, job_id: str) -> Job:
    job = await session.scalar(scoped(Job, tenant_id).where(Job.id == job_id))
    if job is None:
        raise NotFound("job_not_found", f"There is no job {job_id!r}.")
    return job


async def steps(session: AsyncSession, job_id: str) -> Sequence[JobStep]:
    found = await session.scalars(select(JobStep).where(JobStep.job_id == job_id).order_by(JobStep.position))
    return found.all()


async def page_of(
    session: AsyncSession, tenant_id: str, *, limit: int, before: str | None, states: Sequence[str]
) -> list[tuple[Job, Version]]:
    """Newest first, `limit` at most, older than the id `before`; each with the version it works on."""
    query = scoped(Job, tenant_id).join(Version, Version.id == Job.version_id).add_columns(Version)
    query = query.order_by(Job.id.desc()).limit(limit)
    if before:
        query = query.where(Job.id < before)
    if states:
        query = query.where(Job.state.in_(states))
    return [(row[0], row[1]) for row in await session.execute(query)]


async def cancel(session: AsyncSession, tenant_id: str, job_id: str) -> Job:
    """Ends an unfinished job; the worker notices at its next write, which is fenced. Raises Conflict."""
    job = await get(session, tenant_id, job_id)
    if not await end_unfinished(session, Job.id == job.id):
        raise Conflict("job_finished", f"The job is {job.state}; only an unfinished one can be cancelled.")
    await session.refresh(job)
    return job


async def end_unfinished(session: AsyncSession, which: ColumnElement[bool]) -> Sequence[str]:
    """Cancels those of the jobs `which` that have not ended; their ids."""
    ended = await session.scalars(
        update(Job)
        .where(which, Job.state.in_(UNFINISHED))
        .values(
            state="cancelled",
            token=Job.token + 1,
            lease_until=None,
            next_attempt_at=None,
            waiting_for=None,
            finished_at=func.now(),
            updated_at=func.now(),
        )
        .returning(Job.id)
    )
    ids = ended.all()
    stopped = update(JobStep).where(JobStep.job_id.in_(ids), JobStep.state.in_(("running", "waiting")))
    await session.execute(stopped.values(state="pending"))
    return ids


async def retry(session: AsyncSession, tenant_id: str, job_id: str) -> Job:
    """Drives a failed or cancelled job on from the step it stopped at. Raises Conflict."""
    job = await get(session, tenant_id, job_id)
    newest = select(Document.job_id).where(Document.id == job.document_id).with_for_update(read=True)
    if await session.scalar(newest) != job.id:
        raise Conflict("job_superseded", "The document was uploaded again since and has a newer job.")
    done = await session.execute(
        update(Job)
        .where(Job.id == job.id, Job.state.in_(("failed", "cancelled")))
        .values(
            state="queued",
            attempts=0,
            retries=0,
            error_code=None,
            error_message=None,
            next_attempt_at=func.now(),
            dispatched_at=None,
            finished_at=None,
            updated_at=func.now(),
        )
    )
    if _rows(done) != 1:
        raise Conflict("job_not_retryable", f"The job is {job.state}; only a failed or cancelled one can be retried.")
    await _write_step(session, job.id, job.step, state="pending", finished_at=None)
    await wake_dispatcher(session)
    await session.refresh(job)
    return job


async def overview(session: AsyncSession) -> dict[str, float]:
    """Jobs by state, and the age in seconds of the oldest one that is due; for metrics."""
    counted = (await session.execute(select(Job.state, func.count()).group_by(Job.state))).all()
    numbers: dict[str, float] = dict(counted)
    waited = func.extract("epoch", func.now() - func.min(Job.next_attempt_at))
    oldest = select(waited).where(Job.state.in_(("queued", "waiting")), Job.next_attempt_at <= func.now())
    numbers["oldest_due_seconds"] = float(await session.scalar(oldest) or 0)
    return numbers
