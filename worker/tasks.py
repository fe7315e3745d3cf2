"""One task per step, and one for batches of questions. The work is in `footnote`.

A task of a small document does the steps after its own, too; the chain then ends.
"""

import asyncio
from contextlib import suppress
from typing import Any

from celery import Celery, Task, signals
from structlog.contextvars import bind_contextvars, clear_contextvars

from footnote import ingest
from footnote.answering import batch_runs
from footnote.errors import DatabaseUnavailable
from footnote.jobs import STEPS
from footnote.queue import ANSWER, task_name
from worker.loop import run


def register(app: Celery) -> None:
    # So Celery's own lines of a task have the ids, too; the document's is known to the step (`ingest.run_job`).
    signals.task_prerun.connect(_bind_ids, weak=False)
    signals.task_postrun.connect(_forget_ids, weak=False)
    for step in STEPS:
        app.task(name=task_name(step), bind=True)(_step_task(step))
    app.task(name=task_name(ANSWER), bind=True)(_answer)


def _bind_ids(task: Task, args: tuple[str, ...], **_: Any) -> None:
    name = "batch_id" if task.name == task_name(ANSWER) else "job_id"
    bind_contextvars(**{name: args[0] if len(args) == 1 else list(args)}, step=task.name.rpartition(".")[2])


def _forget_ids(**_: Any) -> None:
    clear_contextvars()


def _answer(self: Task, batch_id: str) -> None:
    with suppress(DatabaseUnavailable, asyncio.CancelledError):  # the dispatcher sends it again
        run(lambda rt: batch_runs.run(rt, batch_id, self.request.id))


def _step_task(step: str):  # type: ignore[no-untyped-def]
    def task(self: Task, *job_ids: str) -> None:
        message = self.request.id
        try:
            if len(job_ids) > 1:
                run(lambda rt: ingest.run_jobs(rt, job_ids, message))
            elif run(lambda rt: ingest.run_job(rt, job_ids[0], step, message)):
                return
        except (DatabaseUnavailable, asyncio.CancelledError):
            pass  # the rows stand as they were or were given back, and the dispatcher sends them again
        # The next step was done at once, or is not due, or another worker has it.
        self.request.chain = None

    task.__name__ = step
    return task
