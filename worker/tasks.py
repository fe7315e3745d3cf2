"""One task per step, and one for batches of questions. The work is in `footnote`."""

import asyncio
from contextlib import suppress
from typing import Any

from celery import Celery, Task, signals
from celery.exceptions import Ignore
from structlog.contextvars import bind_contextvars, clear_contextvars

from footnote import ingest
from footnote.answering import batch_runs
from footnote.errors import DatabaseAway
from footnote.jobs import STEPS
from footnote.queue import ANSWER, task_name
from worker.loop import run


def register(app: Celery) -> None:
    # So Celery's own lines of a task have the ids, too; the document's is known to the step (`ingest.run_step`).
    signals.task_prerun.connect(_bind_ids, weak=False)
    signals.task_postrun.connect(_forget_ids, weak=False)
    for step in STEPS:
        app.task(name=task_name(step), bind=True)(_step_task(step))
    app.task(name=task_name(ANSWER), bind=True)(_answer)


def _bind_ids(task: Task, args: tuple[str, ...], **_: Any) -> None:
    name = "batch_id" if task.name == task_name(ANSWER) else "job_id"
    bind_contextvars(**{name: args[0]}, step=task.name.rpartition(".")[2])


def _forget_ids(**_: Any) -> None:
    clear_contextvars()


def _answer(self: Task, batch_id: str) -> None:
    with suppress(DatabaseAway, asyncio.CancelledError):  # the dispatcher sends it again
        run(lambda rt: batch_runs.run(rt, batch_id, self.request.id))


def _step_task(step: str):  # type: ignore[no-untyped-def]
    def task(self: Task, job_id: str) -> None:
        try:
            goes_on = run(lambda rt: ingest.run_step(rt, job_id, step, self.request.id))
        except (DatabaseAway, asyncio.CancelledError):
            goes_on = False  # the row stands as it was or was given back, and the dispatcher sends it again
        if not goes_on:
            # Stops the chain: the next step is not due, or another worker has it.
            raise Ignore

    task.__name__ = step
    return task
