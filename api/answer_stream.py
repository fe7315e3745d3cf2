"""Sends an answer as a stream of server-sent events, or complete as one JSON object."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, Literal

from anyio import CancelScope
from fastapi import Request, Response
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
    return await streamed(request, _frames(events), partial(error_event, request.scope))


async def collect(events: AsyncGenerator[answering.Event, None]) -> AnswerOut:
    return _answer_out(*await answering.collect(events))


async def streamed(
    request: Request, frames: AsyncGenerator[bytes, None], failed: Callable[[FootnoteError], bytes]
) -> Response:
    """Frames as server-sent events; `failed` gives the frame of an error.

    The first frame is awaited here, so that an error before it is an ordinary error response.
    """
    return _Stream(await while_connected(request, anext(frames)), frames, failed)


class _Stream(StreamingResponse):
    """Server-sent events. The model is stopped when the client disconnects, also before the first byte."""

    media_type = EventSourceResponse.media_type

    def __init__(
        self, first: bytes, frames: AsyncGenerator[bytes, None], failed: Callable[[FootnoteError], bytes]
    ) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        self._sent = _sent(first, frames, failed)
        super().__init__(self._sent, headers=headers)
        self._frames = frames

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._frames), aclosing(self._sent):
            await super().__call__(scope, receive, send)


def _answer_out(sources: Sources, done: Done) -> AnswerOut:
    return AnswerOut.model_validate({**vars(done), "answer_kind": done.answer_kind, **vars(sources)})


async def _sent(
    first: bytes, frames: AsyncGenerator[bytes, None], failed: Callable[[FootnoteError], bytes]
) -> AsyncGenerator[bytes, None]:
    """The frames, with comments while none comes. An error after the first byte becomes a frame, the last one."""
    frame: bytes | None = first
    try:
        while frame is not None:
            yield frame
            coming = asyncio.ensure_future(anext(frames, None))
            try:
                while not (await asyncio.wait({coming}, timeout=SILENT_SECONDS))[0]:
                    yield KEEPALIVE_COMMENT
            finally:
                await _stopped(coming)
            frame = coming.result()
    except Exception as error:
        known = error if isinstance(error, FootnoteError) else Unavailable("internal_error")
        if known is not error:
            log.error("answer interrupted", exc_info=error)
        yield failed(known)


async def _stopped(coming: "asyncio.Future[Any]") -> None:
    """Stops the model after its client disconnected, and waits until it has stopped.

    The shield is needed because the response's task group cancels repeatedly whatever waits in it.
    """
    if not coming.done():
        coming.cancel()
        with CancelScope(shield=True):
            await asyncio.wait({coming})


async def _frames(events: AsyncGenerator[answering.Event, None]) -> AsyncGenerator[bytes, None]:
    """Each event as one frame."""
    sources = Sources(())
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Sources):
                sources = event
            yield _frame(event, sources)


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
