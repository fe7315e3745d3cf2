"""Plain ASGI middleware: request id and metrics, body limits, last resort for errors."""

import asyncio
import re
import time
from collections.abc import Mapping
from http import HTTPMethod

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import of_unexpected, problem
from footnote.ids import new_id
from footnote.telemetry import requests_seconds

REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class RequestContext:
    """Gives every request its id (the caller's, if it is sane), binds it to the logs, measures the request.

    It stands outside of everything, so it is also what answers when something unforeseen is raised: what answers
    further out would leave the id away.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        request_id = given.decode() if REQUEST_ID.fullmatch(given) else new_id("req")
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started, status, answered = time.perf_counter(), 500, False

        async def send_with_id(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], True
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = 499  # nobody is left to be answered
        except Exception as error:
            if answered:
                raise
            await of_unexpected(request_id, error)(scope, receive, send_with_id)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            method = scope["method"] if scope["method"] in HTTPMethod.__members__ else "other"
            requests_seconds.labels(method, route, status).observe(time.perf_counter() - started)


class _Refused(Exception):
    """A body that is not read any further."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(code)
        self.status, self.code, self.detail = status, code, detail


class BodyLimits:
    """Caps the bytes of a body and the silence within it; uvicorn itself waits for ever.

    Uploads have their own, larger caps: they are streamed, everything else is read into memory. The body is never
    read further than the cap.
    """

    def __init__(self, app: ASGIApp, *, default_bytes: int, path_bytes: Mapping[str, int], idle_seconds: float) -> None:
        self.app = app
        self.default_bytes = default_bytes
        self.path_bytes = path_bytes
        self.idle_seconds = idle_seconds

    def _limit(self, path: str) -> int:
        """By the whole path, or by its folder where the folder is listed with a slash behind it."""
        folder = path[: path.rfind("/") + 1]
        return self.path_bytes.get(path) or self.path_bytes.get(folder) or self.default_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        limit = self._limit(scope["path"])
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit:
            return await _refuse(_too_large(limit), scope, receive, send)
        body = _Body(receive, limit, self.idle_seconds)
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


class _Body:
    """A request's body on its way to the application, until it is refused."""

    def __init__(self, receive: Receive, limit: int, idle_seconds: float) -> None:
        self._receive = receive
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._received = 0
        self._finished = False
        self.refused: _Refused | None = None

    async def receive(self) -> Message:
        if self.refused is not None:
            raise self.refused
        if self._finished:
            return await self._receive()
        try:
            async with asyncio.timeout(self._idle_seconds):
                message = await self._receive()
        except TimeoutError:
            self.refused = _Refused(408, "body_timeout", "The request body stopped arriving.")
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
