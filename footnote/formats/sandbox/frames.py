"""Frames: how a parser's process and the one that started it speak.

A frame is the lengths of two parts, then a JSON part and one of bytes. The first one is `{"begun": true}`: what goes
wrong before it is not the document's fault. Asked for `pages`, a frame is
`{"page": n, "sections": [[start, end, [heading, ...]], ...], "scan": ..., "guesses": [...]}` with the page's text; the
scan is null, or the fields of `Scan` if that text was read from a picture, and each guess has the fields of `Guess`.
Asked for `files`, the files within a container,
`{"file": name}` and then `{"piece": true}` with bytes of it, again and again.
Asked for the `picture` of a page, or for the `boxes` of a quote on it, as ASKED says in JSON, one frame has it.
The last frame is `{"done": how many}` or `{"error": code, "message": ..., "detail": ...}`.
"""

import json
import struct
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from asyncio import StreamReader

Frame = tuple[dict[str, Any], bytes]
_LENGTHS = struct.Struct(">QQ")


def write(out: BinaryIO, head: dict[str, Any], body: bytes = b"") -> None:
    first = json.dumps(head).encode()
    out.write(_LENGTHS.pack(len(first), len(body)))
    out.write(first)
    out.write(body)
    out.flush()


async def read(stream: "StreamReader") -> Frame:
    """The next frame; raises `asyncio.IncompleteReadError` at the end."""
    head_length, body_length = _LENGTHS.unpack(await stream.readexactly(_LENGTHS.size))
    head = json.loads(await stream.readexactly(head_length))
    return head, await stream.readexactly(body_length)
