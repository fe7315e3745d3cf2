"""What the processes of the product take: seconds of the processor and memory, by what they are. Linux only."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
OTHER = "other"
# The first whose text stands in the command line.
KINDS = {
    "footnote.formats.sandbox": "parsers",
    "flower": "Flower",
    "-m worker.background": "dispatcher",
    "-m worker": "worker",
    "-m api": "API",
    "multiprocessing": "API",
    "footnote up": "supervisor",
    "valkey": "Valkey",
    "postgres": "Postgres",
}
CELERY_PARENT = "Celery parent"


def _stat(pid: int) -> list[str]:
    """State, parent and what follows them."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def processor_seconds(pid: int) -> float:
    """Of a process and of those of its children that have ended; 0 if it is gone."""
    with suppress(OSError):
        return sum(map(int, _stat(pid)[11:15])) / _TICKS
    return 0.0


def parent(pid: int) -> int:
    return int(_stat(pid)[1])


def memory_mib(pid: int) -> float:
    """Its share of what it uses together with others (PSS); 0 if it is gone."""
    with suppress(OSError, StopIteration):
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024
    return 0.0


def tree(root: int) -> list[int]:
    """The process and all below it, parents before their children."""
    parents = dict(_parents())
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for entry in PROC.glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile
            yield int(entry.name), parent(int(entry.name))


def kind(command: str) -> str:
    return next((kind for sign, kind in KINDS.items() if sign in command), OTHER)


def _command(pid: int) -> str:
    with suppress(OSError):
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


@dataclass(frozen=True)
class Footprint:
    """By what the processes are: seconds of the processor since they started, and memory in MiB."""

    processor: Mapping[str, float]
    memory: Mapping[str, float]

    def since(self, earlier: "Footprint") -> dict[str, float]:
        """Seconds of the processor, the most first."""
        gone = {name: self.processor.get(name, 0.0) - earlier.processor.get(name, 0.0) for name in self.processor}
        return dict(sorted(gone.items(), key=lambda each: -each[1]))


def taken(root: int) -> Footprint:
    """Of the process `root` and all below it."""
    processor: defaultdict[str, float] = defaultdict(float)
    memory: defaultdict[str, float] = defaultdict(float)
    for pid, name in _kinds(root):
        processor[name] += processor_seconds(pid)
        memory[name] += memory_mib(pid)
    return Footprint(dict(processor), dict(memory))


def _kinds(root: int) -> Iterator[tuple[int, str]]:
    for pid in tree(root):
        name, above = kind(_command(pid)), OTHER
        with suppress(OSError):
            above = kind(_command(parent(pid)))
        yield pid, CELERY_PARENT if name == "worker" != above else name
