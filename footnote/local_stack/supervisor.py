"""Starts, watches, restarts and stops the processes of the local stack, in one loop of one thread."""

import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TextIO

from footnote.local_stack.child import Child
from footnote.local_stack.guard import Guard
from footnote.local_stack.processes import StackFailed, ended, finish, spawn
from footnote.local_stack.services import Service

TICK_SECONDS = 0.05
READY_TICK_SECONDS = 0.5  # once everything runs
# One press can arrive twice: from the terminal and from `make` or `uv run`.
SAME_PRESS_SECONDS = 0.5


class StopRequested(Exception):
    """Ctrl-C or SIGTERM."""


class Supervisor:
    """The children of one stack, in the order they were started."""

    def __init__(self, logs: Path, guard: Guard, out: TextIO = sys.stdout) -> None:
        self.children: list[Child] = []
        self._ready = False
        self._logs = logs
        self._guard = guard
        self._out = out
        self._one_shot: int | None = None
        self._stop_asked: float | None = None

    def say(self, text: str, source: str = "footnote") -> None:
        """Write a message, each line behind the name of where it came from."""
        with suppress(OSError):  # a terminal or pipe that went away is no reason to stop
            for line in text.splitlines():
                self._out.write(f"{source:<10} | {line}\n")
            self._out.flush()

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Within, Ctrl-C, SIGTERM and a closed terminal ask to stop; asking again kills at once."""
        caught = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self._on_signal) for number in caught}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._stop_asked is None:
            self._stop_asked = now
        elif now - self._stop_asked > SAME_PRESS_SECONDS:
            for child in self.children:
                child.kill()

    def start(self, service: Service, env: Mapping[str, str] | None = None) -> Child:
        child = Child(service, self._logs, env)
        self.children.append(child)
        if child.awaited is None:
            child.start(time.monotonic())
        self._tell_guard()
        return child

    def run(
        self,
        name: str,
        command: Sequence[str],
        *,
        run_as: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Run a command to its end while watching the rest. Raises StackFailed if it fails."""
        log = self._logs / f"{name}.log"
        with log.open("wb") as output:
            process = spawn(command, output, run_as=run_as, env=env)
        self._one_shot = process.pid
        self._tell_guard()
        try:
            while not ended(process):
                self.pause()
        finally:
            finish(process, time.monotonic())
            self._one_shot = None
            self._tell_guard()
        if process.returncode != 0:
            raise StackFailed(f"{name} failed with status {process.returncode}", log=log)

    def wait_until(self, condition: Callable[[], bool], seconds: float, child: Child) -> None:
        """Wait for a condition that depends on `child`. Raises StackFailed when it takes longer."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise StackFailed(f"{child.service.name} is not ready after {seconds:.0f} s", log=child.log)
            self.pause()

    def pause(self) -> None:
        """One turn of the loop: look at all children, sleep. Raises StopRequested, StackFailed."""
        if self._stop_asked is not None:
            raise StopRequested
        for child in self.children:
            self._look_at(child)
        self._tell_guard()
        time.sleep(READY_TICK_SECONDS if self._ready else TICK_SECONDS)

    def set_ready(self) -> None:
        """From now on show what children complain about; not what stores said while others waited for them."""
        for child in self.children:
            if child.service.store:
                child.tail.skip()
        self._ready = True

    def _look_at(self, child: Child) -> None:
        now = time.monotonic()
        status = child.check(now)
        if self._ready:
            for line in child.tail.lines():
                self.say(line, child.service.name)
        child.rotate_log()
        if status is None:
            return
        service, name = child.service, child.service.name
        if child.restarts.looping and (service.vital or (service.required and not self._ready)):
            raise StackFailed(f"{name} keeps ending ({_status(status)})", log=child.log)
        seconds = child.next_start(now)
        self.say(f"{name} ended ({_status(status)}), starts again in {seconds:.1f} s: {child.log}")

    def _tell_guard(self) -> None:
        groups = [child.process.pid for child in self.children if child.process is not None]
        self._guard.watch([*groups, *([] if self._one_shot is None else [self._one_shot])])

    def stop(self) -> None:
        """Stop all children in reverse order: first, together, what uses the stores, then these."""
        users = [child for child in self.children if not child.service.store]
        stores = [child for child in self.children if child.service.store]
        for wave in (users, stores):
            asked = time.monotonic()
            for child in reversed(wave):
                child.ask_to_stop()
            for child in reversed(wave):
                if not child.stop(asked):
                    self.say(f"{child.service.name} was killed after {child.service.stop_seconds:.0f} s")
        self._tell_guard()


def _status(status: int) -> str:
    return f"status {status}" if status >= 0 else signal.Signals(-status).name
