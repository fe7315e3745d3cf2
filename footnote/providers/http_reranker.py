"""Rerankers over HTTP: what they have in common, whatever the shape of their requests and answers."""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx2

from footnote.errors import BatchTooLarge, FootnoteError, Invalid, TimedOut, Unavailable
from footnote.providers.oversize import cause_of
from footnote.providers.refusals import refusal
from footnote.settings import MIB, Settings

LARGEST_ANSWER = 8 * MIB  # some servers send the texts back
Row = tuple[Any, Any]  # the place of a text and its score, as the server says


class HttpReranker(ABC):
    """POSTs to `/rerank` below the configured address.

    Nothing that a server sends is repeated in an error: refusals often quote the texts that were sent.
    """

    provider: str
    max_texts = 1000  # in one call

    def __init__(self, settings: Settings) -> None:
        if not settings.rerank_url:
            raise Invalid("bad_setting", f"FOOTNOTE_RERANKER={settings.reranker} needs FOOTNOTE_RERANK_URL.")
        self.address = settings.rerank_url.rstrip("/")
        self.model = settings.rerank_model or "default"
        self._model = settings.rerank_model
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if settings.rerank_api_key:
            headers["authorization"] = f"Bearer {settings.rerank_api_key}"
        self._client = httpx2.AsyncClient(headers=headers, timeout=settings.rerank_seconds)

    @abstractmethod
    def question(self, query: str, texts: Sequence[str]) -> dict[str, Any]:
        """The body of a request."""

    @abstractmethod
    def rows(self, answer: Any) -> Iterable[Row]:
        """The row of an answer for each text. May raise KeyError or TypeError: the answer can be anything."""

    async def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """A score for each text, finite; the higher, the better. What is too much for one call is halved."""
        scores: list[float] = []
        before = self.max_texts
        while len(scores) < len(texts):
            part = texts[len(scores) : len(scores) + self.max_texts]
            try:
                scores += await self._ask(query, part)
            except BatchTooLarge:
                if len(part) == 1:
                    self.max_texts = before  # it was one text that was too large, not the number of them
                    raise
                self.max_texts = len(part) // 2
        return scores

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, query: str, texts: Sequence[str]) -> list[float]:
        body = json.dumps(self.question(query, texts)).encode()
        with _errors():
            async with self._client.stream("POST", f"{self.address}/rerank", content=body) as answer:
                if answer.status_code != 200:
                    raise await self._refusal(answer)
                return self._scores(await _read(answer), len(texts))

    async def _refusal(self, answer: httpx2.Response) -> FootnoteError:
        error = refusal(answer.status_code, f"The reranker answered {answer.status_code}.", answer.headers)
        if answer.status_code in (400, 422) and cause_of((await _read(answer)).decode(errors="replace"))[0] == "texts":
            return BatchTooLarge(error.code, error.message)
        return error

    def _scores(self, answer: bytes, count: int) -> list[float]:
        try:
            rows = list(self.rows(json.loads(answer)))
            scores = {place: float(score) for place, score in rows if type(place) is int and type(score) is not bool}
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise Unavailable("provider_bad_response", "The reranker's answer cannot be read.") from error
        if len(rows) != count or scores.keys() != set(range(count)):
            raise Unavailable("provider_bad_response", "The reranker did not send one score for each text.")
        if not all(map(math.isfinite, scores.values())):
            raise Unavailable("provider_bad_response", "The reranker sent a score that is not finite.")
        return [scores[place] for place in range(count)]


async def _read(answer: httpx2.Response) -> bytes:
    """The body as it was sent: what is compressed unasked for could be of any size."""
    read = bytearray()
    async for piece in answer.aiter_raw():
        read += piece
        if len(read) > LARGEST_ANSWER:
            raise Unavailable("provider_bad_response", "The reranker's answer is too large.")
    return bytes(read)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except httpx2.TimeoutException as error:
        raise TimedOut("provider_timeout", "The reranker took too long.") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise Unavailable("provider_unavailable", f"The reranker failed: {type(error).__name__}.") from error
