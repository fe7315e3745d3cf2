"""Reading a document in a process of its own, which may fail, hang or be killed without harm."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from footnote.errors import DocumentRejected
from footnote.formats import Page, Scan, Section
from footnote.formats.child import LENGTHS

if TYPE_CHECKING:
    from footnote.settings import ParseLimits

_ROOT = Path(__file__).parents[2]
# Over its CPU time, or aborted by a library that could get no more memory.
_LIMIT_SIGNALS = {signal.SIGXCPU, signal.SIGABRT}
_BUFFER = 1024 * 1024
_Frame = tuple[dict[str, Any], bytes]


async def read_pages(
    path: Path, media_type: str, limits: "ParseLimits", *, after: int = 0
) -> AsyncGenerator[Page, None]:
    """The document's pages behind the first `after` ones as the child finishes them.

    It reads ahead by no more than a pipe's buffer.

    Raises `DocumentRejected`: with the parser's code, `no_text` after the last page when none had any,
    `too_complex` when a limit was hit, `corrupt_file` when the parser crashed. The child is gone when this
    generator is closed, whatever closes it; wrap it in `contextlib.aclosing` to leave it early.
    """
    # A page that takes too long is passed over; we hear of it when the next one was read, within the silence allowed.
    ocr = {"languages": limits.ocr_languages, "seconds": limits.wall_seconds / 3}
    async with aclosing(_frames("pages", path, media_type, limits, after=after, **ocr)) as frames:
        async for head, body in frames:
            sections = [Section(start, end, tuple(heading)) for start, end, heading in head["sections"]]
            scan = head["scan"] and Scan(head["scan"]["languages"], [tuple(word) for word in head["scan"]["words"]])
            yield Page(head["page"], body.decode(), sections, scan)
            del head, body, sections, scan


async def read_files(
    path: Path, media_type: str, limits: "ParseLimits"
) -> AsyncGenerator[tuple[str, AsyncIterator[bytes]], None]:
    """The files within a container, each with its bytes, to be read before the next is asked for. Raises as above."""
    async with aclosing(_frames("files", path, media_type, limits)) as frames:
        first = await anext(frames, None)
        head = first[0] if first else {}
        while head:
            following: list[dict[str, Any]] = []
            pieces = _pieces(frames, following)
            yield head["file"], pieces
            async for _ in pieces:
                pass  # what was not read is skipped
            head = following[0] if following else {}


async def _pieces(frames: AsyncIterator[_Frame], following: list[dict[str, Any]]) -> AsyncIterator[bytes]:
    """The bytes of one file; leaves the head of the next one, which ends it, in `following`."""
    async for head, body in frames:
        if "file" in head:
            following.append(head)
            return
        yield body


async def picture(path: Path, media_type: str, limits: "ParseLimits", *, number: int, width: int) -> bytes:
    """A page as WebP, `width` pixels wide. Raises as above."""
    async with aclosing(_frames("picture", path, media_type, limits, number=number, width=width)) as frames:
        return (await anext(frames))[1]


async def boxes(
    path: Path, media_type: str, limits: "ParseLimits", *, number: int, quote: str, where: float
) -> list[list[float]]:
    """Where a quote stands on a page: left, top, right, bottom of each line of it, as shares of the page."""
    async with aclosing(_frames("boxes", path, media_type, limits, number=number, quote=quote, where=where)) as frames:
        found: list[list[float]] = (await anext(frames))[0]["boxes"]
        return found


async def _frames(
    what: str, path: Path, media_type: str, limits: "ParseLimits", **asked: Any
) -> AsyncGenerator[_Frame, None]:
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
    command = [sys.executable, "-m", "footnote.formats.child", what, media_type, str(path)]
    command += [str(limits.cpu_seconds), str(limits.memory_bytes), json.dumps(asked)]
    return await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment, limit=_BUFFER, process_group=0
    )


async def _frame(process: Process, wall_seconds: float) -> _Frame:
    """The next frame; raises `DocumentRejected` if none comes in time or the child ended without one."""
    out = process.stdout
    assert out is not None
    try:
        async with asyncio.timeout(wall_seconds):
            head_length, body_length = LENGTHS.unpack(await out.readexactly(LENGTHS.size))
            head = json.loads(await out.readexactly(head_length))
            return head, await out.readexactly(body_length)
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
