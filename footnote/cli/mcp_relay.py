"""Hands messages of MCP on between stdin and stdout and the API, each as it is: there is no second list of tools."""

from typing import Any

import anyio
import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp_types import INTERNAL_ERROR, JSONRPCError, JSONRPCRequest, JSONRPCResponse

from footnote.cli.target import Target
from footnote.cli.terminal import say
from footnote.client.clients import is_loopback
from footnote.client.errors import refusal
from footnote.client.session import CONNECT_SECONDS

SILENCE_SECONDS = 300.0  # the server shows more often that it is at work
LAST_ANSWERS_SECONDS = 30.0  # for which answers are waited for after stdin was closed


class Explaining(httpx2.AsyncClient):
    """Gives the program the reason of a refusal, of which the SDK would only say that there was one."""

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        try:
            response = await super().send(request, **options)
        except httpx2.TransportError as error:
            why = f"Footnote cannot be reached at {request.url}: {error or type(error).__name__}."
            return _refusal(request, 503, why)
        if not response.headers.get("content-type", "").startswith("application/problem+json"):
            return response
        await response.aread()
        return _refusal(request, response.status_code, str(refusal(response.status_code, response.json())))


def _refusal(request: httpx2.Request, status: int, message: str) -> httpx2.Response:
    """As the SDK takes errors from a server; it puts the request's id in."""
    say(message, err=True)
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": INTERNAL_ERROR, "message": message}}
    return httpx2.Response(status, json=body, request=request)


async def relay(found: Target) -> None:
    """Serves until stdin is closed, and the answers to what was asked until then."""
    http = Explaining(
        headers={"Authorization": f"Bearer {found.key}"},
        timeout=httpx2.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS),
        trust_env=not is_loopback(found.url),
    )
    address = f"{found.url.rstrip('/')}/mcp"
    waiting: set[str | int] = set()  # ids of requests without an answer
    closed = anyio.Event()  # stdin
    async with (
        http,
        streamable_http_client(address, http_client=http, max_sse_event_size=None) as (answers, requests),
        stdio_server() as (messages, replies),
        replies,
        anyio.create_task_group() as group,
    ):

        async def hand_back() -> None:
            async for answer in answers:
                if isinstance(answer, SessionMessage):
                    await replies.send(answer)
                    waiting.difference_update(_ids(answer, JSONRPCResponse, JSONRPCError))
                if closed.is_set() and not waiting:
                    return

        group.start_soon(hand_back)
        async for message in messages:
            if isinstance(message, SessionMessage):
                waiting.update(_ids(message, JSONRPCRequest))
                await requests.send(message)
            else:
                say("A line on stdin is no message of MCP.", err=True)
        closed.set()
        group.cancel_scope.deadline = anyio.current_time() + (LAST_ANSWERS_SECONDS if waiting else 0)


def _ids(message: SessionMessage, *kinds: Any) -> set[str | int]:
    """The message's id, if it is one of these kinds."""
    content = message.message
    return {content.id} if isinstance(content, kinds) and content.id is not None else set()
