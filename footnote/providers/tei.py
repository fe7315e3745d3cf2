"""Rerankers served by Hugging Face's Text Embeddings Inference."""

from collections.abc import Iterable, Sequence
from typing import Any

from footnote.providers.http_reranker import HttpReranker, Row
from footnote.settings import Settings


class TeiReranker(HttpReranker):
    provider = "tei"
    max_texts = 32  # its --max-client-batch-size, unless raised

    def question(self, query: str, texts: Sequence[str]) -> dict[str, Any]:
        """A text that is too long for the model is cut; otherwise the whole call would be refused."""
        return {"query": query, "texts": list(texts), "truncate": True}

    def rows(self, answer: Any) -> Iterable[Row]:
        return ((row["index"], row["score"]) for row in answer)


def open_reranker(settings: Settings) -> TeiReranker:
    return TeiReranker(settings)
