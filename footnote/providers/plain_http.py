"""HTTP in the clear to a model server nearby: h11 on the event loop's own streams.

httpx takes ten times as long for a request, two milliseconds of a processor: as much as a search by vectors takes
Postgres (ADR 70). Its responses and errors are used, so that callers need not know which of the two has asked.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import h11
import httpx2

IDLE_SECONDS = 5.0  # after which a connection is not used again: servers close it about then
MOST_IDLE = 100
_PIECE = 256 * 1024


def serves(url: str) -> bool:
    """Whether this client may ask there: without TLS, without a proxy, and without a name and password in the URL."""
    parts = urlsplit(url)
    return parts.scheme == "http" and bool(parts.hostname) and parts.username is None and not _proxied()


def _proxied() -> bool:
    return not {"http", "all"}.isdisjoint(getproxies())


@dataclass(frozen=True)
class _Stream:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    protocol: h11.Connection
    since: float = 0.0  # when it became idle; 0: it is new

    @property
    def may_be_open(self) -> bool:
        return not self.reader.at_eof() and time.monotonic() - self.since < IDLE_SECONDS


class PlainClient:
    """Posts JSON. Connections are used again."""

    def __init__(self, headers: Mapping[str, str], timeout: httpx2.Timeout) -> None:
        self._headers = [*headers.items(), ("content-type", "application/json"), ("accept-encoding", "identity")]
        self._timeout = timeout
        self._idle: list[_Stream] = []

    async def post(self, url: str, body: Mapping[str, Any]) -> httpx2.Response:
        """The answer, whatever its status; redirects are not followed. Raises httpx's TransportErrors.

        What a used connection was closed for before it answered is asked once more, on a new one.
        """
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        while True:
            stream = self._taken() or await self._opened(url)
            try:
                with _errors(httpx2.ReadTimeout, httpx2.ReadError):
                    answer = await self._asked(stream, url, content)
            except BaseException:
                stream.writer.close()
                raise
            if answer is not None:
                self._give_back(stream)
                answer.request = httpx2.Request("POST", url, headers=self._headers)  # whose key errors must not repeat
                return answer
            stream.writer.close()
            if not stream.since:
                raise httpx2.RemoteProtocolError("The server closed the connection without an answer.")

    async def close(self) -> None:
        while self._idle:
            self._idle.pop().writer.close()

    def _taken(self) -> _Stream | None:
        while self._idle:
            if (stream := self._idle.pop()).may_be_open:
                return stream
            stream.writer.close()
        return None

    def _give_back(self, stream: _Stream) -> None:
        done = stream.protocol.our_state is h11.DONE and stream.protocol.their_state is h11.DONE
        if not done or len(self._idle) >= MOST_IDLE:
            stream.writer.close()
            return
        stream.protocol.start_next_cycle()
        self._idle.append(_Stream(stream.reader, stream.writer, stream.protocol, time.monotonic()))

    async def _opened(self, url: str) -> _Stream:
        parts = urlsplit(url)
        with _errors(httpx2.ConnectTimeout, httpx2.ConnectError):
            async with asyncio.timeout(self._timeout.connect):
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80, limit=_PIECE)
        return _Stream(reader, writer, h11.Connection(h11.CLIENT))

    async def _asked(self, stream: _Stream, url: str, content: bytes) -> httpx2.Response | None:
        """The answer; None if there is nothing of one."""
        parts, protocol = urlsplit(url), stream.protocol
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = [("host", parts.netloc), *self._headers, ("content-length", str(len(content)))]
        sent = (h11.Request(method="POST", target=target, headers=headers), h11.Data(content), h11.EndOfMessage())
        stream.writer.write(b"".join(protocol.send(each) or b"" for each in sent))
        async with asyncio.timeout(self._timeout.write):
            await stream.writer.drain()
        head, pieces = None, []
        while not isinstance(event := protocol.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                async with asyncio.timeout(self._timeout.read):
                    received = await stream.reader.read(_PIECE)
                if not received and head is None and protocol.trailing_data == (b"", False):
                    return None
                protocol.receive_data(received)
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                pieces.append(bytes(event.data))
        assert head is not None
        return httpx2.Response(head.status_code, headers=list(head.headers), content=b"".join(pieces))


@contextmanager
def _errors(late: type[httpx2.TimeoutException], lost: type[httpx2.NetworkError]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise late(str(error)) from error
    except OSError as error:
        raise lost(str(error)) from error
    except h11.RemoteProtocolError as error:
        raise httpx2.RemoteProtocolError(str(error)) from error
