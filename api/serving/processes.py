"""Several processes of the API at one port, and their parent, which replaces dead ones and restarts them one by one.

uvicorn's own parent waits for one process at a time. Meanwhile it ignores signals, and the port stays open although no
process accepts connections.
"""

import os
import signal
import socket
import time
from types import FrameType

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Process

from api.serving.server import END_SECONDS, REPLACED, SAME_PRESS_SECONDS, ApiServer
from footnote.telemetry import log

TICK_SECONDS = 0.1
ASK_SECONDS = 2.0  # between two health checks of a process
KILL_SECONDS = END_SECONDS + 0.5  # after the drain


class _Process(Process):
    """A process from the view of its parent."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self.ready = False
        self._asked = self._heard = time.monotonic()
        self.kill_at: float | None = None  # once it was asked to end

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        """Runs in the new process, before the thread that answers the parent needs the server."""
        self._server = ApiServer(self.config)
        super().target(sockets)

    def silent_since(self, now: float) -> float:
        """Seconds since it last answered the parent. Asks again if it is time."""
        try:
            if self.parent_conn.poll(0):
                self.ready = self.parent_conn.recv()
                self._heard = now
            elif self._heard >= self._asked and now - self._asked >= (ASK_SECONDS if self.ready else TICK_SECONDS):
                self.parent_conn.send(b"ping")
                self._asked = now
        except (OSError, EOFError):
            pass  # it is about to end
        return now - self._asked if self._asked > self._heard else 0.0

    def ask_to_end(self, number: int, kill_at: float) -> None:
        self.kill_at = kill_at
        if self.exitcode is None and self.pid is not None:
            os.kill(self.pid, number)


class Processes:
    """The parent. It serves nothing itself. SIGTERM stops all processes, SIGHUP replaces each with a new one."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        self.config = config
        self.sockets = sockets
        self.serving: list[_Process] = []
        self.leaving: list[_Process] = []  # they drain while others serve
        self._due: list[_Process] = []  # to be replaced
        self._next: _Process | None = None
        self._asked: float | None = None
        self._restart_asked = False

    def run(self) -> int:
        """Runs until SIGTERM or SIGINT. Returns the exit status. Call it from the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_restart)
        self.serving = [self._start() for _ in range(self.config.workers)]
        while self._asked is None:
            if any(each.exitcode == STARTUP_FAILURE for each in self.serving):
                log.error("a process of the API cannot start")
                self._end(time.monotonic())
                return STARTUP_FAILURE
            self._look(time.monotonic())
            time.sleep(TICK_SECONDS)
        self._end(self._asked)
        return 0

    def _on_stop(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._asked is None:
            self._asked = now
        elif now - self._asked > SAME_PRESS_SECONDS:
            for each in self._all():
                each.process.kill()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def _on_restart(self, _number: int, _frame: FrameType | None) -> None:
        self._restart_asked = True

    def _all(self) -> list[_Process]:
        return [*self.serving, *self.leaving, *([self._next] if self._next else [])]

    def _start(self) -> _Process:
        process = _Process(self.config, self.sockets)
        process.start()
        return process

    def _look(self, now: float) -> None:
        for number, each in enumerate(self.serving):
            if each.exitcode is None and each.silent_since(now) < self.config.timeout_worker_healthcheck:
                continue
            log.warning("a process of the API died or hangs, another one starts", pid=each.pid, status=each.exitcode)
            each.process.kill()
            self.serving[number] = self._start()
            if each in self._due:
                self._due.remove(each)
        for each in list(self.leaving):
            if each.exitcode is not None:
                self.leaving.remove(each)
            elif each.kill_at is not None and now > each.kill_at:
                each.process.kill()
        if self._restart_asked:
            self._restart_asked, self._due = False, list(self.serving)
        self._replace(now)

    def _replace(self, now: float) -> None:
        """One step of a restart: a new process gets ready, then an old one is stopped, then the next step begins."""
        if self._next is None:
            if self._due and not self.leaving:
                self._next = self._start()
        elif self._next.exitcode is not None or self._next.silent_since(now) > self.config.timeout_worker_healthcheck:
            log.error("the restart is given up: the new process does not start", status=self._next.exitcode)
            self._next.process.kill()
            self._next, self._due = None, []
        elif self._next.ready and not self._due:  # what it was to replace has died and is replaced
            self._next.ask_to_end(REPLACED, now + KILL_SECONDS)
            self.leaving.append(self._next)
            self._next = None
        elif self._next.ready:
            old = self._due.pop(0)
            self.serving[self.serving.index(old)] = self._next
            self._next = None
            old.ask_to_end(REPLACED, now + (self.config.timeout_graceful_shutdown or 0) + KILL_SECONDS)
            self.leaving.append(old)
            log.info("a process of the API is replaced", pid=old.pid)

    def _end(self, asked: float) -> None:
        """All drain at once. The parent closes the port, too: otherwise it would still accept connections."""
        for each in self.sockets:
            each.close()
        kill_at = asked + (self.config.timeout_graceful_shutdown or 0) + KILL_SECONDS
        for process in self._all():
            process.ask_to_end(signal.SIGTERM, kill_at)
        while any(process.exitcode is None for process in self._all()):
            if time.monotonic() > kill_at:
                for process in self._all():
                    process.process.kill()
            time.sleep(TICK_SECONDS / 5)
