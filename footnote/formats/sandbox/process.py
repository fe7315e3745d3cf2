"""A parser's process as seen from outside: asked, listened to, ended."""

import asyncio
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from footnote.errors import DocumentRejected, ParserUnavailable
from footnote.formats.sandbox import frames, starting
from footnote.formats.sandbox.frames import STATUS, Frame, ParseRequest

if TYPE_CHECKING:
    from footnote.settings import ParseLimits

# Over its CPU time, or aborted by a library that could get no more memory.
_LIMIT_SIGNALS = {signal.SIGXCPU, signal.SIGABRT}
_END_SECONDS = 5.0  # in which a fork server ends a parser, or is itself ended


@dataclass(frozen=True)
class _Parser:
    out: socket.socket
    control: socket.socket
    server: starting.RunningServer | None


async def frames_of(
    what: str, path: Path, media_type: str, limits: "ParseLimits", **options: Any
) -> AsyncGenerator[Frame, None]:
    """What the parser sends, until it is done. Raises `DocumentRejected` if it sends an error, or nothing."""
    parser = await _start(_request(what, path, media_type, limits, options))
    try:
        try:
            await _frame(parser, limits)
        except (DocumentRejected, ParserUnavailable) as ended:
            why = " ".join(getattr(ended, "__notes__", ())) or str(ended)
            raise ParserUnavailable(f"the parser did not start: {why}") from ended
        while True:
            head, body = await _frame(parser, limits)
            if "done" in head or "error" in head:
                break
            yield head, body
            del head, body
    finally:
        await _end(parser)
    if "error" in head:
        error = DocumentRejected(head["error"], head["message"])
        if "detail" in head:
            error.add_note(head["detail"])
        raise error


def _request(what: str, path: Path, media_type: str, limits: "ParseLimits", options: dict[str, Any]) -> ParseRequest:
    place = str(path.absolute())  # the fork server may have been started in another folder
    budget = limits.cpu_seconds, limits.memory_bytes
    return ParseRequest(what, media_type, place, *budget, options, starting.environment())


async def _start(request: ParseRequest) -> _Parser:
    (out, its_out), (control, its_control) = socket.socketpair(), socket.socketpair()
    try:
        out.setblocking(False)
        control.setblocking(False)
        with its_out, its_control:
            return _Parser(out, control, await starting.start(request, its_out, its_control))
    except BaseException:
        out.close()
        control.close()
        raise


async def _frame(parser: _Parser, limits: "ParseLimits") -> Frame:
    """The next frame; raises `DocumentRejected` if none comes in time or the parser ended without one."""
    try:
        async with asyncio.timeout(limits.wall_seconds):
            return await frames.read(parser.out, asyncio.get_running_loop().sock_recv, limits.memory_bytes)
    except TimeoutError:
        raise DocumentRejected("too_complex") from None
    except ValueError as wrong:
        error = DocumentRejected("corrupt_file")
        error.add_note(f"the parser sent what it should not: {wrong}"[:500])
        raise error from wrong
    except (EOFError, ConnectionError):
        status = await _status(parser)
    if -status == signal.SIGKILL:
        raise ParserUnavailable("the parser was killed")
    error = DocumentRejected("too_complex" if -status in _LIMIT_SIGNALS else "corrupt_file")
    error.add_note(f"the parser ended with status {status}")
    raise error


async def _status(parser: _Parser) -> int:
    """The exit status of a parser that ends. Raises ParserUnavailable if it went with its fork server."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_END_SECONDS):
            if told := await asyncio.get_running_loop().sock_recv(parser.control, STATUS.size):
                status: int = STATUS.unpack(told)[0]
                return status
    fate = await asyncio.to_thread(parser.server.fate) if parser.server else "was not watched"
    raise ParserUnavailable(f"the parser was killed: the process that starts parsers {fate}")


# The loop keeps only weak references to tasks; a cancelled caller leaves its parser's end to be finished here.
_ending: set[asyncio.Task[None]] = set()


async def _end(parser: _Parser) -> None:
    """Has the parser killed with what it started, and waits until it is gone, even if we are cancelled."""
    with suppress(OSError):
        parser.control.shutdown(socket.SHUT_WR)
    task = asyncio.ensure_future(_gone(parser))
    _ending.add(task)
    task.add_done_callback(_ending.discard)
    await asyncio.shield(task)


async def _gone(parser: _Parser) -> None:
    """Until the other end of `control` is closed, which is when the parser was waited for."""
    with parser.out, parser.control, suppress(ConnectionError):
        try:
            async with asyncio.timeout(_END_SECONDS):
                while await asyncio.get_running_loop().sock_recv(parser.control, STATUS.size):
                    pass
        except TimeoutError:
            if parser.server is not None:  # it hangs; its parsers end with it
                parser.server.process.kill()
                await asyncio.to_thread(parser.server.process.wait)  # or the next parse would still be sent to it
