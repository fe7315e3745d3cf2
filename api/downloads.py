"""Objects of the store, sent as they are read."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from footnote.runtime import Runtime


async def download(rt: Runtime, key: str, filename: str, media_type: str, size: int) -> StreamingResponse:
    """The object as a file. Its first piece is awaited: an unavailable store gives an ordinary error response."""
    pieces = rt.store.read(key)
    first = await anext(pieces, b"")
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(filename)}",
        "Content-Length": str(size),
    }
    return _Download(first, pieces, media_type=media_type, headers=headers)


class _Download(StreamingResponse):
    """Closes the object however the download ends."""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None], **given: Any) -> None:
        self._rest = rest
        super().__init__(self._pieces(first), **given)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._rest):
            await super().__call__(scope, receive, send)

    async def _pieces(self, first: bytes) -> AsyncIterator[bytes]:
        yield first
        async for piece in self._rest:
            yield piece
