"""The parent notices at once that a pool process died, so that its work need not wait for the lease to end."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock, Thread
from typing import Any

from billiard.exceptions import WorkerLostError
from celery import signals

from footnote import jobs
from footnote.database import leases
from footnote.errors import DatabaseUnavailable
from footnote.models import Job, QueryBatch
from footnote.runtime import open_runtime
from footnote.settings import Settings

END_SECONDS = 5.0  # after that the leases run out by themselves

# A pool process that is forked while the thread works inherits the locks that it holds, for example of a module that it
# imports, and waits for them without end. So the parent forks before the thread begins or after it has ended.
_working = Lock()
os.register_at_fork(before=_working.acquire, after_in_parent=_working.release, after_in_child=_working.release)


def attach(settings: Settings) -> None:
    """In the worker's main process, which has no event loop of its own."""

    def lost(exception: BaseException | None = None, task_id: str = "", args: Any = (), **_: Any) -> None:
        if isinstance(exception, WorkerLostError):
            Thread(target=end_leases, args=(settings, args, task_id), daemon=True).start()

    signals.task_failure.connect(lost, weak=False)


def end_leases(settings: Settings, row_ids: Sequence[str], message: str) -> None:
    """Those that the message's worker held; jobs that it had not begun are sent again."""
    with _working, suppress(DatabaseUnavailable, TimeoutError):
        asyncio.run(_end_leases(settings, row_ids, message))


async def _end_leases(settings: Settings, row_ids: Sequence[str], message: str) -> None:
    async with asyncio.timeout(END_SECONDS), open_runtime(settings, pool_size=1) as rt, rt.transaction() as session:
        for row_id in row_ids:
            for table in (Job, QueryBatch):
                await leases.holder_died(session, table, row_id, message)
        await jobs.unsend(session, row_ids)
