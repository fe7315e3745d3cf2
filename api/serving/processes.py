"""Several processes of the API at one port, and their parent, which replaces dead ones and restarts them one by one.

uvicorn's own parent waits for one process at a time. While it waits, it ignores signals, and the port stays open
although no process accepts connections.
"""

import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from api.serving.server import END_SECONDS, REPLACED, SAME_PRESS_SECONDS, STARTED, ApiServer
from footnote.telemetry import log

TICK_SECONDS = 0.1
REST_SECONDS = 0.25  # between two looks while all processes serve
ASK_SECONDS = 2.0  # between two health checks of a process
KILL_SECONDS = END_SECONDS + 0.5  # after the drain
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Libraries of the system in a forked process are not safe on macOS: there each process imports for itself.
PRELOADS = sys.platform == "linux"


class _Process:
    """A process from the view of its parent, of which it is a fork: they share the memory of what is imported."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], others: Iterable["_Process"]) -> None:
        self.ready = False
        self._asked = self._heard = time.monotonic()
        self.kill_at: float | None = None  # once it was asked to end
        self._status: int | None = None
        self._ours, theirs = socket.socketpair()
        self._ours.setblocking(False)
        with theirs:
            signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)  # the parent's handlers are not for the child
            try:
                self.pid = os.fork()
                if self.pid == 0:
                    _serve(config, sockets, theirs, [each._ours for each in (self, *others)])
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)

    @property
    def exitcode(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        if self._status is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self._status = os.waitstatus_to_exitcode(status)
                self._ours.close()
        return self._status

    def silent_since(self, now: float) -> float:
        """Seconds since it last answered the parent. Asks again if it is time."""
        try:
            self.ready = self._ours.recv(1) == STARTED
            self._heard = now
        except BlockingIOError:
            if self._heard >= self._asked and now - self._asked >= (ASK_SECONDS if self.ready else TICK_SECONDS):
                self._ask(now)
        except OSError:
            pass  # it is about to end
        return now - self._asked if self._asked > self._heard else 0.0

    def _ask(self, now: float) -> None:
        with suppress(OSError):  # it has just ended
            self._ours.send(b"?")
        self._asked = now

    def ask_to_end(self, number: int, kill_at: float) -> None:
        self.kill_at = kill_at
        self.send(number)

    def send(self, number: int) -> None:
        if self.exitcode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)


def _serve(
    config: uvicorn.Config, sockets: list[socket.socket], parent: socket.socket, ends: Iterable[socket.socket]
) -> NoReturn:
    """Runs in the new process. Its end is not the end of a program: nothing of the parent's is to be cleaned up.

    `ends` belong to the parent: a process sees its parent's death because no other process has the parent's end.
    """
    status = 1
    try:
        for each in ends:
            each.close()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for number in (signal.SIGINT, signal.SIGHUP):  # they reach the whole process group: the parent decides
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        server = ApiServer(config, parent=parent)
        threading.Thread(target=server.answer_parent, daemon=True).start()
        server.run(sockets)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        log.exception("a process of the API failed")
    finally:
        os._exit(status)


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
        if PRELOADS:
            self.config.load()
            gc.collect()
            gc.freeze()  # so that the collector of a process neither looks through it nor copies its pages
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_restart)
        for _ in range(self.config.workers):
            self.serving.append(self._start())
        while self._asked is None:
            if any(each.exitcode == STARTUP_FAILURE for each in self.serving):
                log.error("a process of the API cannot start")
                self._end(time.monotonic())
                return STARTUP_FAILURE
            self._look(time.monotonic())
            settled = all(each.ready for each in self.serving) and not (self._next or self._due or self.leaving)
            time.sleep(REST_SECONDS if settled else TICK_SECONDS)
        self._end(self._asked)
        return 0

    def _on_stop(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._asked is None:
            self._asked = now
        elif now - self._asked > SAME_PRESS_SECONDS:
            for each in self._all():
                each.kill()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def _on_restart(self, _number: int, _frame: FrameType | None) -> None:
        self._restart_asked = True

    def _all(self) -> list[_Process]:
        return [*self.serving, *self.leaving, *([self._next] if self._next else [])]

    def _start(self) -> _Process:
        return _Process(self.config, self.sockets, self._all())

    def _look(self, now: float) -> None:
        for number, each in enumerate(self.serving):
            if each.exitcode is None and each.silent_since(now) < self.config.timeout_worker_healthcheck:
                continue
            log.warning("a process of the API died or hangs and is replaced", pid=each.pid, status=each.exitcode)
            each.kill()
            self.serving[number] = self._start()
            if each in self._due:
                self._due.remove(each)
        for each in list(self.leaving):
            if each.exitcode is not None:
                self.leaving.remove(each)
            elif each.kill_at is not None and now > each.kill_at:
                each.kill()
        if self._restart_asked:
            self._restart_asked, self._due = False, list(self.serving)
        self._replace(now)

    def _replace(self, now: float) -> None:
        """One step of a restart: a new process gets ready, then an old one is stopped, then the next step begins."""
        if self._next is None:
            if self._due and not self.leaving:
                self._next = self._start()
        elif self._next.exitcode is not None or self._next.silent_since(now) > self.config.timeout_worker_healthcheck:
            log.error("the restart was aborted: the new process does not start", status=self._next.exitcode)
            self._next.kill()
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
                    process.kill()
            time.sleep(TICK_SECONDS / 5)
