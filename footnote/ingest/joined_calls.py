"""Texts of several documents in one call to a provider: while one call runs, further texts are collected for the next.

The documents are of one message, and so of one tenant. Each gets its own vectors and its share of the tokens.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from footnote.errors import ProviderRejected
from footnote.providers import Embedder, Embeddings


@dataclass(eq=False)
class _Asking:
    """Texts of one document; `tokens` as the embedder counts them."""

    texts: Sequence[str]
    tokens: int
    answer: "asyncio.Future[Embeddings]"


class _JoinedEmbedder:
    """Asks `inner`, one call at a time."""

    def __init__(self, inner: Embedder) -> None:
        self._inner = inner
        self.provider, self.address, self.model = inner.provider, inner.address, inner.model
        self.question_prefix = inner.question_prefix
        self._waiting: list[_Asking] = []
        self._calling: asyncio.Task[None] | None = None

    @property
    def max_texts(self) -> int:
        return self._inner.max_texts

    @property
    def max_tokens(self) -> int:
        return self._inner.max_tokens

    @property
    def longest_text(self) -> int | None:
        return self._inner.longest_text

    def count_tokens(self, text: str) -> int:
        return self._inner.count_tokens(text)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Raises what the provider answered to these texts."""
        tokens = sum(map(self.count_tokens, texts))
        asking = _Asking(texts, tokens, asyncio.get_running_loop().create_future())
        self._waiting.append(asking)
        if self._calling is None:
            self._calling = asyncio.create_task(self._call_all())
        return await asking.answer

    async def close(self) -> None:
        """Cancels the running call if nothing waits for it any more."""
        if self._calling is not None:
            self._calling.cancel()
            with suppress(asyncio.CancelledError):
                await self._calling

    async def _call_all(self) -> None:
        try:
            while together := self._next():
                await self._call(together)
        finally:
            self._calling = None

    def _next(self) -> list[_Asking]:
        """The first ones that wait: as many as one call takes."""
        waiting = [each for each in self._waiting if not each.answer.done()]  # else its document was given up
        texts, tokens, count = 0, 0, 0
        for each in waiting:
            texts, tokens = texts + len(each.texts), tokens + each.tokens
            if count and (texts > self.max_texts or tokens > self.max_tokens):
                break
            count += 1
        self._waiting = waiting[count:]
        return waiting[:count]

    async def _call(self, together: list[_Asking]) -> None:
        """If texts are refused, each document asks by itself, so that only the one that they belong to is refused."""
        try:
            answer = await self._inner.embed([text for each in together for text in each.texts])
        except ProviderRejected as error:
            if len(together) == 1:
                _refuse(together, error)
            for each in together if len(together) > 1 else []:
                await self._call([each])
        except Exception as error:
            _refuse(together, error)
        else:
            _give(together, answer)


def _refuse(together: list[_Asking], error: Exception) -> None:
    for each in together:
        if not each.answer.done():
            each.answer.set_exception(error)


def _give(together: list[_Asking], answer: Embeddings) -> None:
    starts = accumulate((len(each.texts) for each in together), initial=0)
    for each, start, tokens in zip(together, starts, _shares(answer.tokens, together), strict=False):
        end = start + len(each.texts)
        split = frozenset(index - start for index in answer.split if start <= index < end)
        if not each.answer.done():
            each.answer.set_result(replace(answer, vectors=answer.vectors[start:end], tokens=tokens, split=split))


def _shares(tokens: int, together: list[_Asking]) -> list[int]:
    """The tokens that the provider counted, shared as we count them; they sum up to all of them."""
    counted = list(accumulate((each.tokens for each in together), initial=0))
    bounds = [*(tokens * each // max(1, counted[-1]) for each in counted[:-1]), tokens]
    return [end - start for start, end in pairwise(bounds)]


class JoinedCalls:
    """The embedders of documents that are worked on together; a context that ends their calls."""

    def __init__(self) -> None:
        self._joined: dict[int, _JoinedEmbedder] = {}

    def of(self, embedder: Embedder) -> Embedder:
        """The embedder with joined calls, or itself: one in this process gains nothing from them."""
        if embedder.address is None:
            return embedder
        return self._joined.setdefault(id(embedder), _JoinedEmbedder(embedder))

    async def __aenter__(self) -> "JoinedCalls":
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in self._joined.values():
            await each.close()
