"""Plain ASGI middleware: request id and metrics, body limits, last resort for errors."""

import asyncio
import re
import time
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import problem
from footnote.errors import FootnoteError, TooLarge
from footnote.ids import new_id
from footnote.telemetry import requests_seconds

REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class RequestContext:
    """Gives every request its id (the caller's, if it is sane), binds it to the logs, measures the request."""

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
        started, status = time.perf_counter(), 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            requests_seconds.labels(scope["method"], route, status).observe(time.perf_counter() - started)


class BodyLimits:
    """Caps the bytes of a body and the silence within it; uvicorn itself waits for ever.

    Uploads have their own, larger cap. The body is never read further than the cap.
    """

    def __init__(self, app: ASGIApp, *, json_bytes: int, upload_bytes: int, idle_seconds: float) -> None:
        self.app = app
        self.json_bytes = json_bytes
        self.upload_bytes = upload_bytes
        self.idle_seconds = idle_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = dict(scope["headers"])
        upload = headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
        limit = self.upload_bytes if upload else self.json_bytes
        started = finished = False
        received = 0

        async def limited() -> Message:
            nonlocal received, finished
            if finished:
                return await receive()
            async with asyncio.timeout(self.idle_seconds):
                message = await receive()
            received += len(message.get("body", b""))
            finished = not message.get("more_body", False)
            if received > limit:
                raise _too_large(limit)
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            declared = headers.get(b"content-length", b"0")
            if declared.isdigit() and int(declared) > limit:
                raise _too_large(limit)
            await self.app(scope, limited, watched)
        except (FootnoteError, TimeoutError) as error:
            if started or (isinstance(error, TimeoutError) and finished):
                raise
            await _refusal(scope, error)(scope, receive, send)


def _too_large(limit: int) -> TooLarge:
    return TooLarge("too_large", f"The request body is over the limit of {limit} bytes.")


def _refusal(scope: Scope, error: Exception) -> Any:
    # The rest of the body is not read, so the connection cannot be used again.
    headers = {"Connection": "close"}
    request_id = scope["state"]["request_id"]
    if isinstance(error, FootnoteError):
        return problem(request_id, 413, error.code, error.message, headers=headers)
    return problem(request_id, 408, "body_timeout", "The request body stopped arriving.", headers=headers)
