"""Answers in the format of OpenAI's clients: streamed, or as the final state of the stream."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Protocol

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from api.answer_stream import streamed
from api.disconnect import while_connected
from footnote import answering
from footnote.errors import FootnoteError

Json = dict[str, Any]


class Rendering(Protocol):
    """An answer that grows with each event."""

    async def frame(self, event: answering.Event) -> bytes:
        """The frame of an event; empty if it is sent later."""
        ...

    def failed(self, error: FootnoteError) -> bytes:
        """The last frame of an interrupted answer."""
        ...

    @property
    def complete(self) -> Json:
        """The answer so far."""
        ...


async def respond(
    request: Request, events: AsyncGenerator[answering.Event, None], rendering: Rendering, *, stream: bool
) -> Response:
    if stream:
        return await streamed(request, _frames(events, rendering), rendering.failed)
    return JSONResponse(await while_connected(request, _collected(events, rendering)))


async def _frames(events: AsyncGenerator[answering.Event, None], rendering: Rendering) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        async for event in events:
            if frame := await rendering.frame(event):
                yield frame


async def _collected(events: AsyncGenerator[answering.Event, None], rendering: Rendering) -> Json:
    async with aclosing(_frames(events, rendering)) as frames:
        async for _ in frames:
            pass
    return rendering.complete


def written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def marked(text: str, marker: int) -> tuple[int, int]:
    """Where the mark of a footnote is in the text; characters as Python counts them."""
    mark = f"[{marker}]"
    begins = text.find(mark)
    return begins, begins + len(mark)
