"""Requeues jobs of workers that stopped responding."""

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database import leases
from footnote.jobs import Claim, claim_of, write_step
from footnote.models import Job
from footnote.settings import Settings


async def requeue_expired(session: AsyncSession, settings: Settings) -> tuple[list[str], list[Claim]]:
    """Requeues jobs of workers that stopped responding: (ids that wait for another attempt, claims to fail as poison).

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
