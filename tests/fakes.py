"""Fakes of what is outside: an embedder that hashes words, and a generator and a server that send what a test says."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from footnote.providers import Embeddings, GenerationRequest, GeneratorEvent, Token, Usage, normalised
from footnote.text.sentences import stems

DIMENSIONS = 64


class FakeEmbedder:
    """Texts that share words get similar vectors. `before` is called with each batch and may raise."""

    provider = "fake"
    address = None
    max_texts = 4
    max_tokens = 10_000
    longest_text: int | None = None
    question_prefix: str = ""

    def __init__(self, model: str = "fake-64") -> None:
        self.model = model
        self.dimensions = DIMENSIONS
        self.seen: list[list[str]] = []
        self.before: Callable[[list[str]], object] = lambda _texts: None

    def count_tokens(self, text: str) -> int:
        return len(text) // 4 + 1

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        await asyncio.sleep(0)
        self.before(list(texts))
        self.seen.append(list(texts))
        return Embeddings(
            normalised([_vector(text)[: self.dimensions] for text in texts], len(texts)),
            sum(map(self.count_tokens, texts)),
        )

    async def close(self) -> None: ...


def _vector(text: str) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    vector = np.full(DIMENSIONS, 0.01, np.float32)
    for word in stems(text):
        digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
        vector[digest[0] % DIMENSIONS] += 1 if digest[1] & 1 else -1
    return vector


class FakeGenerator:
    """Streams `pieces` as a chat model would."""

    provider = "fake"
    address = None
    model = "fake-chat"

    def __init__(self) -> None:
        self.pieces: list[str] = ["I do not know."]
        self.requests: list[GenerationRequest] = []

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        self.requests.append(request)
        for piece in self.pieces:
            yield Token(piece)
        yield Usage(11, 7)

    async def close(self) -> None: ...


@dataclass
class FakeServer:
    """Answers every request with what `respond` writes; records what it was asked."""

    port: int = 0
    heads: list[str] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    respond: Callable[[dict[str, Any], asyncio.StreamWriter], Awaitable[None]] | None = None

    @asynccontextmanager
    async def listening(self) -> "AsyncIterator[FakeServer]":
        async with await asyncio.start_server(self.serve, "127.0.0.1", 0) as listening:
            self.port = listening.sockets[0].getsockname()[1]
            yield self

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = next(int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:"))
            body = json.loads(await reader.readexactly(length))
            self.heads.append(head)
            self.asked.append(body)
            assert self.respond is not None
            answering = asyncio.ensure_future(self.respond(body, writer))
            leaving = asyncio.ensure_future(reader.read())
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.closed.set()
            writer.close()

    def json(self, body: Any, status: int = 200, **headers: str) -> None:
        self.text(json.dumps(body), status, "application/json", **headers)

    def text(self, body: str, status: int = 200, kind: str = "text/html", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(body.encode())}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.raw(("\r\n".join([*lines, "Connection: close", "", ""]) + body).encode())

    def raw(self, *pieces: bytes | float, reset: bool = False) -> None:
        """Sends bytes; sleeps for numbers, in seconds."""

        async def respond(_body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
            for piece in pieces:
                if isinstance(piece, bytes):
                    writer.write(piece)
                    await writer.drain()
                else:
                    await asyncio.sleep(piece)
            if reset:
                writer.transport.abort()

        self.respond = respond
