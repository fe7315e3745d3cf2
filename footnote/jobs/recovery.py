"""What stands still: jobs whose worker went silent, and how long the others have waited."""

from sqlalchemy import case, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.clock import from_now
from footnote.jobs import UNFINISHED, Claim, claim_of, wake_dispatcher, write_step
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
        job.updated_at = func.now()
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


async def holder_died(session: AsyncSession, job_id: str, message: str) -> None:
    """Ends the lease of who answered the message; if the step was over, the chain that died with it is sent anew."""
    await session.execute(
        update(Job)
        .where(Job.id == job_id, Job.holder == message, Job.state.in_(UNFINISHED))
        .values(lease_until=case((Job.state == "running", func.now())), dispatched_at=None)
    )
    await wake_dispatcher(session)


async def overview(session: AsyncSession) -> dict[str, float]:
    """Unfinished jobs by state, and the age in seconds of the oldest one that is due; for metrics."""
    unfinished = select(Job.state, func.count()).where(Job.state.in_(UNFINISHED)).group_by(Job.state)
    counted = (await session.execute(unfinished)).all()
    numbers: dict[str, float] = dict(counted)
    waited = func.extract("epoch", func.now() - func.min(Job.next_attempt_at))
    oldest = select(waited).where(Job.state.in_(("queued", "waiting")), Job.next_attempt_at <= func.now())
    numbers["oldest_due_seconds"] = float(await session.scalar(oldest) or 0)
    return numbers
