"""The processes that read documents, as the kernel shows them: fork servers, and the parsers of a process."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

SERVER, FRESH = b"footnote.formats.sandbox.fork_server", b"footnote.formats.sandbox.child"
T = TypeVar("T")


def children(pid: int | str) -> set[int]:
    """Those that any thread of a process started and has not waited for; none if it is gone."""
    found = set()
    with contextlib.suppress(FileNotFoundError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found |= {int(child) for child in (task / "children").read_text().split()}
    return found


def command_of(pid: int) -> bytes:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def servers_of(pid: int | str) -> set[int]:
    return {child for child in children(pid) if SERVER in command_of(child)}


def parsers_of(pid: int | str) -> set[int]:
    """Those that its fork server forked, and those that it started itself."""
    fresh = {child for child in children(pid) if FRESH in command_of(child)}
    return fresh.union(*map(children, servers_of(pid)))


def running(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def until(condition: Callable[[], T]) -> T:
    """The condition's first true value."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if value := condition():
            return value
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen within 60 seconds")


async def parser_of(pid: int | str) -> int:
    """The one parser of a process, once it has begun to work."""
    return await until(lambda: next(iter(parsers_of(pid)), 0))
