"""The parent notices at once that a pool process died, so that its work need not wait for the lease to end."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread
from typing import Any

from billiard.exceptions import WorkerLostError
from celery import signals

from footnote import jobs
from footnote.database import leases
from footnote.errors import DatabaseAway
from footnote.models import Job, QueryBatch
from footnote.runtime import open_runtime
from footnote.settings import Settings


def attach(settings: Settings) -> None:
    """In the worker's main process, which has no event loop of its own."""

    def lost(exception: BaseException | None = None, task_id: str = "", args: Any = (), **_: Any) -> None:
        if isinstance(exception, WorkerLostError):
            Thread(target=asyncio.run, args=(_end_leases(settings, args, task_id),), daemon=True).start()

    signals.task_failure.connect(lost, weak=False)


async def _end_leases(settings: Settings, row_ids: Sequence[str], message: str) -> None:
    """Those that the message's worker held; jobs that it had not begun are sent again."""
    with suppress(DatabaseAway):  # then the leases run out
        async with open_runtime(settings, pool_size=1) as rt, rt.transaction() as session:
            for row_id in row_ids:
                for table in (Job, QueryBatch):
                    await leases.holder_died(session, table, row_id, message)
            await jobs.unsend(session, row_ids)
