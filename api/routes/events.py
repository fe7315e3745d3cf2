"""One stream of events for everything that changes."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.deps import Reader, RuntimeDep, principal_of
from api.schemas.events import ResetEventOut
from footnote.documents.changes import Changes, Feed, Told
from footnote.errors import Forbidden, Unauthenticated, Unavailable
from footnote.runtime import Runtime

router = APIRouter(prefix="/v1/events", tags=["events"])

CHECK_SECONDS = 5.0  # between two looks at the key, while there are events
IDLE_SECONDS = 15.0  # the same, while there are none
LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", max_length=64, description="`id` of the last event that you received."),
]


@router.get("", response_class=EventSourceResponse)
async def stream_events(
    request: Request, rt: RuntimeDep, caller: Reader, last_event_id: LastEventId = None
) -> AsyncIterator[ServerSentEvent]:
    """Stream what changes of your documents and their jobs, as server-sent events.

    `document` has a document that is new or has changed, with its newest job; `removed` the id of one that is gone;
    `counts` the number of documents by status; `pause` since when all work is paused. `pause` and `counts` come first.
    Quick changes of a document become one event. Open the stream first, then read lists: nothing is missed in between.
    After a break, send the `id` of the last event: you get what you missed or, if that is no longer known, `reset`:
    read again what you show. The stream ends when the key or session does, and before the server stops.
    """
    changes: Changes = request.app.state.changes
    async with changes.following(rt.tenant) as feed:
        access = _Access(rt, request, feed)
        position: int | None = None
        while not rt.stopping.is_set() and await access.lasts():
            if feed.counts is None:  # it is not complete yet
                await _more(rt, feed.more)
                continue
            more = feed.more
            if position is None:
                coming, position = _first(feed, last_event_id), feed.number
            else:
                coming, position = _next(feed, position), feed.number
            for told in coming:
                yield ServerSentEvent(event=told.name, raw_data=told.data, id=told.id)
            if not coming:
                await _more(rt, more)


def _first(feed: Feed, last_event_id: str | None) -> list[Told]:
    """What was missed since that event, else how things are."""
    place = feed.place(last_event_id) if last_event_id else None
    missed = None if place is None else feed.after(place)
    if missed is not None:
        return missed
    return [*([_reset(feed)] if last_event_id else []), *feed.present()]


def _next(feed: Feed, position: int) -> list[Told]:
    """What was added; a client that is too slow for it begins again."""
    added = feed.after(position)
    return added if added is not None else [_reset(feed), *feed.present()]


def _reset(feed: Feed) -> Told:
    return Told(f"{feed.name}-{feed.number}", "reset", ResetEventOut().model_dump_json())


async def _more(rt: Runtime, more: asyncio.Event) -> None:
    """Until there is more, the process should stop, or it is time to look at the key."""
    waiting = {asyncio.ensure_future(each.wait()) for each in (more, rt.stopping)}
    try:
        await asyncio.wait(waiting, timeout=IDLE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
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
