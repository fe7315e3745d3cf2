"""Limits the body of a request: its size and its time. A route whose limits differ from the default states them."""

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import refusal
from footnote.documents.presigned_uploads import PART_BYTES
from footnote.settings import Settings

MAX_TEXT_BYTES = 4 * 1024 * 1024
MULTIPART_OVERHEAD = 128 * 1024  # boundaries, part headers and small fields in addition to the files

Route = TypeVar("Route", bound=Callable[..., object])


@dataclass(frozen=True)
class BodyLimit:
    """`of` gives the largest size in bytes.

    A body that `is_streamed` may take any time as long as bytes arrive. If it is `checked_by_route`, the route itself
    refuses a body that declares too large a size, because it can log the name of the file and its tenant.
    """

    of: Callable[[Settings], int]
    is_streamed: bool = False
    checked_by_route: bool = False


def _text(settings: Settings) -> int:
    return max(MAX_TEXT_BYTES, settings.max_json_bytes)


def _file(settings: Settings) -> int:
    return settings.max_upload_bytes + MULTIPART_OVERHEAD


JSON = BodyLimit(lambda settings: settings.max_json_bytes)
TEXT = BodyLimit(_text)
FILE = BodyLimit(_file, is_streamed=True, checked_by_route=True)
FILES = BodyLimit(_file, is_streamed=True)
PART = BodyLimit(lambda _settings: PART_BYTES + MULTIPART_OVERHEAD, is_streamed=True)


def takes(limit: BodyLimit) -> Callable[[Route], Route]:
    """Decorates a route whose body has another limit than `JSON`."""

    def mark(route: Route) -> Route:
        route.body_limit = limit  # type: ignore[attr-defined]
        return route

    return mark


def limit_of(route: Callable[..., object]) -> BodyLimit:
    return getattr(route, "body_limit", JSON)


class Refused(Exception):
    """A request that is refused before its body was read."""

    def __init__(self, status: int, code: str, detail: str, retry_after: float | None = None) -> None:
        super().__init__(code)
        self.status, self.code, self.detail, self.retry_after = status, code, detail, retry_after


class BodyLimits:
    """Limits the size of a body, the silence within it and its time; uvicorn has no such limits.

    A route states its limit with `takes`. A body is never read further than its limit. If it declares
    itself too large, it is refused here before any of it is read, or by its route.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings, routes: Iterable[BaseRoute]) -> None:
        self.app = app
        self.settings = settings
        found = [(route, limit_of(route.endpoint)) for route in routes if isinstance(route, APIRoute)]
        self.routes = [(route, limit) for route, limit in found if limit is not JSON]

    def _limit(self, scope: Scope) -> BodyLimit:
        for route, limit in self.routes:
            if scope["method"] in (route.methods or ()) and route.path_regex.match(scope["path"]):
                return limit
        return JSON

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        settings, stated = self.settings, self._limit(scope)
        limit = stated.of(settings)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit and not stated.checked_by_route:
            return await refuse(_too_large(limit))(scope, receive, send)
        body = _Body(receive, limit, settings.body_idle_seconds, None if stated.is_streamed else settings.body_seconds)
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            # Whatever the application answers to a body that was cut off, the caller must see the reason.
            if body.refused is None or started:
                started = True
                await send(message)

        try:
            await self.app(scope, body.receive, watched)
        except Exception:
            if body.refused is None or started:
                raise
        if body.refused is not None and not started:
            await refuse(body.refused)(scope, receive, send)


class _Body:
    """A request's body on its way to the application, until a limit is reached."""

    def __init__(self, receive: Receive, limit: int, idle_seconds: float, seconds: float | None) -> None:
        self._receive = receive
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._deadline = math.inf if seconds is None else time.monotonic() + seconds
        self._received = 0
        self._finished = False
        self.refused: Refused | None = None

    async def receive(self) -> Message:
        if self.refused is not None:
            raise self.refused
        if self._finished:
            return await self._receive()
        try:
            async with asyncio.timeout(min(self._idle_seconds, self._deadline - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            self.refused = Refused(408, "body_timeout", "The request body did not arrive in time.")
            raise self.refused from None
        self._received += len(message.get("body", b""))
        self._finished = not message.get("more_body", False)
        if self._received > self._limit:
            self.refused = _too_large(self._limit)
            raise self.refused
        return message


def _too_large(limit: int) -> Refused:
    return Refused(413, "too_large", f"The request body is over the limit of {limit} bytes.")


def refuse(refused: Refused) -> ASGIApp:
    """An application that refuses. The rest of the body is not read, so the connection cannot be reused."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        headers = {"Connection": "close"}
        if refused.retry_after:
            headers["Retry-After"] = f"{refused.retry_after:.0f}"
        response = refusal(scope, refused.status, refused.code, refused.detail, headers=headers)
        await response(scope, receive, send)

    return answer
