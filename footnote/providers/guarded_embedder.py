"""An embedder under the limits that all processes share; it learns how much its provider accepts in one call."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from footnote import deadline
from footnote.errors import BatchTooLarge, RateLimited, TimedOut, Unavailable
from footnote.providers import Embedder, Embeddings
from footnote.providers.oversize import in_two, pieces
from footnote.providers.throttle import LARGEST, Endpoint

SHORTEST = 16  # tokens of a text that is never divided
MOST_REFUSED = 48  # calls for one batch: six for each time that it is halved down to a text, and eight of those


@dataclass
class _Attempt:
    """The limits of the provider that one `embed` call learned."""

    max_texts: int  # at its beginning
    refused: int = 0  # calls that were too large
    too_long: bool = False  # a single text was among them


class GuardedEmbedder:
    """Waits for its turn, divides what is too much for one call or too long for one text, and remembers the limits.

    A text that is too long for the model is embedded in pieces. Its vector is their mean, weighted by their
    tokens: so a search also finds what is at the end of the text.
    """

    def __init__(self, inner: Embedder, endpoint: Endpoint) -> None:
        self._inner = inner
        self.endpoint = endpoint
        self.provider, self.address, self.model = inner.provider, inner.address, inner.model
        self.longest_text, self.question_prefix = inner.longest_text, inner.question_prefix
        self._sizes = {"texts": inner.max_texts}  # what this process has learned
        self._recalled = False

    @property
    def max_texts(self) -> int:
        return int(min(self._sizes["texts"], self.endpoint.known.get("texts") or inf))

    @property
    def max_tokens(self) -> int:
        """What the provider accepts in one call, and at most a share of what it accepts in a minute."""
        a_minute = self.endpoint.known.get("tokens")
        return min(self._inner.max_tokens, max(1, int(a_minute * LARGEST))) if a_minute else self._inner.max_tokens

    def count_tokens(self, text: str) -> int:
        return self._inner.count_tokens(text)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Raises BatchTooLarge only for a text that the provider does not accept in pieces either."""
        if not self._recalled:
            await self.endpoint.learn()  # what other processes found out
            self._recalled = True
        attempt, before = _Attempt(self.max_texts), dict(self._sizes)
        try:
            answer = await self._embed(texts, attempt)
        except BatchTooLarge:
            self._sizes["texts"] = attempt.max_texts  # it was one text that was too large, not the number of them
            raise
        if self._sizes != before:
            await self.endpoint.learn(**self._sizes)
        return answer

    async def close(self) -> None:
        await self._inner.close()

    async def _embed(self, texts: Sequence[str], attempt: _Attempt) -> Embeddings:
        longest = min(self._sizes.get("longest", inf), self.endpoint.known.get("longest") or inf)
        divided = (
            [pieces(text, max(int(longest), SHORTEST), self.count_tokens) for text in texts] if longest < inf else []
        )
        if any(len(each) > 1 for each in divided):
            return self._joined(divided, await self._embed([piece for each in divided for piece in each], attempt))
        tokens = sum(map(self.count_tokens, texts))
        if len(texts) > 1 and (len(texts) > self.max_texts or tokens > self.max_tokens):
            return await self._halves(texts, attempt)
        try:
            return await self._call(texts, tokens)
        except BatchTooLarge as refused:
            attempt.refused += 1
            if attempt.refused > MOST_REFUSED:
                raise
            if len(texts) > 1:
                self._learn(refused, len(texts), tokens, attempt)
                return await self._halves(texts, attempt)
            return await self._in_two(texts[0], tokens, refused, attempt)

    def _learn(self, refused: BatchTooLarge, texts: int, tokens: int, attempt: _Attempt) -> None:
        """Learns from the refusal of several texts."""
        if refused.about == "length":
            self._learn_longest(refused.limit)
        elif refused.about is None and attempt.too_long:
            pass  # there may be more texts that are too long
        elif tokens <= self.max_tokens:  # probably the number of texts
            named = refused.limit if refused.about == "texts" else None
            self._sizes["texts"] = min(self.max_texts, named if named and named < texts else texts // 2)

    def _learn_longest(self, limit: int | None, refused: int | None = None) -> None:
        """Learns from the provider's `limit`, in its tokens, and from a `refused` length, in ours.

        The two differ. A text far below the limit that is refused nevertheless is an exception: others are not divided
        because of it. A limit that is not named is approached in steps, so that texts of many lengths do not each cost
        a refusal.
        """
        most = [int(limit * 1.25)] if limit else []
        most += [max(refused - 1, limit // 2) if limit else refused * 4 // 5] if refused else []
        if most:
            self._sizes["longest"] = max(SHORTEST, min([self._sizes.get("longest", most[0]), *most]))

    async def _in_two(self, text: str, tokens: int, refused: BatchTooLarge, attempt: _Attempt) -> Embeddings:
        """Embeds a single text that is too long as two. Raises the refusal if the text is short."""
        halves = in_two(text) if tokens > SHORTEST else [text]
        if len(halves) == 1:
            raise refused
        if not attempt.too_long:
            attempt.too_long = True
            self._sizes["texts"] = attempt.max_texts
        self._learn_longest(refused.limit, tokens)
        return self._joined([halves], await self._embed(halves, attempt))

    async def _halves(self, texts: Sequence[str], attempt: _Attempt) -> Embeddings:
        import numpy as np

        middle = (len(texts) + 1) // 2
        first, second = [await self._embed(half, attempt) for half in (texts[:middle], texts[middle:])]
        if first.dimensions != second.dimensions:
            lengths = f"vectors of {first.dimensions} and of {second.dimensions} dimensions"
            raise Unavailable("provider_bad_response", f"The provider sent {lengths} one after the other.")
        split = first.split | {middle + place for place in second.split}
        return Embeddings(
            np.concatenate([first.vectors, second.vectors]),
            first.tokens + second.tokens,
            estimated=first.estimated or second.estimated,
            split=split,
        )

    def _joined(self, divided: Sequence[Sequence[str]], answer: Embeddings) -> Embeddings:
        """One vector of length 1 for each text: the mean of its pieces, weighted by tokens."""
        import numpy as np

        weights = np.array([self.count_tokens(piece) for text in divided for piece in text], np.float32)
        starts = np.cumsum([0, *map(len, divided[:-1])])
        sums = np.add.reduceat(answer.vectors * weights[:, None], starts)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        first = answer.vectors[starts]  # for pieces that point in opposite directions
        vectors = np.where(lengths > 0, sums / np.where(lengths > 0, lengths, 1), first).astype(np.float32)
        split = frozenset(place for place, text in enumerate(divided) if len(text) > 1)
        split |= {place for place, start in enumerate(starts) if int(start) in answer.split}
        return replace(answer, vectors=vectors, split=split)

    async def _call(self, texts: Sequence[str], tokens: int) -> Embeddings:
        """One call; waits for a short pause that the provider asks for meanwhile."""
        clock = asyncio.get_running_loop().time
        until = clock() + deadline.left(self.endpoint.urgency.patience)
        while True:
            try:
                patience = max(0.0, until - clock())
                async with self.endpoint.calling(tokens, patience=patience, divisible=len(texts) > 1) as call:
                    answer = await self._in_time(texts)
                    call.quota, call.tokens = answer.quota, answer.tokens
                return answer
            except RateLimited as limited:
                wait = limited.retry_after or 1.0
                if clock() + wait > until:
                    raise
                await asyncio.sleep(wait)

    async def _in_time(self, texts: Sequence[str]) -> Embeddings:
        """Within the deadline of the request, which may be shorter than the provider's time limit."""
        try:
            async with deadline.limited():
                return await self._inner.embed(texts)
        except TimeoutError as error:
            raise TimedOut("provider_timeout") from error
