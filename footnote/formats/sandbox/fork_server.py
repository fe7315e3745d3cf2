"""The process that parsers are forked from: `python -m footnote.formats.sandbox.fork_server SOCKET`.

It imports once what the formats need, and reads no document itself. Its parent sends it requests on SOCKET, each with
two descriptors: where the parser writes its frames, and the parser's `control` socket. When the parent closes its end
of `control`, the parser is killed; when the parser has ended, its exit status is sent there. The server and all its
parsers end when the parent has gone.
"""

import gc
import os
import resource
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, NoReturn

from footnote.formats import modules
from footnote.formats.sandbox import child
from footnote.formats.sandbox.frames import STATUS, ParseRequest

MOST_REQUEST_BYTES = 256 * 1024
READY = b"\0"  # what the parent waits for before its first request
PRELOADED = (
    "PIL.WebPImagePlugin",
    "charset_normalizer",
    "docx.oxml",
    "email.parser",
    "email.policy",
    "encodings.cp437",
    "heapq",
    "lxml.etree",
    "markdown_it",
    "pypdfium2.raw",
    "python_calamine",
    "selectolax.lexbor",
)


@dataclass(frozen=True)
class _Parser:
    """A forked process; `life` is closed at its end when it has ended, and at ours if we end."""

    pid: int
    control: socket.socket
    life: socket.socket

    def close(self) -> None:
        self.control.close()
        self.life.close()

    def kill(self) -> None:
        """With the program that it started. It is not waited for yet, so that the number is still its own."""
        for send in (os.killpg, os.kill):  # right after the fork it leads no group
            with suppress(ProcessLookupError):
                send(self.pid, signal.SIGKILL)


class ForkServer:
    """Forks parsers for the process at the other end of `requests`.

    `preloaded_bytes` of address space are filled with libraries, and do not count against a parser's limit.
    """

    def __init__(self, requests: socket.socket, preloaded_bytes: int) -> None:
        self._requests = requests
        self._preloaded_bytes = preloaded_bytes
        self._parsers: set[_Parser] = set()
        self._selector = selectors.PollSelector()
        self._watch(requests, self._accept)

    def run(self) -> NoReturn:
        while True:
            for key, _ in self._selector.select():
                if self._selector.get_map().get(key.fd) is key:  # not closed by what came before it
                    key.data()

    def _watch(self, source: socket.socket, act: Callable[[], None]) -> None:
        self._selector.register(source, selectors.EVENT_READ, act)

    def _accept(self) -> None:
        flags = socket.MSG_CMSG_CLOEXEC
        message, descriptors, _, _ = socket.recv_fds(self._requests, MOST_REQUEST_BYTES, 2, flags)
        if not message:
            self._end()
        control, (ours, theirs) = socket.socket(fileno=descriptors[1]), socket.socketpair()
        with os.fdopen(descriptors[0], "wb") as out, theirs:
            try:
                pid = os.fork()
            except OSError:  # no memory, or too many processes
                control.send(STATUS.pack(1))
                control.close()
                ours.close()
                return
            parser = _Parser(pid, control, ours)
            if pid == 0:
                self._become_parser(message, out, theirs, {parser, *self._parsers})
        self._parsers.add(parser)
        self._watch(control, partial(self._give_up, parser))
        self._watch(ours, partial(self._report_exit, parser))

    def _become_parser(self, message: bytes, out: BinaryIO, parent: socket.socket, parsers: set[_Parser]) -> NoReturn:
        """In the forked process: leaves what belongs to the server, and reads the document.

        That is also what it has of parsers that are being killed: their parents wait until no process holds `control`.
        """
        try:
            os.setsid()
            self._requests.close()
            for each in parsers:
                each.close()
            child.run(ParseRequest.decode(message), out, parent, self._preloaded_bytes)
        finally:
            os._exit(1)

    def _give_up(self, parser: _Parser) -> None:
        self._selector.unregister(parser.control)
        parser.kill()

    def _report_exit(self, parser: _Parser) -> None:
        """Waits for a parser that has closed all it had, as the last thing but ending, and reports it to its parent."""
        parser.kill()  # what it started
        status = os.waitstatus_to_exitcode(os.waitpid(parser.pid, 0)[1])
        self._parsers.remove(parser)
        with suppress(OSError):
            parser.control.send(STATUS.pack(status))
        for each in (parser.control, parser.life):
            with suppress(KeyError):
                self._selector.unregister(each)
        parser.close()

    def _end(self) -> NoReturn:
        for parser in self._parsers:
            parser.kill()
        for parser in self._parsers:
            os.waitpid(parser.pid, 0)
        os._exit(0)


def _mapped_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def preload() -> int:
    """Imports what parsers need; the bytes of address space that it took."""
    before = _mapped_bytes()
    modules()
    for name in PRELOADED:
        with suppress(ImportError):  # a parser that needs it says so
            import_module(name)
    gc.collect()
    gc.freeze()  # so that a parser's collector neither looks through it nor copies its pages
    return _mapped_bytes() - before


def main(descriptor: int) -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM):  # it ends with its parent, which may have work to finish
        signal.signal(number, signal.SIG_IGN)
    requests = socket.socket(fileno=descriptor)
    server = ForkServer(requests, preload())
    requests.send(READY)
    server.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
