"""Frames: how a parser's process and the one that asked for it speak.

A frame is the lengths of two parts, then a JSON part and one of bytes. The first one is `{"begun": true}`: what goes
wrong before it is not the document's fault. If `pages` are requested, a frame is
`{"page": n, "sections": [[start, end, [heading, ...]], ...], "scan": ..., "guesses": [...]}` with the page's text; the
scan is null, or the fields of `Scan` if that text was read from a picture, and each guess has the fields of `Guess`.
If `files` are requested, the files within a container, it is `{"file": name}`, then `{"piece": true}` with bytes of
that file, as often as needed. The `picture` of a page, or the `boxes` of a quote on it, take one frame.
The last frame is `{"done": how many}` or `{"error": code, "message": ..., "detail": ...}`. With `"waits": true` the
parser then waits for another request: four bytes with its length, and the request.
"""

import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

Frame = tuple[dict[str, Any], bytes]
STATUS = struct.Struct(">i")  # of a parser that has ended: negative, the signal that killed it
_LENGTHS = struct.Struct(">QQ")
_LENGTH = struct.Struct(">I")
_MOST_AT_ONCE = 1024 * 1024
LARGE = 64 * 1024  # bytes of a head, to be decoded in a thread


@dataclass(frozen=True)
class ParseRequest:
    """What a parser's process is to do: `what` is `pages`, `files`, `picture` or `boxes`, `options` are its details.

    `environment` is its whole environment; limits in seconds of CPU time and bytes of address space.
    """

    what: str
    media_type: str
    path: str
    cpu_seconds: int
    memory_bytes: int
    options: dict[str, Any]
    environment: dict[str, str]

    def encode(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, encoded: str | bytes) -> "ParseRequest":
        return cls(**json.loads(encoded))


def write(out: BinaryIO, head: dict[str, Any], body: bytes = b"") -> None:
    first = json.dumps(head).encode()
    out.write(_LENGTHS.pack(len(first), len(body)))
    out.write(first)
    out.write(body)
    out.flush()


def packed(request: ParseRequest) -> bytes:
    """A request for a parser that waits."""
    encoded = request.encode().encode()
    return _LENGTH.pack(len(encoded)) + encoded


def next_request(descriptor: int) -> ParseRequest | None:
    """The request to a waiting parser; None at the end."""
    head = os.read(descriptor, _LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    left, pieces = _LENGTH.unpack(head)[0], []
    while left and (piece := os.read(descriptor, left)):
        pieces.append(piece)
        left -= len(piece)
    return None if left else ParseRequest.decode(b"".join(pieces))


async def read(source: socket.socket, receive: Callable[[socket.socket, int], Awaitable[bytes]], most: int) -> Frame:
    """The next frame of a non-blocking socket, by the event loop's `sock_recv`; raises `EOFError` at the end.

    Raises ValueError for what is none, or is longer than `most` bytes: a document may have taken the parser over.
    """
    import asyncio  # the child has no use for it

    head_length, body_length = _LENGTHS.unpack(await _exactly(_LENGTHS.size, source, receive))
    if head_length + body_length > most:
        raise ValueError(f"a frame of {head_length + body_length} bytes")
    encoded = await _exactly(head_length, source, receive)
    # Of a page with 200,000 headings it would hold up the loop, and with it the worker's sign of life.
    head = json.loads(encoded) if head_length < LARGE else await asyncio.to_thread(json.loads, encoded)
    if not isinstance(head, dict):
        raise ValueError("a frame without names")
    return head, await _exactly(body_length, source, receive)


async def _exactly(
    length: int, source: socket.socket, receive: Callable[[socket.socket, int], Awaitable[bytes]]
) -> bytes:
    pieces = []
    while length:
        piece = await receive(source, min(length, _MOST_AT_ONCE))
        if not piece:
            raise EOFError
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)
