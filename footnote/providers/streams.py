"""Streams of answers: server-sent events, and the reasons why they end."""

import re
from collections.abc import AsyncGenerator, AsyncIterable, Callable

from footnote.errors import Unavailable

LARGEST_EVENT = 4 * 1024 * 1024  # bytes

_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")  # a carriage return at the end may be half of one
# The answer is incomplete. Names differ between servers (`length`, `MAX_TOKENS`,
# `model_length`, `content_filter`, `SAFETY`, `tool_calls`, ...), and servers without a reason send anything or nothing.
_CUT = re.compile(
    r"length|max|limit|trunc|exceed|filter|safety|block|prohibit|sensitive|recitation|spii|refus|tool|function|error"
    r"|abort|cancel|interrupt|timeout|pause|insufficient|malformed|guardrail|interven",
    re.I,
)


def is_cut(reason: object) -> bool:
    """Whether an answer that ends for this reason is incomplete."""
    return isinstance(reason, str) and _CUT.search(reason) is not None


async def events(pieces: AsyncIterable[bytes], alive: Callable[[], None]) -> AsyncGenerator[str, None]:
    """The data of each event. `alive` is called for all that arrives, comments included.

    Some servers answer with one JSON object instead: that is then the only event.
    """
    held, data = b"", b""
    bare: bool | None = None
    async for piece in pieces:
        alive()
        bare = piece.lstrip().startswith(b"{") if bare is None and piece.strip() else bare
        if bare:
            data += piece
            _check_size(data)
            continue
        *lines, held = _LINE_END.split(held + piece)
        for line in lines:
            if line.startswith(b"data:"):
                data += line[5:].removeprefix(b" ") + b"\n"
            elif not line:
                if data.strip():  # some servers keep the connection open with events without data
                    yield data[:-1].decode("utf-8", "replace")
                data = b""
        _check_size(held + data)
    if held.startswith(b"data:"):  # some servers leave out the last line feed or the empty line
        data += held[5:].removeprefix(b" ").rstrip(b"\r") + b"\n"
    if data.strip():
        yield data.decode("utf-8", "replace").rstrip("\n")


def _check_size(event: bytes) -> None:
    if len(event) > LARGEST_EVENT:
        raise Unavailable("provider_bad_response", "The provider sent an event that is too large.")
