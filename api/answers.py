"""Answers as the API sends them: whole, or as server-sent events while they grow."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Literal

from fastapi import Request
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, format_sse_event
from pydantic import BaseModel

from api.errors import problem_body, request_id_of
from api.presence import while_there
from api.schemas.search import AnswerOut, CitationOut, SourcesOut
from footnote import answering
from footnote.answering import Citation, Delta, Done, Sources
from footnote.errors import FootnoteError, Unavailable
from footnote.telemetry import log, queries_total

STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; with `stream: true` as server-sent events named sources, delta, citation, done, "
        "error.",
        "content": {"text/event-stream": {}},
    }
}


async def respond(events: AsyncGenerator[answering.Event, None], request: Request, *, stream: bool) -> Any:
    if not stream:
        return await while_there(request, collect(events))
    # The first event is awaited here, so that what fails before it is still a plain error response.
    first = await while_there(request, anext(events))
    return StreamingResponse(
        _sse(first, events, request_id_of(request)),
        media_type=EventSourceResponse.media_type,
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def collect(events: AsyncGenerator[answering.Event, None]) -> AnswerOut:
    sources = Sources(())
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Sources):
                sources = event
            elif isinstance(event, Done):
                queries_total.labels(event.answer_status).inc()
                return _answer_out(event, sources)
    raise Unavailable("provider_bad_response", "The answer broke off.")


def _answer_out(done: Done, sources: Sources) -> AnswerOut:
    return AnswerOut.model_validate({**vars(done), **vars(sources)})


async def _sse(
    first: answering.Event, events: AsyncGenerator[answering.Event, None], request_id: str
) -> AsyncIterator[bytes]:
    """Each event as one frame. An error after the first byte becomes the event `error` with the problem."""
    sources = Sources(())
    event: answering.Event | None = first
    try:
        while event is not None:
            if isinstance(event, Sources):
                sources = event
            if isinstance(event, Done):
                queries_total.labels(event.answer_status).inc()
            yield _frame(event, sources)
            event = await anext(events, None)
    except Exception as error:
        known = error if isinstance(error, FootnoteError) else Unavailable("internal_error")
        if known is not error:
            log.error("answer broke off", exc_info=error)
        yield format_sse_event(event="error", data_str=json.dumps(problem_body(request_id, known)))
    finally:
        await events.aclose()  # a reader who left stops the model


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
            name, body = "done", _answer_out(event, sources)
    return format_sse_event(event=name, data_str=body.model_dump_json())


class _DeltaOut(BaseModel):
    text: str
