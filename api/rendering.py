"""Answers as the API sends them: complete, or as a stream of server-sent events."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal

from anyio import CancelScope
from fastapi import Request
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from api.disconnect import while_connected
from api.errors import error_event
from api.schemas.search import AnswerOut, CitationOut, SourcesOut
from footnote import answering
from footnote.answering import Citation, Delta, Done, Sources
from footnote.errors import FootnoteError, Unavailable
from footnote.telemetry import log

SILENT_SECONDS = 15.0  # then a comment is sent, so that proxies and clients do not close the stream
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; with `stream: true` as server-sent events named sources, delta, citation, done, "
        "error.",
        "content": {"text/event-stream": {}},
    }
}


async def respond(events: AsyncGenerator[answering.Event, None], request: Request, *, stream: bool) -> Any:
    if not stream:
        return await while_connected(request, collect(events))
    # The first event is awaited here, so that an error before it is an ordinary error response.
    first = await while_connected(request, anext(events))
    return _Stream(first, events, request.scope)


async def collect(events: AsyncGenerator[answering.Event, None]) -> AnswerOut:
    return _answer_out(*await answering.whole(events))


class _Stream(StreamingResponse):
    """Server-sent events. The model is stopped when the client disconnects, also before the first byte."""

    media_type = EventSourceResponse.media_type

    def __init__(self, first: answering.Event, events: AsyncGenerator[answering.Event, None], scope: Scope) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        self._frames = _sse(first, events, scope)
        super().__init__(self._frames, headers=headers)
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events), aclosing(self._frames):
            await super().__call__(scope, receive, send)


def _answer_out(sources: Sources, done: Done) -> AnswerOut:
    return AnswerOut.model_validate({**vars(done), "answer_kind": done.answer_kind, **vars(sources)})


async def _sse(
    first: answering.Event, events: AsyncGenerator[answering.Event, None], scope: Scope
) -> AsyncGenerator[bytes, None]:
    """Each event as one frame. An error after the first byte becomes an event `error` with the problem."""
    sources = Sources(())
    event: answering.Event | None = first
    try:
        while event is not None:
            if isinstance(event, Sources):
                sources = event
            yield _frame(event, sources)
            coming = asyncio.ensure_future(anext(events, None))
            try:
                while not (await asyncio.wait({coming}, timeout=SILENT_SECONDS))[0]:
                    yield KEEPALIVE_COMMENT
            finally:
                await _stopped(coming)
            event = coming.result()
    except Exception as error:
        known = error if isinstance(error, FootnoteError) else Unavailable("internal_error")
        if known is not error:
            log.error("answer broke off", exc_info=error)
        yield error_event(scope, known)


async def _stopped(coming: "asyncio.Future[Any]") -> None:
    """Stops the model after its client disconnected, and waits until it has stopped.

    The shield is needed because the response's task group cancels repeatedly whatever waits in it.
    """
    if not coming.done():
        coming.cancel()
        with CancelScope(shield=True):
            await asyncio.wait({coming})


def _frame(event: answering.Event, sources: Sources) -> bytes:
    name: Literal["sources", "delta", "citation", "done"]
    body: BaseModel
    match event:
        case Sources():
            name, body = "sources", SourcesOut.model_validate(event)
        case Delta():
            name, body = "delta", _DeltaOut(text=event.text)
        case Citation():
            name, body = "citation", CitationOut.model_validate(event)
        case Done():
            name, body = "done", _answer_out(sources, event)
    return format_sse_event(event=name, data_str=body.model_dump_json())


class _DeltaOut(BaseModel):
    text: str
