"""Recurring chores, in every process `footnote dispatcher`."""

import asyncio
from collections.abc import Awaitable, Callable

from footnote.answering import answer_cache, question_batches
from footnote.documents import idempotency, objects, refused_uploads, reingestion
from footnote.errors import DatabaseAway
from footnote.runtime import Runtime
from footnote.telemetry import log
from footnote.tenancy import audit_log
from footnote.webhooks import history

SWEEP_SECONDS = 1.0
PURGE_SECONDS = 3600.0
FAILED_SECONDS = 60.0  # until a chore that failed for an unknown reason is tried again


async def keep_house(rt: Runtime) -> None:
    """Runs until cancelled.

    Deletes unowned objects, queues documents whose collection changed, and removes old rows: idempotency keys, answers,
    batches of questions, refused uploads, webhooks, the audit log. A chore that is slow or fails does not delay the
    others.
    """
    chores = [(SWEEP_SECONDS, _sweep), (SWEEP_SECONDS, reingestion.review), (PURGE_SECONDS, _purge)]
    async with asyncio.TaskGroup() as group:
        for seconds, chore in chores:
            group.create_task(_repeat(rt, chore, seconds))


async def _repeat(rt: Runtime, chore: Callable[[Runtime], Awaitable[None]], seconds: float) -> None:
    while True:
        pause = seconds
        try:
            await chore(rt)
        except DatabaseAway:
            log.debug("housekeeping waits for Postgres")
            pause = SWEEP_SECONDS
        except Exception:
            log.exception("housekeeping failed", chore=chore.__name__)
            pause = FAILED_SECONDS
        await asyncio.sleep(pause)


async def _sweep(rt: Runtime) -> None:
    while await objects.sweep(rt):
        pass


async def _purge(rt: Runtime) -> None:
    async with rt.transaction() as session:
        await idempotency.purge(session)
        await question_batches.purge(session)
        await refused_uploads.purge(session)
        await history.purge(session, rt.settings.webhook_log_days)
        await answer_cache.purge(session, rt.settings.answer_cache_seconds)
    await audit_log.purge(rt)
