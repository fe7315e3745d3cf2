"""One process of the API: uvicorn's server, which drains when it is asked to stop. See docs/adr/0026."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, cast

import uvicorn

from footnote.telemetry import log

if TYPE_CHECKING:
    from footnote.runtime import Runtime

SAME_PRESS_SECONDS = 0.5  # one Ctrl-C can arrive twice: from the terminal and from a program between
LINGER_SECONDS = 1.0  # in which the client of an idle connection may send one more request
CUT_SECONDS = 2.0  # for the answers to requests that are cut off
END_SECONDS = 4.0  # after the drain the process ends, even if something hangs
STARTED, STARTING = b"1", b"0"  # answers to the parent
REPLACED = signal.SIGUSR1  # from the parent: drain, and leave the connections to the process that took over


class _Connection(Protocol):
    transport: asyncio.Transport
    idle: bool

    def shutdown(self) -> None: ...


class ApiServer(uvicorn.Server):
    """Stops accepting, lets running requests finish, cuts off the rest, and ends in time.

    The first signal begins the drain. A second one ends a process without a parent at once; one of several processes
    leaves the second signal to its parent, since a supervisor may signal both.
    """

    def __init__(self, config: uvicorn.Config, parent: socket.socket | None = None) -> None:
        super().__init__(config)
        self._parent = parent  # which asks whether this process lives, and closes its end when it dies
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._asked: float | None = None
        self._replaced = False
        self.cut_at = 0.0  # when the drain is over

    @property
    def drain_seconds(self) -> int:
        return self.config.timeout_graceful_shutdown or 0

    # -- signals -------------------------------------------------------------------------------------------------

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handled: dict[signal.Signals, Any] = dict.fromkeys((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), self.asked)
        if self._parent is not None:
            # Ctrl-C and a closed terminal reach the whole process group: the parent decides.
            ignored = dict.fromkeys((signal.SIGINT, signal.SIGHUP), signal.SIG_IGN)
            handled |= {REPLACED: self.asked} | ignored
        before = {number: signal.signal(number, handler) for number, handler in handled.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def asked(self, number: int, _frame: FrameType | None = None) -> None:
        now = time.monotonic()
        if self._asked is None:
            self._asked, self._replaced, self.should_exit = now, number == REPLACED, True
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._woken.set)
            # SIGALRM keeps its default action: it ends the process even if the loop or a thread hangs.
            signal.setitimer(signal.ITIMER_REAL, self.drain_seconds + END_SECONDS)
        elif self._parent is None and now - self._asked > SAME_PRESS_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    async def main_loop(self) -> None:
        """As uvicorn's, which looks ten times a second; `asked` wakes this one."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):  # the header `Date` is made by `on_tick`
                    await self._woken.wait()

    def answer_parent(self) -> None:
        """Answers until the parent dies: then one of several processes must not keep the port. In a thread."""
        assert self._parent is not None
        with suppress(ConnectionError):
            while self._parent.recv(1):
                self._parent.send(STARTED if self.started else STARTING)
        if self.should_exit or self._loop is None:
            os._exit(1)
        self._loop.call_soon_threadsafe(self.asked, signal.SIGTERM)

    # -- the drain -----------------------------------------------------------------------------------------------

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        asked = self._asked or time.monotonic()
        self.cut_at = asked + self.drain_seconds
        runtime = cast("Runtime | None", self.lifespan.state.get("runtime"))
        if runtime is not None:
            runtime.stopping.set()  # from now on /readyz is 503, and answers say `Connection: close`
        log.info("draining", requests=len(self.server_state.tasks), seconds=self.drain_seconds)
        for connection in self._connections():
            if not connection.idle:
                connection.shutdown()  # closes after the answer that is under way
        if runtime is not None and not self._replaced:
            notice = asked + runtime.settings.drain_notice_seconds
            await _until(lambda: time.monotonic() >= min(notice, self.cut_at))
        for server in self.servers:
            server.close()
        for each in sockets or []:
            each.close()
        linger = self.config.timeout_keep_alive if self._replaced else LINGER_SECONDS
        await _until(lambda: self._drained(asked + linger) or time.monotonic() >= self.cut_at)
        if not self._drained(0.0):
            await self._cut_off()
        for connection in self._connections():
            connection.transport.close()
        if self._asked is not None:
            signal.setitimer(signal.ITIMER_REAL, END_SECONDS - CUT_SECONDS)
        await self.lifespan.shutdown()

    def _connections(self) -> list[_Connection]:
        return cast("list[_Connection]", list(self.server_state.connections))

    def _drained(self, lingering: float) -> bool:
        """Whether no answer is under way; while connections are open, not before the time `lingering`."""
        if self.server_state.tasks or not all(connection.idle for connection in self._connections()):
            return False
        return not self.server_state.connections or time.monotonic() >= lingering

    async def _cut_off(self) -> None:
        """Cancels the running requests, which then answer 503 (`api.middleware.LastResort`)."""
        log.warning("cut off at the end of the drain", requests=len(self.server_state.tasks))
        for task in list(self.server_state.tasks):
            task.cancel()
        end = time.monotonic() + CUT_SECONDS
        await _until(lambda: self._drained(0.0) or time.monotonic() >= end)
        for connection in self._connections():
            connection.transport.abort()
        await asyncio.sleep(0)


async def _until(done: Callable[[], bool]) -> None:
    while not done():  # noqa: ASYNC110 - of several things, most of them uvicorn's, which set no event
        await asyncio.sleep(0.02)
