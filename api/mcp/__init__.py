"""The MCP server at `/mcp`: access, and metadata for clients without a token. The SDK is imported at its first use.

It takes about as much time and memory as FastAPI, and most processes never serve it: so the first request has it
imported, in a thread.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from api.deps import program_of
from api.errors import of_error, request_id_of
from footnote.citations import links
from footnote.errors import FootnoteError, Forbidden, Unauthenticated
from footnote.runtime import Runtime
from footnote.settings import LOOPBACK, Settings
from footnote.tenancy import rate_limits
from footnote.tenancy.keys import Principal

PATH = "/mcp"
HEADERS = ("MCP-Protocol-Version", "Mcp-Method", "Mcp-Name")  # that pages of allowed origins send
_METADATA = "/.well-known/oauth-protected-resource"  # RFC 9728, section 3.1: the resource's path is behind it
_SCOPES = ("read", "write")


class McpEndpoint:
    """Takes POST requests with a key, from programs and from pages that may call the API."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.route = Route(PATH, self)
        self._opening: asyncio.Task[ASGIApp] | None = None
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self.route  # for metrics and log, as FastAPI's own routes set it
        request = Request(scope, receive)
        if request.method != "POST":  # the SDK would hold a GET open for as long as its client lives
            raise HTTPException(405, headers={"Allow": "POST"})
        _check_origin(self._settings, request.headers.get("origin"))
        rt: Runtime = request.app.state.runtime
        try:
            principal = await program_of(rt, request, costs=True)
            _check_scope(principal)
        except (Unauthenticated, Forbidden) as error:
            return await self._refused(request, error)(scope, receive, send)
        request.state.principal = principal  # for the log line of the request
        structlog.contextvars.bind_contextvars(tenant_id=principal.tenant_id, key_id=principal.key_id)
        with rate_limits.counted_in_flight(rt.in_flight, principal.tenant_id, self._settings.requests_at_once):
            request.state.rt = rt.for_tenant(principal.tenant_id).as_actor(principal.key_id, request_id_of(request))
            await (await self._served())(scope, receive, send)

    def _refused(self, request: Request, error: FootnoteError) -> Response:
        """With an issuer, the answer says where to learn how to get a token (RFC 9728, section 5.1)."""
        answer = of_error(request.scope, error)
        parameters = []
        if isinstance(error, Forbidden):
            parameters.append('error="insufficient_scope"')
        if self._settings.oidc_issuer:
            parameters += [f'resource_metadata="{links.absolute(_METADATA + PATH)}"', 'scope="read"']
        if parameters or answer.status_code == 401:
            answer.headers["WWW-Authenticate"] = f"Bearer {', '.join(parameters)}".rstrip()
        return answer

    async def _served(self) -> ASGIApp:
        """What answers. A request that leaves does not stop the import, which others wait for."""
        if self._opening is None or (self._opening.done() and self._opening.exception()):
            self._opening = asyncio.create_task(self._open())
        return await asyncio.shield(self._opening)

    async def _open(self) -> ASGIApp:
        manager = await asyncio.to_thread(_session_manager, self._settings)
        started = asyncio.Event()

        async def run() -> None:
            async with manager.run():
                started.set()
                await asyncio.Event().wait()  # until it is cancelled

        self._running = asyncio.create_task(run())
        await started.wait()
        handle: ASGIApp = manager.handle_request
        return handle

    async def close(self) -> None:
        for task in (self._opening, self._running):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        self._opening = self._running = None


def _session_manager(settings: Settings) -> Any:
    from api.mcp.server import session_manager

    return session_manager(settings)


def _check_origin(settings: Settings, origin: str | None) -> None:
    """Raises Forbidden for a page of another origin. That it is the same as `Host` says nothing: any name may point
    to this machine, as names do that are rebound to attack servers like this one."""
    if origin is None or origin in settings.allowed_origins or "*" in settings.allowed_origins:
        return
    own = urlsplit(settings.public_url) if settings.public_url else None
    try:
        is_near = urlsplit(origin).hostname in LOOPBACK
    except ValueError:
        is_near = False
    if not is_near and (own is None or origin.lower() != f"{own.scheme}://{own.netloc}".lower()):
        raise Forbidden("cross_origin", "Pages of this origin are not allowed: see FOOTNOTE_CORS_ORIGINS.")


def _check_scope(principal: Principal) -> None:
    if not any(principal.may(scope) for scope in _SCOPES):
        raise Forbidden("missing_scope", "The API key has neither the scope 'read' nor 'write'.")


def install(app: FastAPI, settings: Settings) -> McpEndpoint:
    """Adds the server's routes. No mount: that would answer `/mcp` with a redirect, which clients pay each time."""
    endpoint = McpEndpoint(settings)
    app.router.routes.append(endpoint.route)
    if settings.oidc_issuer:
        for path in (_METADATA, _METADATA + PATH):
            app.add_api_route(path, _resource(settings.oidc_issuer), methods=["GET"], include_in_schema=False)
    return endpoint


@asynccontextmanager
async def closing(app: FastAPI) -> AsyncIterator[None]:
    """At the end of the block, ends what the server is still answering."""
    try:
        yield
    finally:
        if app.state.mcp is not None:
            await app.state.mcp.close()


def _resource(issuer: str) -> Any:
    async def protected_resource() -> JSONResponse:
        """Which issuer's tokens are taken (RFC 9728, section 2). Pages of all origins may read it."""
        metadata = {
            "resource": links.absolute(PATH),
            "authorization_servers": [issuer],
            "scopes_supported": list(_SCOPES),
            "bearer_methods_supported": ["header"],
            "resource_name": "Footnote",
        }
        return JSONResponse(metadata, headers={"Access-Control-Allow-Origin": "*"})

    return protected_resource
