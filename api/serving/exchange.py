"""One request and its answer: what the log line and the last error need to know about them."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from starlette.types import Message, Receive, Scope, Send

from footnote import deadline


@dataclass
class Exchange:
    """Wraps `receive` and `send` of the server. Bytes are those of the bodies."""

    scope: Scope
    receive_from: Receive
    send_to: Send
    headers: dict[str, str]  # added to the answer where it does not have them
    status: int = 500
    bytes_in: int = 0
    bytes_out: int = 0
    body_read: bool = False
    started: bool = False
    complete: bool = False
    left: bool = False  # the client closed the connection before the end of the answer
    media_type: bytes = b""

    async def receive(self) -> Message:
        message = await self.receive_from()
        if message["type"] == "http.request":
            self.bytes_in += len(message.get("body", b""))
            self.body_read = not message.get("more_body", False)
        elif not self.complete:
            self.left = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            deadline.end()
            if is_draining(self.scope):
                self.headers["connection"] = "close"
            given = {name.lower(): value for name, value in message["headers"]}
            self.media_type = given.get(b"content-type", b"")
            added = [(name.encode(), value.encode()) for name, value in self.headers.items()]
            message["headers"] = [*message["headers"], *(each for each in added if each[0] not in given)]
        else:
            self.bytes_out += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        await self.send_to(message)

    @property
    def streams_events(self) -> bool:
        return self.started and self.media_type.startswith(b"text/event-stream")

    async def take_rest(self, seconds: float) -> None:
        """Reads and discards the rest of the request's body for `seconds`.

        A connection that is closed with unread bytes is reset, and the client may lose the answer.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.body_read and not self.left:
                    await self.receive()


def exchange_of(scope: Scope) -> Exchange:
    exchange: Exchange = scope["state"]["exchange"]
    return exchange


def is_draining(scope: Scope) -> bool:
    """Whether the process was asked to stop."""
    runtime = getattr(scope["app"].state, "runtime", None)
    return runtime is not None and runtime.stopping.is_set()
