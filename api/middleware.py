"""Plain ASGI middleware: request id, headers and metrics, body limits, last resort for errors."""

import asyncio
import math
import re
import time
from collections.abc import Mapping
from http import HTTPMethod

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import of_unexpected, problem
from footnote import deadline
from footnote.ids import new_id
from footnote.line import began
from footnote.telemetry import requests_seconds

# Until an answer begins, unless its route has another limit (`api.deps`): more than a crowd waits in the line.
REQUEST_SECONDS = 60.0
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")

# No answer is a page, but for /docs, which says itself what it needs. Should a browser show one all the same, it runs
# and loads nothing, in nobody's frame and in no origin of ours. Caches on the way know by `Authorization` only that an
# answer is one caller's, and keys come as `X-API-Key`, too.
SECURITY_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class RequestContext:
    """Gives every request its id (the caller's, if it is sane), binds it to the logs, measures the request.

    It stands outside of everything, so that every answer has the id, and the headers that keep browsers safe. What is
    put into `state.headers` while the request is handled becomes headers of its answer, whichever that is.
    """

    def __init__(self, app: ASGIApp, *, hsts_seconds: int) -> None:
        self.app = app
        hsts = {"strict-transport-security": f"max-age={hsts_seconds}; includeSubDomains"} if hsts_seconds else {}
        self.headers = SECURITY_HEADERS | hsts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        request_id = given.decode() if REQUEST_ID.fullmatch(given) else new_id("req")
        headers = self.headers | {"x-request-id": request_id}
        scope.setdefault("state", {}).update(request_id=request_id, headers=headers)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started, status = time.monotonic(), 500
        began.set(started)
        until = deadline.Deadline(REQUEST_SECONDS)
        deadline.current.set(until)

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                until.end()
                status = message["status"]
                given = {name.lower() for name, _ in message["headers"]}
                added = [(name.encode(), value.encode()) for name, value in headers.items()]
                message["headers"] = [*message["headers"], *(each for each in added if each[0] not in given)]
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = 499  # nobody is left to be answered
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            method = scope["method"] if scope["method"] in HTTPMethod.__members__ else "other"
            requests_seconds.labels(method, route, status).observe(time.monotonic() - started)


class LastResort:
    """Answers when something unforeseen is raised: inside of what adds headers, which the answer would lack else."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        answered = False

        async def watched(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            raise
        except Exception as error:
            if answered:
                raise
            await of_unexpected(scope["state"]["request_id"], error)(scope, receive, send)


class _Refused(Exception):
    """A body that is not read any further."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(code)
        self.status, self.code, self.detail = status, code, detail


class BodyLimits:
    """Caps the bytes of a body, the silence within it and its time; uvicorn itself waits for ever.

    Uploads have their own, larger caps: they are streamed, everything else is read into memory. The body is never
    read further than the cap. A file may take its time, as long as it is not silent: paths that are `streamed`. What
    declares itself too large is refused here, or, where that is `told_by_route`, by the route, which knows whose it is.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        default_bytes: int,
        path_bytes: Mapping[str, int],
        idle_seconds: float,
        seconds: float,
        streamed: frozenset[str],
        told_by_route: frozenset[str],
    ) -> None:
        self.app = app
        self.default_bytes = default_bytes
        self.path_bytes = path_bytes
        self.idle_seconds = idle_seconds
        self.seconds = seconds
        self.streamed = streamed
        self.told_by_route = told_by_route

    def _limit(self, path: str) -> int:
        """By the whole path, or by its folder where the folder is listed with a slash behind it."""
        return self.path_bytes.get(path) or self.path_bytes.get(_folder(path)) or self.default_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        limit = self._limit(scope["path"])
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        places = {scope["path"], _folder(scope["path"])}
        if declared.isdigit() and int(declared) > limit and places.isdisjoint(self.told_by_route):
            return await _refuse(_too_large(limit), scope, receive, send)
        endless = not places.isdisjoint(self.streamed)
        body = _Body(receive, limit, self.idle_seconds, None if endless else self.seconds)
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            # Whatever the application makes of a body that was cut off, the reason is what the caller must see.
            if body.refused is None or started:
                started = True
                await send(message)

        try:
            await self.app(scope, body.receive, watched)
        except Exception:
            if body.refused is None or started:
                raise
        if body.refused is not None and not started:
            await _refuse(body.refused, scope, receive, send)


def _folder(path: str) -> str:
    return path[: path.rfind("/") + 1]


class _Body:
    """A request's body on its way to the application, until it is refused."""

    def __init__(self, receive: Receive, limit: int, idle_seconds: float, seconds: float | None) -> None:
        self._receive = receive
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._deadline = math.inf if seconds is None else time.monotonic() + seconds
        self._received = 0
        self._finished = False
        self.refused: _Refused | None = None

    async def receive(self) -> Message:
        if self.refused is not None:
            raise self.refused
        if self._finished:
            return await self._receive()
        try:
            async with asyncio.timeout(min(self._idle_seconds, self._deadline - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            self.refused = _Refused(408, "body_timeout", "The request body did not arrive in time.")
            raise self.refused from None
        self._received += len(message.get("body", b""))
        self._finished = not message.get("more_body", False)
        if self._received > self._limit:
            self.refused = _too_large(self._limit)
            raise self.refused
        return message


def _too_large(limit: int) -> _Refused:
    return _Refused(413, "too_large", f"The request body is over the limit of {limit} bytes.")


async def _refuse(refused: _Refused, scope: Scope, receive: Receive, send: Send) -> None:
    # The rest of the body is not read, so the connection cannot be used again.
    headers = {"Connection": "close"}
    request_id = scope["state"]["request_id"]
    answer = problem(request_id, refused.status, refused.code, refused.detail, headers=headers)
    await answer(scope, receive, send)
