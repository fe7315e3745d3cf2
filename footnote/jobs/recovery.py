"""Takes stalled jobs back from workers that went silent; counts jobs by state, and how long they wait."""

from sqlalchemy import func, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database import leases
from footnote.database.leases import UNCLAIMED
from footnote.jobs import Claim, claim_of, write_step
from footnote.models import Job
from footnote.settings import Settings

MOST = 10_000  # jobs that wait are counted for metrics


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
    """Unfinished jobs by state, and the age in seconds of the oldest one that is due; for metrics.

    Of those that wait, the `MOST` that are due first are counted, so that a backlog does not slow what looks at it.
    """
    waiting = select(Job.state).where(Job.state.in_(UNCLAIMED)).order_by(Job.next_attempt_at).limit(MOST)
    running = select(Job.state).where(Job.state == "running")
    unfinished = union_all(waiting, running).subquery()
    counted = (await session.execute(select(unfinished.c.state, func.count()).group_by(unfinished.c.state))).all()
    numbers: dict[str, float] = dict(counted)
    waited = func.extract("epoch", func.now() - func.min(Job.next_attempt_at))
    oldest = select(waited).where(Job.state.in_(UNCLAIMED), Job.next_attempt_at <= func.now())
    numbers["oldest_due_seconds"] = float(await session.scalar(oldest) or 0)
    return numbers
