"""A parser's process as seen from outside: started, listened to, ended."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from footnote.errors import DocumentRejected
from footnote.formats.sandbox import frames
from footnote.formats.sandbox.frames import Frame

if TYPE_CHECKING:
    from footnote.settings import ParseLimits

_ROOT = Path(__file__).parents[3]
# Over its CPU time, or aborted by a library that could get no more memory.
_LIMIT_SIGNALS = {signal.SIGXCPU, signal.SIGABRT}
_BUFFER = 1024 * 1024


async def frames_of(
    what: str, path: Path, media_type: str, limits: "ParseLimits", **asked: Any
) -> AsyncGenerator[Frame, None]:
    """What the child sends, until it is done. Raises `DocumentRejected` if it sends an error, or nothing."""
    process = await _start(what, path, media_type, limits, asked)
    try:
        try:
            await _frame(process, limits.wall_seconds)
        except DocumentRejected as ended:
            why = " ".join(getattr(ended, "__notes__", ())) or ended.message
            raise RuntimeError(f"the parser did not start: {why}") from ended
        while True:
            head, body = await _frame(process, limits.wall_seconds)
            if "done" in head or "error" in head:
                break
            yield head, body
            del head, body
    finally:
        await _end(process)
    if "error" in head:
        error = DocumentRejected(head["error"], head["message"])
        if "detail" in head:
            error.add_note(head["detail"])
        raise error


async def _start(what: str, path: Path, media_type: str, limits: "ParseLimits", asked: dict[str, Any]) -> Process:
    # A parser has no business with the keys in our environment.
    environment = {"PYTHONPATH": str(_ROOT), "PYTHONSAFEPATH": "1", "PYTHONUTF8": "1", "OMP_THREAD_LIMIT": "1"}
    environment |= {
        name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TESSDATA_PREFIX") if name in os.environ
    }
    command = [sys.executable, "-m", "footnote.formats.sandbox.child", what, media_type, str(path)]
    command += [str(limits.cpu_seconds), str(limits.memory_bytes), json.dumps(asked)]
    return await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment, limit=_BUFFER, start_new_session=True
    )


async def _frame(process: Process, wall_seconds: float) -> Frame:
    """The next frame; raises `DocumentRejected` if none comes in time or the child ended without one."""
    out = process.stdout
    assert out is not None
    try:
        async with asyncio.timeout(wall_seconds):
            return await frames.read(out)
    except TimeoutError:
        raise DocumentRejected("too_complex") from None
    except asyncio.IncompleteReadError:
        status = await process.wait()
    if -status == signal.SIGKILL:
        # Not by its own limits: by us at a shutdown, or by a machine short of memory. Worth another try.
        raise RuntimeError("the parser was killed")
    error = DocumentRejected("too_complex" if -status in _LIMIT_SIGNALS else "corrupt_file")
    error.add_note(f"the parser ended with status {status}")
    raise error


# The loop keeps only weak references to tasks; a cancelled caller leaves its child's end to be finished here.
_ending: set[asyncio.Task[None]] = set()


async def _end(process: Process) -> None:
    """Kills the child with what it started, and waits until it and its pipes are gone, even if we are cancelled."""
    # Not process.kill(): that reaps a child which has just ended, and the loop's own watcher then misses it.
    with suppress(ProcessLookupError, PermissionError):  # macOS: a group of the dead
        os.killpg(process.pid, signal.SIGKILL)
    task = asyncio.ensure_future(_drain(process))
    _ending.add(task)
    task.add_done_callback(_ending.discard)
    await asyncio.shield(task)


async def _drain(process: Process) -> None:
    # A pipe that is not read to its end stays open, and the process counts as running.
    assert process.stdout is not None
    while await process.stdout.read(_BUFFER):
        pass
    await process.wait()
