"""One stream of events for all changes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import monotonic
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.types import Receive, Scope, Send

from api.answer_stream import SILENT_SECONDS
from api.deps import Reader, RuntimeDep, principal_of
from api.schemas.events import ResetEventOut
from footnote.documents.changes import Changes, Feed, StreamEvent
from footnote.errors import Forbidden, Unauthenticated, Unavailable
from footnote.runtime import Runtime

router = APIRouter(prefix="/v1/events", tags=["events"])

CHECK_SECONDS = 5.0  # between two looks at the key; while there are no events, it is looked at before each comment
LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", max_length=64, description="`id` of the last event that you received."),
]


class _Stream(StreamingResponse):
    """The frames, which are closed however the stream ends."""

    media_type = "text/event-stream"

    def __init__(self, frames: AsyncGenerator[bytes, None], status_code: int = 200) -> None:
        super().__init__(frames, status_code, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._frames = frames

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._frames):
            await super().__call__(scope, receive, send)


@router.get("", response_class=_Stream)
async def stream_events(
    request: Request, rt: RuntimeDep, caller: Reader, last_event_id: LastEventId = None
) -> Response:
    """Stream what changes of your documents and their jobs, as server-sent events.

    `document` has a document that is new or has changed, with its newest job; `removed` the id of a deleted one;
    `counts` the number of documents by status; `pause` since when all work is paused. `pause` and `counts` come first.
    Quick changes of a document become one event. Open the stream first, then read lists: nothing is missed in between.
    After a break, send the `id` of the last event: you get what you missed or, if that is no longer known, `reset`:
    read again what you show. The stream ends when the key or session does, and before the server stops.
    """
    return _Stream(_frames(request, rt, last_event_id))


async def _frames(request: Request, rt: Runtime, last_event_id: str | None) -> AsyncGenerator[bytes, None]:
    changes: Changes = request.app.state.changes
    async with changes.following(rt.tenant) as feed:
        access, position = _Access(rt, request, feed), None
        while not rt.stopping.is_set() and await access.lasts():
            more, coming = feed.more, []
            if feed.counts is not None:  # else it is not complete yet
                coming = _first(feed, last_event_id) if position is None else _next(feed, position)
                position = feed.number
            for event in coming:
                yield format_sse_event(event=event.name, data_str=event.data, id=event.id)
            if not coming and not await _more(rt, more):
                yield KEEPALIVE_COMMENT


def _first(feed: Feed, last_event_id: str | None) -> list[StreamEvent]:
    """The missed events since that one; if they are not known, the present state."""
    number = feed.number_of(last_event_id) if last_event_id else None
    missed = None if number is None else feed.after(number)
    if missed is not None:
        return missed
    return [*([_reset(feed)] if last_event_id else []), *feed.present()]


def _next(feed: Feed, position: int) -> list[StreamEvent]:
    """What was added; a client that is too slow for it begins again."""
    added = feed.after(position)
    return added if added is not None else [_reset(feed), *feed.present()]


def _reset(feed: Feed) -> StreamEvent:
    return StreamEvent(f"{feed.name}-{feed.number}", "reset", ResetEventOut().model_dump_json())


async def _more(rt: Runtime, more: asyncio.Event) -> bool:
    """Waits until there is more or the process should stop; False if neither came before a comment is due."""
    waiting = {asyncio.ensure_future(each.wait()) for each in (more, rt.stopping)}
    try:
        done, _ = await asyncio.wait(waiting, timeout=SILENT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        for each in waiting:
            each.cancel()


class _Access:
    """Whether the caller may still listen, looked up now and then, and at once when a key of the tenant has ended."""

    def __init__(self, rt: Runtime, request: Request, feed: Feed) -> None:
        self._rt, self._request, self._feed = rt, request, feed
        self._seen, self._checked_at = feed.access, monotonic()

    async def lasts(self) -> bool:
        if self._feed.access == self._seen and monotonic() - self._checked_at < CHECK_SECONDS:
            return True
        self._seen, self._checked_at = self._feed.access, monotonic()
        try:
            return (await principal_of(self._rt.operator, self._request)).may("read")
        except Unavailable:
            return True  # it comes back, and then this is looked up again
        except (Forbidden, Unauthenticated):
            return False
