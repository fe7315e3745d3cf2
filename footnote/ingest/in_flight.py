"""Batches that are worked on at once, whose ends count in their order."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from types import TracebackType
from typing import Any

from footnote.jobs.heartbeat import Heartbeat


class InFlight:
    """A context in which at most `most` batches are worked on; `heartbeat.done` grows when all before it are done, too.

    So a step that is interrupted resumes at the first batch that was not done. If one fails, the others are let finish,
    for their calls are paid for; if the step is cancelled, they are, too. None of them is left behind.
    """

    def __init__(self, heartbeat: Heartbeat, most: int) -> None:
        self._heartbeat, self._most = heartbeat, most
        self._batches: deque[tuple[asyncio.Task[None], int]] = deque()

    async def start(self, work: Coroutine[Any, Any, None], length: int) -> None:
        """Starts the work on a batch once there is room. Raises what an earlier one raised."""
        task = asyncio.create_task(work)
        self._batches.append((task, length))
        await self._finish(self._most - 1)

    async def finish(self) -> None:
        """Waits for all batches. Raises what one of them raised."""
        await self._finish(0)

    async def _finish(self, left: int) -> None:
        while len(self._batches) > left:
            task, length = self._batches[0]
            await asyncio.shield(task)
            self._batches.popleft()
            self._heartbeat.done += length

    async def __aenter__(self) -> "InFlight":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        tasks = [task for task, _ in self._batches]
        if not isinstance(error, Exception):
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Does a short piece of work that a cancellation does not interrupt, but follows."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise
