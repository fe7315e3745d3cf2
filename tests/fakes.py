"""Fakes at the network's edge: a provider that embeds by hashing words, and one that says what it is told."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Sequence

import numpy as np

from footnote.providers import Embeddings, GenerationRequest, GeneratorEvent, Token, Usage, normalised
from footnote.sentences import stems

DIMENSIONS = 64


class FakeEmbedder:
    """Texts that share words lie close; `before` is called with each batch and may raise or wait."""

    provider = "fake"
    address = None
    max_texts = 4
    max_tokens = 10_000

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
