"""One stack per data directory."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from footnote.local_stack.processes import StackFailed


class AlreadyRunning(StackFailed):
    """Another supervisor has locked the data directory."""


@contextmanager
def exclusive(
    data_dir: Path, url: str, *, wait_seconds: float = 40.0, on_wait: Callable[[], None] = lambda: None
) -> Iterator[int]:
    """Hold the data directory; yield the descriptor that the guard holds on to until the last child is gone.

    Locks end with their process, so there is none to clear away after a crash. Raises AlreadyRunning at once
    if another supervisor lives; processes of a killed one get `wait_seconds` to end, after `on_wait`.
    """
    with (data_dir / "lock").open("a+") as lock, (data_dir / "guard.lock").open("a") as guard:
        if not _taken(lock.fileno()):
            raise AlreadyRunning(_already_running(data_dir / "lock"))
        publish(data_dir, url=url)
        is_announced = False
        deadline = time.monotonic() + wait_seconds
        while not _taken(guard.fileno()):
            if time.monotonic() > deadline:
                raise StackFailed(f"Processes of an earlier start do not end; see: fuser {data_dir / 'guard.lock'}")
            if not is_announced:
                on_wait()
                is_announced = True
            time.sleep(0.1)
        yield guard.fileno()


def publish(data_dir: Path, **facts: str) -> None:
    """Public data of the stack that runs on the directory."""
    (data_dir / "lock").write_text(json.dumps({"pid": os.getpid(), **facts}))


def holder(data_dir: Path) -> dict[str, Any]:
    """What the stack that runs on the directory published; empty when none runs."""
    try:
        with (data_dir / "lock").open() as lock:
            if _taken(lock.fileno()):
                return {}
            facts: dict[str, Any] = json.load(lock)
            return facts
    except (OSError, ValueError):
        return {}


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _already_running(lock: Path) -> str:
    """Names the holder, which writes its facts just after it took the lock."""
    for _ in range(20):
        try:
            holder = json.loads(lock.read_text())
        except ValueError:
            time.sleep(0.05)
        else:
            return f"already running: pid {holder['pid']}, {holder['url']}"
    return "already running"
