"""The pipeline: chunk, embed, upsert; in order, each step safe to run twice.

A step works outside any transaction under a renewed lease and ends in one fenced transaction that writes its
output and moves the job's cursor. See `jobs` for the protocol.
"""

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession
from structlog.contextvars import bound_contextvars

from footnote import jobs
from footnote.database.leases import LeaseLost
from footnote.documents import objects
from footnote.errors import DatabaseAway, FootnoteError, Unavailable
from footnote.ingest import chunk, embed, upsert
from footnote.ingest.artifacts import OutputGone
from footnote.jobs import Claim
from footnote.jobs.heartbeat import Heartbeat, Yielded
from footnote.runtime import Runtime
from footnote.telemetry import log

_STEPS = {"chunk": chunk.run, "embed": embed.run, "upsert": upsert.run}


async def run_step(rt: Runtime, job_id: str, step: str, message: str | None = None) -> bool:
    """Runs one step of a job if it is due. False: nothing more to do for the `message` that asked."""
    async with rt.transaction() as session:
        claim = await jobs.claim(session, job_id, step, rt.settings.lease_seconds, message)
    if claim is None:
        return False
    ids = {"job_id": job_id, "document_id": claim.document_id, "step": step, "tenant_id": claim.tenant_id}
    with bound_contextvars(**ids):  # every line that the step logs has them
        done = await _run(rt.for_tenant(claim.tenant_id), claim)
        log.info("step done" if done else "step not done")
        return done


async def _run(rt: Runtime, claim: Claim) -> bool:
    heartbeat = Heartbeat(rt, claim)
    work = asyncio.create_task(_work(rt, claim, heartbeat))
    heartbeat.start(work)
    try:
        return await work
    except Yielded:
        return False
    except LeaseLost:
        log.warning("lease lost")
        return False
    except asyncio.CancelledError:
        if heartbeat.lost:
            log.warning("lease lost")
            return False
        work.cancel()
        await asyncio.wait({work})
        await _settle(rt, lambda session: jobs.release(session, claim))
        raise
    except Exception as error:
        failure = error
        await _settle(rt, lambda session: _record_failure(session, rt, claim, failure))
        return False
    finally:
        await heartbeat.stop()


async def _work(rt: Runtime, claim: Claim, heartbeat: Heartbeat) -> bool:
    await _STEPS[claim.step](rt, claim, heartbeat)
    return True


async def _settle(rt: Runtime, write: Callable[[AsyncSession], Awaitable[None]]) -> None:
    """Writes how a step ended; tries again while Postgres is away, as long as the lease lasts."""
    deadline = asyncio.get_running_loop().time() + rt.settings.lease_seconds
    while True:
        try:
            async with rt.transaction() as session:
                await write(session)
            return
        except LeaseLost:
            return
        except DatabaseAway:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.5)


async def _record_failure(session: AsyncSession, rt: Runtime, claim: Claim, error: Exception) -> None:
    """Postpones the job after a temporary error, fails the document after a permanent one."""
    known = error if isinstance(error, FootnoteError) else Unavailable("internal_error")
    unexpected = known is not error
    back_to = error.step if isinstance(error, OutputGone) else None
    # First, because only the holder of the job may go on: a step whose document is deleted can fail in any way.
    if not known.retryable or not await jobs.postpone(
        session, claim, known, rt.settings, back_to, unexpected=unexpected
    ):
        await jobs.fail(session, claim, known.code, known.message)
    if back_to == "chunk":
        await objects.give_up_artifacts(session, [claim.version_id])
    if unexpected:
        log.error("step failed", exc_info=error)
