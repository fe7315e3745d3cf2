"""All metrics of a program in Prometheus' text format, whether it is one process or several that count together.

Several count in files. prometheus_client gives each process files of its own, by its pid, and sums up all of them, so
that each death leaves files behind. Here a process takes the first files that no living process has, and continues
counting in them: there are as many as there were processes at once.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest, values
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

PREFIX = "footnote-metrics-"
FRESH_SECONDS = 60.0  # in which a new directory may have no holder yet
_LOCKS = "locks"


class Slots:
    """A directory in which the processes of a program count. Each holds a number in it until it ends.

    A lock on a byte of a file stands for a number: the kernel takes it away from a process that dies.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.owner = os.getpid()
        self._locks: IO[bytes] = (directory / _LOCKS).open("wb")
        self._number: int | None = None
        os.register_at_fork(after_in_child=self._forget)  # locks are not inherited

    def _forget(self) -> None:
        self._number = None

    def number(self) -> int:
        """That of this process: the lowest that no living process has."""
        if self._number is None:
            number = 0
            while not _locked(self._locks, number):
                number += 1
            self._number = number
        return self._number


def _locked(file: IO[bytes], byte: int, length: int = 1) -> bool:
    """Whether this process has got the lock."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, byte)
    except BlockingIOError:
        return False
    return True


_slots: Slots | None = None


def share(environment: MutableMapping[str, str]) -> None:
    """Lets this process count together with those that are forked from it, in a temporary directory.

    Call it before the first metric is made: before `footnote.telemetry.metrics` is imported.
    """
    global _slots
    _remove_left_behind(Path(tempfile.gettempdir()))
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    _slots = Slots(directory)
    atexit.register(_remove, directory, os.getpid())
    environment["PROMETHEUS_MULTIPROC_DIR"] = str(directory)  # where prometheus_client looks for it
    values.ValueClass = values.MultiProcessValue(_slots.number)  # type: ignore[no-untyped-call]


def _remove(directory: Path, pid: int) -> None:
    if os.getpid() == pid:
        shutil.rmtree(directory, ignore_errors=True)


def _remove_left_behind(parent: Path) -> None:
    """The directories of programs that were killed."""
    for directory in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if time.time() - directory.stat().st_mtime > FRESH_SECONDS and _is_free(directory):
                shutil.rmtree(directory)


def _is_free(directory: Path) -> bool:
    with (directory / _LOCKS).open("r+b") as locks:
        return _locked(locks, 0, 0)  # all of its bytes


class Gauges:
    """What is read when it is asked for, as a collector."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def exposition(gauges: Iterable[Metric] = ()) -> str:
    """The metrics of this program, of all its processes that count together, and these gauges."""
    registry = CollectorRegistry()
    if _slots is not None:
        MultiProcessCollector(registry, str(_slots.directory))  # type: ignore[no-untyped-call]
    else:
        registry.register(REGISTRY)
    registry.register(Gauges([*gauges, memory(_slots.owner if _slots else os.getpid())]))
    return generate_latest(registry).decode()


def memory(program: int) -> Metric:
    """Of the process and those below it. Pages that several share count once: it is the sum of their PSS (Linux)."""
    family = GaugeMetricFamily("footnote_memory_bytes", "Memory of the program's processes together.")
    if found := [size for pid in _with_children(program) if (size := _proportional(pid)) is not None]:
        family.add_metric([], sum(found))
    return family


def _with_children(pid: int) -> Iterator[int]:
    yield pid
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError):  # ended meanwhile, or the kernel does not say
            for child in (thread / "children").read_text().split():
                yield from _with_children(int(child))


def _proportional(pid: int) -> int | None:
    """Proportional set size, in bytes."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) * 1024
    return None
