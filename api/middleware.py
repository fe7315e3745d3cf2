"""Plain ASGI middleware: request id, headers, log and metrics, last resort for errors."""

import asyncio
import re
import time
from http import HTTPMethod
from typing import Any

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from api.body_limits import Refused, refuse
from api.errors import RETRY_SECONDS, error_event, of_error, of_unexpected
from api.public_address import origin_of
from api.serving.exchange import Exchange, exchange_of, is_draining
from footnote import deadline
from footnote.citations import links
from footnote.database.admission import began
from footnote.database.ids import new_id
from footnote.errors import Unavailable
from footnote.telemetry import log, traces
from footnote.telemetry.metrics import requests_seconds, requests_total
from footnote.tenancy.keys import Principal

# Until an answer begins, unless its route has another limit (`api.deps`). A crowd of requests that waits for database
# connections needs less.
REQUEST_SECONDS = 60.0
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
CLIENT_LEFT = 499  # used as status if the client closed the connection
QUIET_ROUTES = frozenset({"/healthz", "/readyz", "/metrics"})  # requested by machines every few seconds
LINGER_SECONDS = 1.0  # time to read the rest of an upload that is cut off

# No answer is a web page except /docs, which sets its own policy. If a browser shows an answer as a page, it must not
# run or load anything, be framed, or have our origin. Caches know only by `Authorization` that an answer is private,
# and keys also come as `X-API-Key`, so nothing may be stored.
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
    """Gives every request its id (the caller's if it is well-formed), measures and logs the request.

    It is the outermost layer, so that every answer has the id and the security headers. `state.headers` is added to the
    answer, also if that is an error.
    """

    def __init__(self, app: ASGIApp, *, hsts_seconds: int, public_url: str | None = None) -> None:
        self.app = app
        self.public_url = public_url
        hsts = {"strict-transport-security": f"max-age={hsts_seconds}; includeSubDomains"} if hsts_seconds else {}
        self.headers = SECURITY_HEADERS | hsts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        request_id = given.decode() if REQUEST_ID.fullmatch(given) else new_id("req")
        headers = self.headers | {"x-request-id": request_id}
        exchange = Exchange(scope, receive, send, headers)
        scope.setdefault("state", {}).update(request_id=request_id, headers=headers, exchange=exchange)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started = time.monotonic()
        began.set(started)
        links.base.set(self.public_url or origin_of(scope))
        deadline.current.set(deadline.Deadline(REQUEST_SECONDS))
        app = refuse(why) if (why := _refusal(scope)) else self.app
        span = traces.begin("request", dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1"))
        try:
            await app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.left = True
        finally:
            _record(scope, exchange, time.monotonic() - started, span)


def _record(scope: Scope, exchange: Exchange, seconds: float, span: Any) -> None:
    """Records the request in metrics and log: nothing of its content, and no path, since a path holds ids."""
    route = getattr(scope.get("route"), "path", None)
    method = scope["method"] if scope["method"] in HTTPMethod.__members__ else "other"
    status = CLIENT_LEFT if exchange.left else exchange.status
    traces.end(span, failed=status >= 500, name=f"{method} {route or 'unmatched'}", status=status)
    requests_total.labels(route or "unmatched", f"{status // 100}xx").inc()
    requests_seconds.labels("read" if method in ("GET", "HEAD") else "write").observe(seconds)
    log_request(
        method=method,
        route=route,
        status=status,
        ms=round(1000 * seconds, 1),
        caller=scope["state"].get("principal"),
        bytes_in=exchange.bytes_in,
        bytes_out=exchange.bytes_out,
    )


def log_request(*, route: str | None, caller: Principal | None = None, **fields: Any) -> None:
    """`route` is the template. It is None if there is no such route or the request could not be read."""
    say = log.debug if route in QUIET_ROUTES else log.info
    ids = {"tenant_id": caller and caller.tenant_id, "key_id": caller and caller.key_id}
    say("request", route=route, **ids, **fields)


def _refusal(scope: Scope) -> Refused | None:
    """Why a request is refused because of its head alone."""
    if scope["state"].get("overloaded"):
        return Refused(503, "overloaded", "This process has too many requests.", RETRY_SECONDS)
    coded = [value for name, value in scope["headers"] if name == b"transfer-encoding"]
    declared = any(name == b"content-length" for name, _ in scope["headers"])
    # A proxy in front of us may use the other of the two headers, or neither, and see other requests than we do.
    if coded and (declared or len(coded) > 1 or coded[0].lower() != b"chunked" or scope["http_version"] == "1.0"):
        return Refused(400, "bad_request", "The length of the body is ambiguous: see Transfer-Encoding.")
    return None


class LastResort:
    """Answers after an unexpected error, and if the process stops before the answer has begun.

    It is inside the middleware that adds headers, so that its answers have them, too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        exchange = exchange_of(scope)
        try:
            await self.app(scope, receive, send)
        except ClientDisconnect:
            raise
        except asyncio.CancelledError:
            if not is_draining(scope):
                raise
            await _cut_off(exchange, scope, send)
        except Exception as error:
            if exchange.started:
                raise
            await of_unexpected(scope, error)(scope, receive, send)


async def _cut_off(exchange: Exchange, scope: Scope, send: Send) -> None:
    """Asks the client to send the request again: the server cancelled it at the end of the drain.

    A download that has begun can only break off, since its length was declared.
    """
    error = Unavailable("restarting", "The server restarts; send the request again.", retry_after=RETRY_SECONDS)
    if not exchange.started:
        answer = of_error(scope, error)
        answer.headers["connection"] = "close"
        await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        await exchange.take_rest(LINGER_SECONDS)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    elif exchange.streams_events and not exchange.complete:
        exchange.status = 503  # for the log; the client reads it in the event
        await send({"type": "http.response.body", "body": error_event(scope, error), "more_body": False})
