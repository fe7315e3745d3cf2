"""Starting a parser's process: forked from this process's fork server, or as a fresh interpreter.

Each process has a fork server of its own, from its first parse on, or `ahead` of it. A server that has died is
replaced at the next parse.
"""

import asyncio
import atexit
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread

from footnote.errors import ParserUnavailable
from footnote.formats.sandbox.frames import STATUS, ParseRequest

# Forking a process with libraries of the system in it is not safe on macOS.
FORKS = sys.platform == "linux"
_ROOT = Path(__file__).parents[3]
_ENVIRONMENT = {"PYTHONPATH": str(_ROOT), "PYTHONSAFEPATH": "1", "PYTHONUTF8": "1", "OMP_THREAD_LIMIT": "1"}
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "TESSDATA_PREFIX")
_POLL_SECONDS = 0.05
_READY_SECONDS = 0.01  # between two looks at a server that starts
_STOP_SECONDS = 5
_MOST_STARTS = 3  # of a server that ends before it is ready
_ANSWER_SECONDS = 120.0  # in which it takes a request


def environment() -> dict[str, str]:
    """The environment of a parser. There are no keys in it."""
    return _ENVIRONMENT | {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def _spawn(module: str, *arguments: str, descriptors: tuple[int, ...]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - no user input
        [sys.executable, "-m", f"footnote.formats.sandbox.{module}", *map(str, descriptors), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        pass_fds=descriptors,
        start_new_session=True,
    )


class RunningServer:
    """The process that `fork_server` runs in, as its parent sees it."""

    def __init__(self) -> None:
        self.requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.requests.setblocking(False)
        with theirs:
            self.process = _spawn("fork_server", descriptors=(theirs.fileno(),))

    def is_ready(self) -> bool:
        """Whether it has sent its first byte. It stays in the socket, so that every thread and event loop sees it.

        Raises EOFError if the server has ended.
        """
        try:
            if not self.requests.recv(1, socket.MSG_PEEK):
                raise EOFError
        except BlockingIOError:
            return False
        except ConnectionError as error:
            raise EOFError from error
        return True

    def stop(self) -> None:
        """Waits until it has ended, with its parsers."""
        self.requests.close()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def fate(self) -> str:
        """How it ended, once its end of a connection is closed."""
        with suppress(subprocess.TimeoutExpired):
            return f"ended with status {self.process.wait(1)}"
        return "does not answer"


_server: RunningServer | None = None
_lock = Lock()


def _forget() -> None:
    """In a process forked from ours: a copy of our connection there would keep the server alive when we have gone."""
    global _server, _lock
    _lock = Lock()
    if _server is not None:
        _server.requests.close()
        _server.process.returncode = 0  # not its child, so not for it to wait for
        _server = None


def stop() -> None:
    """Ends this process's fork server; the next parse starts another one."""
    global _server
    with _lock:
        if _server is not None:
            _server.stop()
            _server = None


os.register_at_fork(after_in_child=_forget)
atexit.register(stop)


def _running_server() -> RunningServer:
    global _server
    with _lock:
        if _server is None or _server.process.poll() is not None:
            if _server is not None:
                _server.requests.close()
            _server = RunningServer()
        return _server


def ahead() -> None:
    """Has this process's fork server begin to start, so that the first document does not wait for it."""
    if FORKS:
        _running_server()


async def start(request: ParseRequest, out: socket.socket, control: socket.socket) -> RunningServer | None:
    """Starts a parser that writes to `out`, ends when the other end of `control` closes, and has its status sent there.

    Gives the server it is forked from, if any. Raises ParserUnavailable if none can be started, or it takes no request.
    """
    message, descriptors = request.encode(), (out.fileno(), control.fileno())
    if not FORKS:
        process = _spawn("child", message, descriptors=descriptors)
        Thread(target=_watch, args=(process, control.dup()), daemon=True).start()
        return None
    ended: set[RunningServer] = set()
    clock = asyncio.get_running_loop().time
    due = clock() + _ANSWER_SECONDS
    while len(ended) < _MOST_STARTS and clock() < due:
        server = _running_server()
        with suppress(BlockingIOError, ConnectionError):  # many wait for it already; it ended just now
            try:
                if server.is_ready():
                    socket.send_fds(server.requests, [message.encode()], descriptors)
                    return server
            except EOFError:
                ended.add(server)
        await asyncio.sleep(_READY_SECONDS)
    fate = await asyncio.to_thread(server.fate)
    server.process.kill()  # if it hangs, so that the next parse starts another one
    raise ParserUnavailable(f"the parser did not start: the process that starts parsers {fate}")


def _watch(process: "subprocess.Popen[bytes]", control: socket.socket) -> None:
    """What the fork server does for its parsers, for a fresh one."""
    with control:
        while process.poll() is None:
            if select.select([control], [], [], _POLL_SECONDS)[0]:
                with suppress(ProcessLookupError, PermissionError):  # macOS: a group of the dead
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        with suppress(OSError):
            control.send(STATUS.pack(process.returncode))
