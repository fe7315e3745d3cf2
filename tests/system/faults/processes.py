"""Processes as the kernel shows them: whose they are, and who holds a port or a connection."""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
SANDBOX = "footnote.formats.sandbox."
INIT = 1


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    command: str


def of(data_dir: Path) -> list[Process]:
    """Those with the data directory in their environment, those working inside it, like Postgres, and their parsers."""
    ours = f"FOOTNOTE_DATA_DIR={data_dir}".encode()
    found, sandbox = {}, []
    for entry in PROC.glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile, or another user's
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            each = Process(int(entry.name), parent(int(entry.name)), command)
            if not lives(each.pid):
                continue
            if SANDBOX in command:
                sandbox.append(each)
            inside = (entry / "cwd").readlink().is_relative_to(data_dir)
            if inside or ours in (entry / "environ").read_bytes().split(b"\0"):
                found[each.pid] = each
    for _ in ("fork servers", "what they forked"):  # their environment says nothing; orphans are counted as ours
        found |= {each.pid: each for each in sandbox if each.parent in found or each.parent == INIT}
    return list(found.values())


def parsers(data_dir: Path) -> list[int]:
    """Those of `of` that read a document now."""
    sandbox = [each for each in of(data_dir) if SANDBOX in each.command]
    return [each.pid for each in sandbox if each.parent in {server.pid for server in sandbox}]


def _stat(pid: int) -> list[str]:
    """State, parent and what follows them."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def parent(pid: int) -> int:
    return int(_stat(pid)[1])


def lives(pid: int) -> bool:
    """Whether it runs, or could; a zombie does not."""
    try:
        return _stat(pid)[0] != "Z"
    except OSError:
        return False


def frozen(pid: int) -> bool:
    return _stat(pid)[0] == "T"


def resident_kib(pid: int) -> int:
    """Memory in use, as VmRSS says it; 0 once it has ended."""
    with suppress(OSError, StopIteration):
        lines = (PROC / str(pid) / "status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])
    return 0


def send(number: signal.Signals, pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def holders(port: int, remote_port: int = 0) -> set[int]:
    """The processes whose IPv4 socket has this port at its end; with no remote port, those that listen on it."""
    rows = [line.split() for line in (PROC / "net" / "tcp").read_text().splitlines()[1:]]
    ends = (f":{port:04X}", f":{remote_port:04X}")
    sockets = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(ends[0]) and row[2].endswith(ends[1])}
    found = set()
    for descriptor in PROC.glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if str(descriptor.readlink()) in sockets:
                found.add(int(descriptor.parts[2]))
    return found
