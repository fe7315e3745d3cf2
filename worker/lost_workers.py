"""The parent notices at once that a pool process died, so that its work need not wait for the lease to end."""

import asyncio
from contextlib import suppress
from threading import Thread
from typing import Any

from billiard.exceptions import WorkerLostError
from celery import signals

from footnote.database import leases
from footnote.errors import DatabaseAway
from footnote.jobs import wake_dispatcher
from footnote.models import Job, QueryBatch
from footnote.runtime import open_runtime
from footnote.settings import Settings


def attach(settings: Settings) -> None:
    """In the worker's main process, which has no event loop of its own."""

    def lost(exception: BaseException | None = None, task_id: str = "", args: Any = (), **_: Any) -> None:
        if isinstance(exception, WorkerLostError):
            Thread(target=asyncio.run, args=(_end_lease(settings, args[0], task_id),), daemon=True).start()

    signals.task_failure.connect(lost, weak=False)


async def _end_lease(settings: Settings, row_id: str, message: str) -> None:
    with suppress(DatabaseAway):  # then the lease runs out
        async with open_runtime(settings, pool_size=1) as rt, rt.transaction() as session:
            for table in (Job, QueryBatch):
                await leases.holder_died(session, table, row_id, message)
            await wake_dispatcher(session)
