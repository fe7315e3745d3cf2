"""Executes background tasks in the dispatcher's process. Several may: a task is claimed in Postgres."""

import asyncio
from collections.abc import Mapping

from footnote.documents import deletion, file_batches, selections
from footnote.errors import DatabaseUnavailable
from footnote.jobs import tasks
from footnote.jobs.tasks import Part
from footnote.model_swap import work as model_swap_work
from footnote.operations import tenant_deletion
from footnote.runtime import Runtime
from footnote.telemetry import log

AT_ONCE = 3  # tasks worked on by one process
FAILED_SECONDS = 5.0  # until the next look after an error of no known kind
PARTS: Mapping[str, Part] = {
    "collection.delete": deletion.remove_next,
    "file.delete": deletion.remove_next,
    "files.attach": file_batches.attach_some,
    "tenant.delete": tenant_deletion.remove_part,
    "documents.delete": selections.delete_next,
    "documents.move": selections.move_next,
    "documents.reingest": selections.reingest_next,
    "model.swap": model_swap_work.do_part,
}


class BackgroundTasks:
    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.woken = asyncio.Event()

    async def run(self) -> None:
        """Runs until cancelled. Polls when it is woken because a task is due."""
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            try:
                found = await run_next(self.rt)
            except DatabaseUnavailable:
                found = False
            except Exception:
                log.exception("background tasks failed")
                await asyncio.sleep(FAILED_SECONDS)
                continue
            if not found:
                await self.woken.wait()
                self.woken.clear()


async def run_next(rt: Runtime) -> bool:
    """Works on the task that is due longest until it is completed or yields. Returns whether there was one."""
    task = await tasks.take_due(rt)
    if task is None:
        return False
    await tasks.run(rt, task, PARTS[task.kind])
    return True
