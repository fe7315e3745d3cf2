"""Recurring chores, in every process `footnote dispatcher`."""

import asyncio
from collections.abc import Awaitable, Callable

from footnote.answering import answer_cache, question_batches
from footnote.documents import idempotency, objects, refused_uploads, reingestion
from footnote.errors import DatabaseAway
from footnote.runtime import Runtime
from footnote.telemetry import log
from footnote.tenancy import audit_log, tallies
from footnote.webhooks import history

Chore = Callable[[Runtime], Awaitable[None]]

FOLD_SECONDS = 10.0
PURGE_SECONDS = 3600.0
AWAY_SECONDS = 1.0  # until a chore is tried again for which Postgres was away
FAILED_SECONDS = 60.0  # until a chore that failed for an unknown reason is tried again


class Housekeeping:
    """Deletes unowned objects, queues documents whose collection changed, folds tallies and removes old rows.

    Old rows are idempotency keys, answers, batches of questions, refused uploads, webhooks and the audit log.
    The first two are done when they are woken. A chore that is slow or fails does not delay the others.
    """

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.woken_for = {"sweep": asyncio.Event(), "review": asyncio.Event()}

    async def run(self) -> None:
        """Runs until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._when_woken(self.woken_for["sweep"], _sweep))
            group.create_task(self._when_woken(self.woken_for["review"], reingestion.review))
            group.create_task(self._every(FOLD_SECONDS, _fold))
            group.create_task(self._every(PURGE_SECONDS, _purge))

    async def _when_woken(self, woken: asyncio.Event, chore: Chore) -> None:
        while True:
            await woken.wait()
            woken.clear()
            await asyncio.sleep(await self._pause_after(chore) or 0.0)

    async def _every(self, seconds: float, chore: Chore) -> None:
        while True:
            pause = await self._pause_after(chore)
            await asyncio.sleep(pause or seconds)

    async def _pause_after(self, chore: Chore) -> float | None:
        """Does the chore. Returns the seconds until another try if it failed."""
        try:
            await chore(self.rt)
        except DatabaseAway:
            log.debug("housekeeping waits for Postgres")
            return AWAY_SECONDS
        except Exception:
            log.exception("housekeeping failed", chore=chore.__name__)
            return FAILED_SECONDS
        return None


async def _sweep(rt: Runtime) -> None:
    while await objects.sweep(rt):
        pass


async def _fold(rt: Runtime) -> None:
    more = True
    while more:
        async with rt.transaction() as session:
            more = await tallies.fold(session)


async def _purge(rt: Runtime) -> None:
    async with rt.transaction() as session:
        await idempotency.purge(session)
        await question_batches.purge(session)
        await refused_uploads.purge(session)
        await history.purge(session, rt.settings.webhook_log_days)
        await tallies.purge(session)
        await answer_cache.purge(session, rt.settings.answer_cache_seconds)
    await audit_log.purge(rt)
