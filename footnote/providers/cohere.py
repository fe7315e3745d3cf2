"""Rerankers that speak Cohere's API: Cohere, Jina, vLLM, Infinity, ..."""

from collections.abc import Iterable, Sequence
from typing import Any

from footnote.providers.http_reranker import HttpReranker, Row
from footnote.settings import Settings


class CohereReranker(HttpReranker):
    provider = "cohere"

    def question(self, query: str, texts: Sequence[str]) -> dict[str, Any]:
        chosen = {"model": self._model} if self._model else {}
        return {**chosen, "query": query, "documents": list(texts), "top_n": len(texts)}

    def rows(self, answer: Any) -> Iterable[Row]:
        return ((row["index"], row["relevance_score"]) for row in answer["results"])


def open_reranker(settings: Settings) -> CohereReranker:
    return CohereReranker(settings)
