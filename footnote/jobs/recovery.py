"""Takes stalled jobs back from workers that went silent; counts jobs by state, and how long they wait."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database import leases
from footnote.database.leases import UNCLAIMED, UNFINISHED
from footnote.jobs import Claim, claim_of, write_step
from footnote.models import Job
from footnote.settings import Settings


async def reap(session: AsyncSession, settings: Settings) -> tuple[list[str], list[Claim]]:
    """Takes jobs back from silent workers: (ids that wait for another attempt, claims to be failed as poison).

    A job that shared its message is never poison: another one may have killed the worker. It was at its first attempt,
    and such messages are sent only if there are more.
    """
    again, poison = await leases.take_back(session, Job, settings.max_attempts)
    for job in again:
        await write_step(session, job.id, job.step, state="waiting")
    for job in (*again, *poison):
        job.updated_at = func.now()
    claims = [claim_of(job) for job in poison]
    await session.flush()
    return [job.id for job in again], claims


async def overview(session: AsyncSession) -> dict[str, float]:
    """Unfinished jobs by state, and the age in seconds of the oldest one that is due; for metrics."""
    unfinished = select(Job.state, func.count()).where(Job.state.in_(UNFINISHED)).group_by(Job.state)
    counted = (await session.execute(unfinished)).all()
    numbers: dict[str, float] = dict(counted)
    waited = func.extract("epoch", func.now() - func.min(Job.next_attempt_at))
    oldest = select(waited).where(Job.state.in_(UNCLAIMED), Job.next_attempt_at <= func.now())
    numbers["oldest_due_seconds"] = float(await session.scalar(oldest) or 0)
    return numbers
