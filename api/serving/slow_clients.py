"""uvicorn's connection with time-outs: uvicorn limits neither slow request heads nor clients that do not read."""

import asyncio
import socket
import struct
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from api.errors import problem
from api.middleware import SECURITY_HEADERS, log_request
from footnote.database.ids import new_id
from footnote.telemetry import log

# From the connection, or the first byte of a further request, until the head is there; and from the first byte behind
# an answer that did not wait for the body, until that has come.
HEAD_SECONDS = 20.0
MOST_AT_ONCE = 1000  # connections, and requests, of a process
UNSENT_BYTES = 64 * 1024
READ_SECONDS = 20.0  # within which a client must read some of its answer


class Connection(H11Protocol):
    """Closes if a client takes too long. `BodyLimits` limits the body of a request."""

    @property
    def idle(self) -> bool:
        """Whether no request is running and the last answer was handed to the kernel completely."""
        answered = self.cycle is None or self.cycle.response_complete
        return answered and self.transport.get_write_buffer_size() == 0

    def handle_events(self) -> None:
        crowded = max(len(self.connections), len(self.tasks)) >= MOST_AT_ONCE
        self.app = overloaded(self.config.loaded_app) if crowded else self.config.loaded_app
        super().handle_events()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Without it the kernel buffers megabytes, and a slow reader looks like one that does not read.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        unheard = self.conn.our_state is h11.DONE  # the rest of a body that is not read after the answer
        if self.conn.their_state is not h11.IDLE and not unheard:
            self._cancel("head")
        elif "head" not in self._timers:
            self._await_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._cancel("reader")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._cancel("head")
        self._cancel("reader")

    def _await_head(self) -> None:
        self._timers["head"] = self.loop.call_later(HEAD_SECONDS, self._give_up, "its request has no end")

    def _await_reader(self) -> None:
        """The unsent bytes must be fewer each time."""
        left = self.transport.get_write_buffer_size()

        def look() -> None:
            if self.transport.get_write_buffer_size() >= left:
                self._give_up("it does not read")
            else:
                self._await_reader()

        self._timers["reader"] = self.loop.call_later(READ_SECONDS, look)

    def _cancel(self, awaited: str) -> None:
        if timer := self._timers.pop(awaited, None):
            timer.cancel()

    def _give_up(self, why: str) -> None:
        log.info("connection closed", client=self.client and self.client[0], reason=why)
        # At once, not after the kernel has sent its buffer, which may never be read.
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answers with problem+json, since uvicorn would answer in plain text. Nothing after it is read."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # the body cannot be read any further, and the answer is ours to give
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        request_id = new_id("req")
        answer = problem(request_id, 400, "bad_request", msg)
        ours = SECURITY_HEADERS | {"x-request-id": request_id, "connection": "close"}
        headers = [*answer.raw_headers, *((name.encode(), value.encode()) for name, value in ours.items())]
        head = h11.Response(status_code=400, headers=headers, reason=STATUS_PHRASES[400])
        for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        log_request(
            method=None,
            route=None,
            status=400,
            ms=None,
            request_id=request_id,
            bytes_in=None,
            bytes_out=len(answer.body),
        )


def overloaded(app: Any) -> Any:
    """The application in a state in which it refuses. uvicorn would answer in plain text and without a log line."""

    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["overloaded"] = True
        await app(scope, receive, send)

    return refusing
