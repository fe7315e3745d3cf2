"""Whether Postgres answers. A statement that takes long and a server that is stopped look the same to who waits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import Context
from time import monotonic
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from footnote.telemetry import log

SILENT_SECONDS = 2.0  # without a response while a statement runs: then another connection checks Postgres
PROBE_SECONDS = 1.5  # for which that may take


class Pulse:
    """Listens to all statements of an engine; when Postgres goes silent, ends what waits for it.

    A long statement is not cut off: the server still answers others, or the probe. Connections are dropped, not
    closed: closing one politely waits for the server again.
    """

    def __init__(self, engine: AsyncEngine, probe: Callable[[], Awaitable[bool]], gone: Callable[[], None]) -> None:
        """`probe`: whether a connection of its own is answered. `gone`: what else is to be ended."""
        self._probe = probe
        self._gone = gone
        self._heard = 0.0
        self._waiting = 0
        self._used: set[Any] = set()
        self._watching: asyncio.Task[None] | None = None
        self.silent = False
        event.listen(engine.sync_engine, "checkout", lambda connection, *_: self._used.add(connection))
        event.listen(engine.sync_engine, "checkin", lambda connection, *_: self._used.discard(connection))
        event.listen(engine.sync_engine, "close", lambda connection, *_: self._used.discard(connection))
        event.listen(engine.sync_engine, "after_cursor_execute", lambda *_: self.hear())

    def hear(self) -> None:
        """Postgres has answered something."""
        self._heard, self.silent = monotonic(), False

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """While the block waits for Postgres."""
        if not self._waiting:
            self._heard = max(self._heard, monotonic())
        self._waiting += 1
        if self._watching is None or self._watching.done():
            # It outlives the request that begins it: it must not end by that one's deadline, nor log under its id.
            self._watching = asyncio.create_task(self._watch(), context=Context())
        try:
            yield
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})

    async def _watch(self) -> None:
        while self._waiting:
            quiet = monotonic() - self._heard
            if quiet < SILENT_SECONDS:
                await asyncio.sleep(SILENT_SECONDS - quiet)
                continue
            before = self._heard
            if await self._probe():
                self.hear()
            elif self._heard == before:  # or a statement was answered meanwhile
                self._end()

    def _end(self) -> None:
        log.warning(
            "database does not respond", seconds=round(monotonic() - self._heard, 1), connections=len(self._used)
        )
        self._heard, self.silent = monotonic(), True
        for connection in self._used.copy():
            connection.driver_connection.terminate()
        self._gone()
