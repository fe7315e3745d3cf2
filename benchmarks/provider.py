"""A fake of an OpenAI-compatible provider: vectors by the words of a text, and answers at a pace of its own.

In a process of its own (`running`), so that what it costs is not taken for the cost of what is measured.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
DIMENSIONS = 384
MODEL = f"fake-{DIMENSIONS}"
ROOT = Path(__file__).parents[1]
_LENGTH = re.compile(rb"\ncontent-length: *(\d+)")
_WORDS = re.compile(r"\w+")


class _Words:
    """A vector for each word, drawn once, from its hash."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._drawn = np.empty((1024, DIMENSIONS), np.float32)

    def sum_of(self, words: Sequence[str]) -> Vectors:
        places = [self._places[word] if word in self._places else self._draw(word) for word in words]
        total: Vectors = self._drawn[places].sum(axis=0)
        return total

    def _draw(self, word: str) -> int:
        place = self._places[word] = len(self._places)
        if place == len(self._drawn):
            self._drawn = np.concatenate([self._drawn, np.empty_like(self._drawn)])
        seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
        self._drawn[place] = np.random.default_rng(seed).standard_normal(DIMENSIONS, np.float32)
        return place


_KNOWN = _Words()


def vectors(texts: Sequence[str]) -> Vectors:
    """Of shape (texts, DIMENSIONS) and length 1. Texts that share words are similar; a text has one vector always."""
    sums = np.stack([_KNOWN.sum_of(_WORDS.findall(text.lower()) or [""]) for text in texts])
    unit: Vectors = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    return unit


def _no_answer(_asked: bytes) -> Sequence[str]:
    return ["I ", "do ", "not ", "know."]


@dataclass(frozen=True)
class Provider:
    """`answer` gives the tokens of an answer to the body of a request. Paces are in seconds."""

    answer: Callable[[bytes], Sequence[str]] = _no_answer
    first_seconds: float = 0.0
    token_seconds: float = 0.0
    embedding_seconds: float = 0.0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Its base URL, on loopback."""
        async with await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=1024) as server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):  # the client has left
            staying = True
            while staying:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                staying = await self._answered(head.partition(b"\r\n")[0], body, writer)
        writer.close()

    async def _answered(self, line: bytes, body: bytes, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection stays open."""
        if b"/chat/completions " in line:
            await self._stream(self.answer(body), writer)
            return False
        if b"/embeddings " in line:
            await asyncio.sleep(self.embedding_seconds)
            _respond(writer, "200 OK", embeddings(json.loads(body)))
        else:
            _respond(writer, "404 Not Found", {"error": {"message": "There is no such route."}})
        await writer.drain()
        return True

    async def _stream(self, tokens: Sequence[str], writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        await asyncio.sleep(self.first_seconds)
        for token in [*tokens, None]:
            choice = {"index": 0, "delta": {"content": token or ""}, "finish_reason": None if token else "stop"}
            piece = {"id": "1", "object": "chat.completion.chunk", "choices": [choice]}
            writer.write(f"data: {json.dumps(piece)}\n\n".encode())
            await writer.drain()
            await asyncio.sleep(self.token_seconds)
        writer.write(b"data: [DONE]\n\n")


def embeddings(asked: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request for embeddings, as floats or in base64."""
    texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
    packed = asked.get("encoding_format") == "base64"
    made = [base64.b64encode(each.tobytes()).decode() if packed else each.tolist() for each in vectors(texts)]
    data = [{"object": "embedding", "index": place, "embedding": each} for place, each in enumerate(made)]
    tokens = sum(map(len, texts)) // 4
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": asked["model"], "usage": usage}


def _respond(writer: asyncio.StreamWriter, status: str, body: dict[str, Any]) -> None:
    payload = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
    writer.write(head.encode() + payload)


@contextmanager
def running(embedding_seconds: float = 0.0) -> Iterator[str]:
    """The base URL of a provider in a process of its own. Each request for embeddings takes so many seconds more."""
    command = [sys.executable, "-m", "benchmarks.provider", "--embedding-seconds", str(embedding_seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


async def _serve(provider: Provider) -> None:
    async with provider.serving() as url:
        print(url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embedding-seconds", type=float, default=0.0)
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(Provider(embedding_seconds=given.embedding_seconds)))


if __name__ == "__main__":
    main()
