"""One supervised child: its process, its log, its restarts."""

import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from footnote.local_stack import logs
from footnote.local_stack.first_connection import FirstConnection
from footnote.local_stack.log_tail import LogTail
from footnote.local_stack.processes import Process, ended, finish, kill_group, spawn
from footnote.local_stack.services import Service

FIRST_DELAY = 0.2
LONGEST_DELAY = 30.0
HEALTHY_SECONDS = 60.0
CRASH_LOOP_EXITS = 5
CRASH_LOOP_SECONDS = 60.0


@dataclass
class Restarts:
    """When to restart a child that ended: exponential backoff, reset after a healthy time. Seconds."""

    delay: float = FIRST_DELAY
    exits: deque[float] = field(default_factory=lambda: deque(maxlen=CRASH_LOOP_EXITS))

    def after_exit(self, now: float, lived: float) -> float:
        """Records an exit after `lived` seconds; the time of the next start."""
        if lived >= HEALTHY_SECONDS:
            self.delay = FIRST_DELAY
        self.exits.append(now)
        due = now + self.delay
        self.delay = min(self.delay * 2, LONGEST_DELAY)
        return due

    @property
    def looping(self) -> bool:
        """Whether it ends again and again: five exits within a minute."""
        return len(self.exits) == CRASH_LOOP_EXITS and self.exits[-1] - self.exits[0] <= CRASH_LOOP_SECONDS


class Child:
    """A service with a process that is started, watched and started again. Times are monotonic."""

    def __init__(self, service: Service, directory: Path, env: Mapping[str, str] | None) -> None:
        self.service = service
        self.log = directory / f"{service.name}.log"
        logs.begin(self.log)
        self.tail = LogTail(self.log)
        self.restarts = Restarts()
        self.process: Process | None = None
        self._env = env
        self._started = 0.0
        self._due: float | None = None
        self.awaited = FirstConnection(*service.on_demand) if service.on_demand else None

    def start(self, now: float) -> None:
        service = self.service
        if service.before_start is not None:
            service.before_start()
        with self.log.open("ab") as output:
            self.process = spawn(service.command, output, stop=service.stop, run_as=service.run_as, env=self._env)
        self._started, self._due = now, None

    def check(self, now: float) -> int | None:
        """Start (again) if that is due. The exit status (negative: a signal) if the process is found ended."""
        if self.awaited is not None:
            self._attend(self.awaited, now)
        if self.process is None:
            if self._due is not None and now >= self._due:
                self.start(now)
            return None
        if not ended(self.process):
            return None
        finish(self.process, now)
        status = self.process.returncode
        self.process = None
        self._due = self.restarts.after_exit(now, now - self._started)
        return status

    def _attend(self, awaited: FirstConnection, now: float) -> None:
        if self.process is None and awaited.came():
            self.start(now)
        elif self.process is not None and awaited.answer():
            self.awaited = None

    def rotate_log(self) -> None:
        if logs.rotate(self.log):
            self.tail.begin_again()

    def next_start(self, now: float) -> float:
        """Seconds until it is started again; 0 if it need not be."""
        return 0.0 if self._due is None else max(0.0, self._due - now)

    def ask_to_stop(self) -> None:
        self._due = None
        if self.awaited is not None:
            self.awaited.close()
            self.awaited = None
        if self.process is not None and not ended(self.process):
            os.kill(self.process.pid, self.service.stop)

    def stop(self, asked: float) -> bool:
        """Wait for the end after `ask_to_stop` at the time `asked`, by force when it takes too long.

        False if force was needed.
        """
        if self.process is None:
            return True
        in_time = finish(self.process, asked + self.service.stop_seconds)
        self.process = None
        return in_time

    def kill(self) -> None:
        if self.process is not None:
            kill_group(self.process)
