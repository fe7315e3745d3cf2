"""A parser's process as seen from outside: asked, listened to, ended."""

import asyncio
import signal
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from footnote.errors import DocumentRejected, ParserUnavailable
from footnote.formats.sandbox import frames, starting
from footnote.formats.sandbox.frames import STATUS, Frame, ParseRequest

if TYPE_CHECKING:
    from footnote.settings import ParseLimits

# Over its CPU time, or aborted by a library that could get no more memory.
_LIMIT_SIGNALS = {signal.SIGXCPU, signal.SIGABRT}
_END_SECONDS = 5.0  # in which a fork server ends a parser, or is itself ended
_MOST_IDLE = 4  # that wait
_TURN_SECONDS = 0.05  # for which a document waits for that parser


@dataclass(frozen=True)
class _Parser:
    out: socket.socket
    control: socket.socket
    server: starting.RunningServer | None


async def frames_of(
    what: str, path: Path, media_type: str, limits: "ParseLimits", owner: str = "", **options: Any
) -> AsyncGenerator[Frame, None]:
    """What the parser sends, until it is done. Raises `DocumentRejected` if it sends an error, or nothing.

    `owner`: whose document it is. A parser that has read a plain one waits a moment for the next of the same owner.
    """
    async with _turn(owner) as line:
        parser = await _begun(_request(what, path, media_type, limits, options), limits, line)
        head: dict[str, Any] = {}
        try:
            while True:
                head, body = await _frame(parser, limits)
                if "done" in head or "error" in head:
                    break
                yield head, body
                head, body = {}, b""
        finally:
            if line is not None and head.get("waits") is True:
                line.give(parser)
            else:
                await _end(parser)
    if "error" in head:
        error = DocumentRejected(head["error"], head["message"])
        if "detail" in head:
            error.add_note(head["detail"])
        raise error


async def _begun(request: ParseRequest, limits: "ParseLimits", line: "_Line | None") -> _Parser:
    """A parser that has begun with the request: the one that waits, or else a new one. Raises ParserUnavailable."""
    if line is not None and (waiting := line.take()):
        with suppress(DocumentRejected, ParserUnavailable, OSError):
            await asyncio.get_running_loop().sock_sendall(waiting.out, frames.packed(request))
            await _frame(waiting, limits)
            return waiting
        await _end(waiting)
    parser = await _start(request)
    try:
        await _frame(parser, limits)
    except (DocumentRejected, ParserUnavailable) as ended:
        await _end(parser)
        why = " ".join(getattr(ended, "__notes__", ())) or str(ended)
        raise ParserUnavailable(f"the parser did not start: {why}") from ended
    except BaseException:
        await _end(parser)
        raise
    return parser


class _Line:
    """One parser of an owner, whose documents take turns with it. It ends by itself when none follows soon."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self._parser: _Parser | None = None

    def take(self) -> _Parser | None:
        """The parser that waits; it may have ended."""
        taken, self._parser = self._parser, None
        return taken

    def give(self, parser: _Parser) -> None:
        self._parser = parser
        idle = _lines[asyncio.get_running_loop()].idle
        idle.pop(self, None)
        idle[self] = None
        if len(idle) > _MOST_IDLE:
            oldest = next(iter(idle))
            del idle[oldest]
            if (left := oldest.take()) is not None:
                _finish(left)

    def __del__(self) -> None:
        """With its event loop."""
        if (left := self.take()) is not None:
            left.control.close()
            left.out.close()


class _Lines(dict[str, _Line]):
    """Of an event loop, by owner."""

    def __init__(self) -> None:
        super().__init__()
        self.idle: dict[_Line, None] = {}  # which may have a parser that waits, the oldest first

    def __missing__(self, owner: str) -> _Line:
        line = self[owner] = _Line()
        return line


_lines: WeakKeyDictionary[asyncio.AbstractEventLoop, _Lines] = WeakKeyDictionary()


@asynccontextmanager
async def _turn(owner: str) -> AsyncIterator[_Line | None]:
    """The owner's line; None without an owner, or if the document before takes long: another parser reads it then."""
    line = _lines.setdefault(asyncio.get_running_loop(), _Lines())[owner] if owner else None
    if line is not None:
        try:
            async with asyncio.timeout(_TURN_SECONDS):
                await line.turn.acquire()
        except TimeoutError:
            line = None
    try:
        yield line
    finally:
        if line is not None:
            line.turn.release()


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
            if packed := await asyncio.get_running_loop().sock_recv(parser.control, STATUS.size):
                status: int = STATUS.unpack(packed)[0]
                return status
    fate = await asyncio.to_thread(parser.server.fate) if parser.server else "was not watched"
    raise ParserUnavailable(f"the parser was killed: the process that starts parsers {fate}")


# The loop keeps only weak references to tasks; a cancelled caller leaves its parser's end to be finished here.
_ending: set[asyncio.Task[None]] = set()


async def _end(parser: _Parser) -> None:
    """Has the parser killed with what it started, and waits until it is gone, even if we are cancelled."""
    await asyncio.shield(_finish(parser))


def _finish(parser: _Parser) -> asyncio.Task[None]:
    with suppress(OSError):
        parser.control.shutdown(socket.SHUT_WR)
    task = asyncio.ensure_future(_gone(parser))
    _ending.add(task)
    task.add_done_callback(_ending.discard)
    return task


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
