"""One request again and again with other bodies, over plain HTTP/1.1 as model servers nearby take it.

A general client spends a millisecond of processor time on a request; this does not spend a tenth of it. It knows no
TLS, no proxies and no redirects.
"""

import asyncio
import time
from typing import Any
from urllib.request import getproxies

import httptools
import httpx2

IDLE_SECONDS = 4.0  # for which a connection is open without a request; many servers close it after 5
MOST_IDLE = 16  # connections
_LEFT_OUT = (b"content-length", b"accept-encoding", b"connection", b"transfer-encoding")


class Repeater:
    """Sends what another client has sent once, with another body."""

    def __init__(self, sent: httpx2.Request, timeout: httpx2.Timeout) -> None:
        """Of `timeout`, `connect` and `read` count."""
        self._sent, self._timeout = sent, timeout
        target = sent.url.raw_path
        lines = [name + b": " + value for name, value in sent.headers.raw if name.lower() not in _LEFT_OUT]
        self._head = b"\r\n".join((b"POST " + target + b" HTTP/1.1", *lines, b"content-length: "))
        self._idle: list[_Connection] = []

    @staticmethod
    def takes(sent: httpx2.Request) -> bool:
        """Whether the request went straight to a server, unencrypted."""
        return sent.method == "POST" and sent.url.scheme == "http" and not getproxies()

    async def post(self, body: bytes) -> httpx2.Response:
        """The answer, whatever its status. Raises httpx2.TransportError."""
        message = b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
        while True:
            connection = self._taken()
            is_new = connection is None
            if connection is None:
                connection = await self._connected()
            try:
                status, headers, content = await self._exchange(connection, message)
            except httpx2.RemoteProtocolError:
                if is_new or connection.heard:
                    raise
                continue  # the server had closed it meanwhile, and has not seen the request
            if connection.is_open and len(self._idle) < MOST_IDLE:
                connection.since = time.monotonic()
                self._idle.append(connection)
            else:
                connection.close()
            return httpx2.Response(status, headers=headers, content=content, request=self._sent)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _taken(self) -> "_Connection | None":
        """The open connection that was used last."""
        until = time.monotonic() - IDLE_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.since > until:
                return connection
            connection.close()
        return None

    async def _connected(self) -> "_Connection":
        url = self._sent.url
        opening = asyncio.get_running_loop().create_connection(_Connection, url.host, url.port or 80)
        try:
            async with asyncio.timeout(self._timeout.connect):
                _, connection = await opening
        except TimeoutError as error:
            raise httpx2.ConnectTimeout("", request=self._sent) from error
        except OSError as error:
            raise httpx2.ConnectError(str(error), request=self._sent) from error
        return connection

    async def _exchange(self, connection: "_Connection", message: bytes) -> "_Answer":
        try:
            async with asyncio.timeout(self._timeout.read):
                return await connection.exchange(message)
        except TimeoutError as error:
            raise httpx2.ReadTimeout("", request=self._sent) from error
        except httptools.HttpParserError as error:
            raise httpx2.RemoteProtocolError(str(error), request=self._sent) from error
        finally:
            if connection.answering:  # given up: what still comes belongs to no other request
                connection.close()


_Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


class _Connection(asyncio.Protocol):
    """One request at a time. `heard`: whether any of its answer has arrived."""

    def __init__(self) -> None:
        self.since = 0.0
        self.heard = self.answering = False
        self.is_open = True
        self._answer: asyncio.Future[_Answer]
        self._transport: asyncio.Transport
        self._parser: Any = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []

    async def exchange(self, message: bytes) -> _Answer:
        """Raises httptools.HttpParserError, also if the connection is lost."""
        self._answer = asyncio.get_running_loop().create_future()
        self.heard, self.answering = False, True
        self._parser, self._headers, self._body = httptools.HttpResponseParser(self), [], []
        if not self.is_open:
            raise httptools.HttpParserError("the connection is closed")
        self._transport.write(message)
        return await self._answer

    def close(self) -> None:
        self.is_open = False
        self._transport.abort()

    # Called by the transport.

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self.answering:
            return self.close()  # nothing was asked
        self.heard = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(error)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        names = {name.lower() for name, _ in self._headers}
        if self._parser is not None and self._parser.get_status_code() and not names & _FRAMES:
            self.on_message_complete()  # the end of the connection is the end of the answer
        self._fail(httptools.HttpParserError(str(error or "the server closed the connection")))

    def _fail(self, error: Exception) -> None:
        if self.answering and not self._answer.done():
            self._answer.set_exception(error)

    # Called by the parser.

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # an interim one
            self._headers, self._body = [], []
            return
        self.is_open = self.is_open and self._parser.should_keep_alive()
        self.answering = False
        if not self._answer.done():
            self._answer.set_result((status, self._headers, b"".join(self._body)))


_FRAMES = {b"content-length", b"transfer-encoding"}
