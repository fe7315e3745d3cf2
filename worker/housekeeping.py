"""Recurring chores, in every process `footnote dispatcher`."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from footnote.answering import answer_cache, conversations, question_batches, stored_responses
from footnote.collections import expiry
from footnote.documents import deletion, file_batches, files, idempotency, objects, refused_uploads, reingestion
from footnote.embeddings import relatedness, stored_twice, vector_index
from footnote.errors import DatabaseUnavailable, NotFound
from footnote.jobs import retention
from footnote.runtime import Runtime
from footnote.telemetry import log
from footnote.tenancy import audit_log, sessions, tallies, usage
from footnote.webhooks import history

Chore = Callable[[Runtime], Awaitable[bool | None]]  # True: there may soon be more to do

AWAY_SECONDS = 1.0  # until a chore is tried again for which Postgres was away
FAILED_SECONDS = 60.0  # until a chore that failed for an unknown reason is tried again
SOON_SECONDS = 2.0


class Housekeeping:
    """Deletes unowned objects and what is expired, queues documents whose collection changed, folds tallies, builds
    vector indexes, measures models, gives back vectors that are stored twice, and removes old rows.

    Old rows are idempotency keys, answers, responses, batches of questions and files, refused uploads, webhooks, jobs,
    conversations, usage and the audit log.
    The first two are done when the loop is woken, and vector indexes sooner then. A chore that is slow or fails does
    not delay the others.
    """

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.woken_for = {name: asyncio.Event() for name in (*WHEN_WOKEN, *SOONER.values())}

    async def run(self) -> None:
        """Runs until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, chore in WHEN_WOKEN.items():
                group.create_task(self._when_woken(self.woken_for[name], chore))
            for chore, seconds in EVERY.items():
                group.create_task(self._every(seconds, chore))

    async def _when_woken(self, woken: asyncio.Event, chore: Chore) -> None:
        while True:
            await woken.wait()
            woken.clear()
            await asyncio.sleep(await self._pause_after(chore) or 0.0)

    async def _every(self, seconds: float, chore: Chore) -> None:
        woken = self.woken_for[SOONER[chore]] if chore in SOONER else None
        while True:
            pause = await self._pause_after(chore)
            if pause is not None or woken is None:
                await asyncio.sleep(pause or seconds)
                continue
            await asyncio.sleep(SOON_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds - SOON_SECONDS):
                    await woken.wait()
            woken.clear()

    async def _pause_after(self, chore: Chore) -> float | None:
        """Does the chore. Returns the seconds until another try if it failed, or has more to do soon."""
        try:
            return SOON_SECONDS if await chore(self.rt) else None
        except DatabaseUnavailable:
            log.debug("housekeeping waits for Postgres")
            return AWAY_SECONDS
        except Exception:
            log.exception("housekeeping failed", chore=chore.__name__)
            return FAILED_SECONDS


async def _sweep(rt: Runtime) -> None:
    while await objects.sweep(rt):
        pass


async def _fold(rt: Runtime) -> None:
    more = True
    while more:
        async with rt.transaction() as session:
            more = await tallies.fold(session)


async def _expire(rt: Runtime) -> None:
    """Deletes files whose time is over, with their documents, and the documents of collections that are expired."""
    async with rt.transaction() as session:
        over, unused = await files.expired(session), await expiry.expired(session)
    for tenant_id, file_id in over:
        with suppress(NotFound):  # deleted by a request, or another process
            await deletion.remove_file(rt.for_tenant(tenant_id), file_id)
    for tenant_id, collection_id in unused:
        await deletion.empty_expired(rt.for_tenant(tenant_id), collection_id)


async def _purge(rt: Runtime) -> None:
    async with rt.transaction() as session:
        await idempotency.purge(session)
        await question_batches.purge(session)
        await stored_responses.purge(session)
        await refused_uploads.purge(session)
        await file_batches.purge(session)
        await history.purge(session, rt.settings.webhook_log_days)
        await tallies.purge(session)
        await sessions.purge(session)
        await answer_cache.purge(session, rt.settings.answer_cache_seconds)
    await audit_log.purge(rt)
    await retention.purge(rt)
    await conversations.purge(rt)
    await usage.purge(rt)


WHEN_WOKEN: dict[str, Chore] = {"sweep": _sweep, "review": reingestion.review}
# Seconds.
EVERY: dict[Chore, float] = {
    _fold: 10.0,
    vector_index.build_due: 10.0,
    _expire: 60.0,
    relatedness.learn: 30.0,
    _purge: 3600.0,
    stored_twice.give_back: 3600.0,
}
# Done again soon after the loop is woken.
SOONER: dict[Chore, str] = {vector_index.build_due: "ingesting"}
