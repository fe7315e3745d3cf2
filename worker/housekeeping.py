"""What must be tidied up now and then; beside the dispatcher, in as many processes as there are."""

import asyncio

from footnote import deletion, idempotency, objects, reingestion
from footnote.errors import DatabaseAway
from footnote.retrieval import corpus
from footnote.runtime import Runtime
from footnote.telemetry import log

SWEEP_SECONDS = 1.0
COUNT_SECONDS = 60.0
PURGE_SECONDS = 3600.0


async def keep_house(rt: Runtime) -> None:
    """Until cancelled.

    Deletes objects that nobody owns any more, goes on with what was begun for whole collections (documents made anew,
    deletion), counts what large ones hold, and forgets the idempotency keys of yesterday.
    """
    clock = asyncio.get_running_loop().time
    tasks = [(SWEEP_SECONDS, _sweep), (SWEEP_SECONDS, reingestion.review), (SWEEP_SECONDS, deletion.finish)]
    tasks += [(COUNT_SECONDS, _count), (PURGE_SECONDS, _purge)]
    due = dict.fromkeys(tasks, 0.0)
    while True:
        try:
            for seconds, task in tasks:
                if clock() >= due[seconds, task]:
                    await task(rt)
                    due[seconds, task] = clock() + seconds
        except DatabaseAway:
            log.debug("housekeeping waits for Postgres")
        await asyncio.sleep(SWEEP_SECONDS)


async def _sweep(rt: Runtime) -> None:
    while await objects.sweep(rt):
        pass


async def _count(rt: Runtime) -> None:
    more = True
    while more:
        async with rt.transaction() as session:
            more = await corpus.refresh(session)


async def _purge(rt: Runtime) -> None:
    async with rt.transaction() as session:
        await idempotency.purge(session)
