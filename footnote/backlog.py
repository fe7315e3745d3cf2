"""Jobs that nobody works on: those that are due, and those whose worker went silent. For the dispatcher."""

from collections.abc import Sequence

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.clock import from_now
from footnote.jobs import STEPS, UNFINISHED, Claim, claim_of, write_step
from footnote.models import Job
from footnote.settings import Settings


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
            poison.append(claim_of(job))
        else:
            job.state, job.lease_until, job.dispatched_at = "waiting", None, None
            job.waiting_for = "another attempt: the worker stopped answering"
            job.next_attempt_at = await session.scalar(select(from_now(min(30.0, 0.5 * 2**job.attempts))))
            await write_step(session, job.id, job.step, state="waiting")
            again.append(job.id)
    await session.flush()
    return again, poison


async def take_due(session: AsyncSession, room: int, again_seconds: float) -> Sequence[tuple[str, str]]:
    """Up to `room` due jobs as (id, step), marked as dispatched; tenants take turns, oldest first within one.

    A tenant's turns begin behind what it has in flight already. What was begun goes before what was not: a job that
    its worker left must not wait behind a long queue again. A job already dispatched is due again after
    `again_seconds` without being claimed.
    """
    due = (Job.state.in_(("queued", "waiting")) & (Job.next_attempt_at <= func.now())) & or_(
        Job.dispatched_at.is_(None), Job.dispatched_at < from_now(-again_seconds)
    )
    sent = Job.state.in_(("queued", "waiting")) & (Job.dispatched_at >= from_now(-again_seconds))
    flying = (
        select(Job.tenant_id, func.count().label("jobs"))
        .where(or_(Job.state == "running", sent))
        .group_by(Job.tenant_id)
        .subquery()
    )
    begun = (Job.step != STEPS[0]) | (Job.attempts > 0)
    place = func.row_number().over(partition_by=Job.tenant_id, order_by=(begun.desc(), Job.next_attempt_at))
    turn = place + func.coalesce(flying.c.jobs, 0)
    ranked = (
        select(Job.id, turn.label("turn"), begun.label("begun"), Job.next_attempt_at)
        .outerjoin(flying, flying.c.tenant_id == Job.tenant_id)
        .where(due)
        .subquery()
    )
    chosen = select(ranked.c.id).order_by(ranked.c.turn, ranked.c.begun.desc(), ranked.c.next_attempt_at).limit(room)
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


async def overview(session: AsyncSession) -> dict[str, float]:
    """Unfinished jobs by state, and the age in seconds of the oldest one that is due; for metrics."""
    unfinished = select(Job.state, func.count()).where(Job.state.in_(UNFINISHED)).group_by(Job.state)
    counted = (await session.execute(unfinished)).all()
    numbers: dict[str, float] = dict(counted)
    waited = func.extract("epoch", func.now() - func.min(Job.next_attempt_at))
    oldest = select(waited).where(Job.state.in_(("queued", "waiting")), Job.next_attempt_at <= func.now())
    numbers["oldest_due_seconds"] = float(await session.scalar(oldest) or 0)
    return numbers
