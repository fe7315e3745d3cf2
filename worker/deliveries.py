"""Sends due webhooks, in the process of the dispatcher: slow receivers and busy workers do not delay each other.

Several may run: a delivery is claimed in Postgres before it is sent.
"""

import asyncio
from contextlib import suppress

from footnote.errors import DatabaseUnavailable
from footnote.runtime import Runtime
from footnote.telemetry import log
from footnote.webhooks import sending
from footnote.webhooks.sending import Due

MOST_AT_ONCE = 64  # deliveries under way at once; a tenant has a quarter of them at most
STOP_SECONDS = 5.0  # for those under way when it is stopped; what is cut off is sent again


class Deliveries:
    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.woken = asyncio.Event()
        self._under_way: dict[asyncio.Task[None], Due] = {}

    async def run(self) -> None:
        """Runs until cancelled. Polls when it is woken because a delivery is due or has ended."""
        try:
            while True:
                await self.woken.wait()
                self.woken.clear()
                with suppress(DatabaseUnavailable):  # it is woken again
                    await self._start_due()
        finally:
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=STOP_SECONDS)
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _start_due(self) -> None:
        room = MOST_AT_ONCE - len(self._under_way)
        if room == 0:
            return
        async with self.rt.transaction() as session:
            due = await sending.take_due(session, self.rt.settings, room, list(self._under_way.values()))
        for each in due:
            task = asyncio.create_task(sending.deliver(self.rt, each))
            self._under_way[task] = each
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        due = self._under_way.pop(task)
        self.woken.set()
        if not task.cancelled() and (error := task.exception()):
            # The claim runs out, and it is sent again.
            log.warning("webhook result not stored", delivery_id=due.id, error=f"{type(error).__name__}: {error}"[:200])
