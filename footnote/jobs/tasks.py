"""Background tasks: work on a collection, file, tenant or many documents, part by part, visible while it continues.

A task is claimed and fenced as `database.leases` has it: if the process that works on it is killed, another continues.
Each part is a transaction or several, safe to do again. The room that owns a kind knows how to do a part of it.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, Literal

from sqlalchemy import case, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database import leases
from footnote.database.ids import new_id
from footnote.database.leases import Lease, LeaseLost
from footnote.database.tenant_scope import scoped
from footnote.errors import DatabaseUnavailable, FootnoteError, NotFound
from footnote.models import BackgroundTask
from footnote.runtime import Runtime
from footnote.telemetry import log
from footnote.text import clean

Kind = Literal[
    "collection.delete",
    "file.delete",
    "files.attach",
    "tenant.delete",
    "documents.delete",
    "documents.move",
    "documents.reingest",
    "model.swap",
]
UNITS: Mapping[str, str] = {"model.swap": "chunks"}  # what the progress of other kinds counts is documents
# Does a part of a task. Returns the number of documents that are done, or None when the task is completed. May raise
# Later.
Part = Callable[[Runtime, BackgroundTask], Awaitable[int | None]]
CHANNEL = "footnote_tasks"  # Postgres NOTIFY channel that wakes the processes that work on tasks
LOOK_SECONDS = 0.2  # between two looks of `finish` at a task that another process works on


class Later(Exception):
    """Raised if a task has nothing to do now. It is due again after this time in seconds, or after `wake`."""

    def __init__(self, seconds: float, waiting_for: str | None = None) -> None:
        self.seconds, self.waiting_for = seconds, waiting_for
        super().__init__(waiting_for)


async def begin(
    session: AsyncSession,
    kind: Kind,
    tenant_id: str,
    subject_id: str,
    subject_name: str,
    total: int,
    document_ids: Sequence[str] | None = None,
    *,
    wake: bool = True,
) -> BackgroundTask:
    """Queues a task. There is one of a kind for a subject, which the caller holds.

    If it is for chosen documents, it is its own subject: `subject_id` becomes its id. Without `wake` the caller works
    on it itself; other processes find it if that one is killed.
    """
    subject = {"subject_id": subject_id, "subject_name": subject_name}
    task_id = new_id("tsk") if document_ids is None else subject_id
    chosen = None if document_ids is None else list(document_ids)
    task = BackgroundTask(id=task_id, kind=kind, tenant_id=tenant_id, progress_total=total, **subject)
    task.document_ids = chosen
    session.add(task)
    await session.flush()
    await session.refresh(task)
    if wake:
        await session.execute(select(func.pg_notify(CHANNEL, "")))
    return task


async def get(session: AsyncSession, task_id: str) -> BackgroundTask:
    """Raises NotFound."""
    task = await session.scalar(scoped(session, BackgroundTask).where(BackgroundTask.id == task_id))
    if task is None:
        raise NotFound("task_not_found", f"There is no task {task_id!r}.")
    return task


async def of_subject(session: AsyncSession, kind: Kind, tenant_id: str, subject_id: str) -> BackgroundTask | None:
    """The task of that kind for the tenant's subject, whether it is completed or not."""
    subject = (BackgroundTask.tenant_id == tenant_id) & (BackgroundTask.subject_id == subject_id)
    return await session.scalar(select(BackgroundTask).where(BackgroundTask.kind == kind, subject))


async def wake(session: AsyncSession, kind: Kind, subject_id: str, **values: Any) -> None:
    """Makes the task due at once, if it waits, and writes the values."""
    due = case((BackgroundTask.state.in_(leases.UNCLAIMED), func.now()))
    chosen = (BackgroundTask.kind == kind) & (BackgroundTask.subject_id == subject_id)
    woken = update(BackgroundTask).where(chosen).values(next_attempt_at=due, waiting_for=None, **values)
    await session.execute(woken.returning(func.pg_notify(CHANNEL, "")))


async def complete(session: AsyncSession, task_id: str, counts: dict[str, Any]) -> None:
    """Completes the task. `counts` is its receipt, and `documents` in it the progress."""
    done = {"progress_done": counts["documents"], "progress_total": counts["documents"], "counts": counts}
    ending = leases.ending(BackgroundTask, BackgroundTask.id == task_id, "completed")
    await session.execute(ending.values(**done))


# -- worked on -----------------------------------------------------------------------------------------------


async def take_due(rt: Runtime, task_id: str | None = None) -> BackgroundTask | None:
    """Claims the task, or the one that is due longest. Tasks of processes that stopped responding come back first."""
    due = select(BackgroundTask.id).where(BackgroundTask.state.in_(leases.UNCLAIMED))
    due = due.where(BackgroundTask.next_attempt_at <= func.now()).order_by(BackgroundTask.next_attempt_at).limit(1)
    async with rt.transaction() as session:
        again, _ = await leases.take_back(session, BackgroundTask, math.inf)
        for task in again:
            log.warning("task requeued: its process stopped responding", task_id=task.id)
        chosen = task_id or await session.scalar(due.with_for_update(skip_locked=True))
        if chosen is None:
            return None
        return await leases.claim(session, BackgroundTask, chosen, rt.settings.lease_seconds, None)


async def run(rt: Runtime, task: BackgroundTask, part: Part) -> None:
    """Works on a claimed task until it ends or yields to others. After DatabaseUnavailable it is resumed."""
    lease = leases.lease_of(task)
    renewal = lease.renewal(rt.settings.lease_seconds)
    with suppress(LeaseLost):  # completed, or another process continues
        try:
            async with leases.held(rt, renewal, rt.settings.heartbeat_seconds):
                await _work(rt, task, lease, part)
        except asyncio.CancelledError:  # the process should end; another may hold the task by now
            with suppress(DatabaseUnavailable, LeaseLost):
                await asyncio.shield(_put_back(rt, lease))
            raise
        except DatabaseUnavailable:
            raise
        except Later as later:
            await _put_back(rt, lease, after=later.seconds, waiting_for=later.waiting_for, retries=0)
        except Exception as error:
            log.error("task failed and will be retried", task_id=task.id, kind=task.kind, exc_info=error)
            reason = error.message if isinstance(error, FootnoteError) else "an internal error"
            waiting_for = clean(f"another attempt: {reason}")
            delay = max(leases.backoff(task.retries), getattr(error, "retry_after", None) or 0.0)
            await _put_back(rt, lease, after=delay, waiting_for=waiting_for, retries=task.retries + 1)


async def _work(rt: Runtime, task: BackgroundTask, lease: Lease, part: Part) -> None:
    end = monotonic() + rt.settings.yield_seconds
    while (done := await rt.again_while_busy(partial(part, rt, task))) is not None:
        progress = {"progress_done": BackgroundTask.progress_done + done}
        async with rt.transaction() as session:
            await leases.write(session, lease, attempts=1, retries=0, **progress)
        if monotonic() > end:
            await _put_back(rt, lease)
            return


async def _put_back(rt: Runtime, lease: Lease, **values: Any) -> None:
    async with rt.transaction() as session:
        await leases.put_back(session, lease, **values)


async def finish(rt: Runtime, task_id: str, part: Part) -> BackgroundTask:
    """Works on the task, or waits for the process that does, until it is completed. `rt` sees all tenants."""
    while True:
        claimed = await take_due(rt, task_id)
        if claimed is not None:
            await run(rt, claimed, part)
        async with rt.transaction() as session:
            task = await session.get_one(BackgroundTask, task_id)
        if task.state == "completed":
            return task
        if claimed is None:
            await asyncio.sleep(LOOK_SECONDS)
