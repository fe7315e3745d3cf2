"""The ingestion pipeline: chunk, embed, upsert. Each step is safe to run twice.

A step works outside any transaction under a renewed lease and ends in one fenced transaction that writes its
output and moves the job's cursor. See `jobs` for the protocol.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession
from structlog.contextvars import bound_contextvars

from footnote import jobs
from footnote.database.driver import PLANNED_ONCE
from footnote.database.leases import LeaseLost
from footnote.documents import objects
from footnote.errors import Crashed, DatabaseUnavailable, FootnoteError
from footnote.ingest import chunk, embed, inputs, small_document, upsert
from footnote.ingest.artifacts import ArtifactsMissing
from footnote.ingest.inputs import Subject
from footnote.ingest.joined_calls import JoinedCalls
from footnote.jobs import Claim
from footnote.jobs.heartbeat import Heartbeat, Yielded
from footnote.runtime import Runtime
from footnote.telemetry import log

_STEPS = {"chunk": chunk.run, "embed": embed.run, "upsert": upsert.run}

AT_ONCE = 8  # documents of a message

Written = TypeVar("Written")


async def run_step(rt: Runtime, job_id: str, step: str, message: str | None = None) -> bool:
    """Runs one step of a job if it is due. False: nothing more to do for the `message` that asked."""
    async with rt.transaction() as session:
        claim = await jobs.claim(session, job_id, step, rt.settings.lease_seconds, message)
    return claim is not None and await _run(rt, claim)


async def run_job(
    rt: Runtime,
    job_id: str,
    step: str,
    message: str | None = None,
    together: JoinedCalls | None = None,
) -> bool:
    """Runs a step of a job if it is due, and at once those after it if the document is small.

    False: nothing more to do for the `message` that asked. `together`: with other documents of the message.
    """
    alone, lease = together is None, rt.settings.lease_seconds
    async with rt.transaction(**PLANNED_ONCE) as session:
        claim = await jobs.claim(session, job_id, step, lease, message, alone=alone)
        subject = await inputs.subject(session, claim) if claim else None
    return claim is not None and await _run(rt, claim, subject, together or JoinedCalls())


async def run_jobs(rt: Runtime, job_ids: Sequence[str], message: str | None = None) -> None:
    """Works on the documents of one message, some at a time. None ends or waits because of another."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def work_on(job_id: str, calls: JoinedCalls) -> None:
        async with slots:
            if rt.stopping.is_set():
                return
            try:
                await run_job(rt, job_id, jobs.STEPS[0], message, calls)
            except DatabaseUnavailable:
                pass  # the row stands as it was or was given back
            except Exception as error:
                log.error("document left to another message", job_id=job_id, exc_info=error)

    try:
        async with JoinedCalls() as calls, asyncio.TaskGroup() as group:
            for job_id in job_ids:
                group.create_task(work_on(job_id, calls))
    finally:
        if rt.stopping.is_set():
            await _send_again(rt, job_ids)


async def _send_again(rt: Runtime, job_ids: Sequence[str]) -> None:
    """Those of the jobs that no worker has begun, so that they do not wait until their message counts as lost."""
    with suppress(DatabaseUnavailable):
        async with rt.transaction() as session:
            await jobs.unsend(session, job_ids)


async def _run(rt: Runtime, claim: Claim, subject: Subject | None = None, calls: JoinedCalls | None = None) -> bool:
    ids = {"job_id": claim.job_id, "document_id": claim.document_id, "tenant_id": claim.tenant_id}
    with bound_contextvars(step=claim.step, **ids):  # every line that the step logs has them
        heartbeat = Heartbeat(rt.for_tenant(claim.tenant_id), claim)
        goes_on = await _guarded(heartbeat, _work(heartbeat, subject, calls))
        log.info("step not completed" if goes_on is None else "step done", step=heartbeat.claim.step)
        return goes_on or False


async def _guarded(heartbeat: Heartbeat, running: Coroutine[Any, Any, bool]) -> bool | None:
    """The result of the work under a heartbeat; None if it did not end, which is written to its job."""
    rt = heartbeat.rt
    work = asyncio.create_task(running)
    heartbeat.start(work)
    outcome = "done"
    try:
        return await work
    except Yielded:
        outcome = "yielded"
        return None
    except LeaseLost:
        outcome = "lost"
        log.warning("lease lost")
        return None
    except asyncio.CancelledError:
        if heartbeat.lost:
            outcome = "lost"
            log.warning("lease lost")
            return None
        outcome = "stopped"
        work.cancel()
        await asyncio.wait({work})
        await _settle(rt, lambda session: jobs.release(session, heartbeat.claim, heartbeat.unstored))
        raise
    except Exception as error:
        failure = error
        outcome = await _settle(rt, lambda session: _record_failure(session, rt, heartbeat.claim, failure)) or "lost"
        return None
    finally:
        heartbeat.over(outcome)
        await heartbeat.stop()


async def _work(heartbeat: Heartbeat, subject: Subject | None, calls: JoinedCalls | None) -> bool:
    """Whether a message must bring the next step."""
    if subject is not None and calls is not None:
        return await small_document.run(heartbeat, subject, calls)
    await _STEPS[heartbeat.claim.step](heartbeat.rt, heartbeat.claim, heartbeat)
    return heartbeat.claim.alone


async def _settle(rt: Runtime, write: Callable[[AsyncSession], Awaitable[Written]]) -> Written | None:
    """Records how a step ended; retries while Postgres is unavailable, until the lease ends. None if it is lost."""
    deadline = asyncio.get_running_loop().time() + rt.settings.lease_seconds
    while True:
        try:
            async with rt.transaction() as session:
                return await write(session)
        except LeaseLost:
            return None
        except DatabaseUnavailable:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.5)


async def _record_failure(session: AsyncSession, rt: Runtime, claim: Claim, error: Exception) -> str:
    """Postpones the job after a temporary error, fails the document after a permanent one. Returns which."""
    known = error if isinstance(error, FootnoteError) else Crashed()
    back_to = error.step if isinstance(error, ArtifactsMissing) else None
    # First, because only the holder of the job may continue: a step whose document is deleted can fail in any way.
    postponed = known.retryable and await jobs.postpone(session, claim, known, rt.settings, back_to)
    if not postponed:
        await jobs.fail(session, claim, known.code, known.message)
    if back_to == "chunk":
        await objects.give_up_artifacts(session, [claim.version_id])
    if known.is_crash:
        log.error("step failed", step=claim.step, exc_info=error)
    return "postponed" if postponed else "failed"
