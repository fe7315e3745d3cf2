"""Providers behind the limits that all processes share: the same Protocols around what is asked over a network."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from math import inf

from footnote import deadline, providers
from footnote.errors import BatchTooLarge, ProviderRejected, RateLimited, TimedOut, Unavailable
from footnote.limits import INTERACTIVE, LARGEST, PIPELINE, Endpoint, Quota, Shared
from footnote.providers import (
    Embedder,
    Embeddings,
    GenerationRequest,
    Generator,
    GeneratorEvent,
    Reranker,
    Token,
)
from footnote.providers.fallback import Fallback
from footnote.providers.oversize import in_two, pieces
from footnote.settings import Settings
from footnote.text import estimated_tokens

MOST_MODELS = 32  # beside the configured one
SHORTEST = 16  # tokens of a text that is not divided, whatever a provider says
MOST_REFUSED = 48  # calls for one batch: six for each time that it is halved down to a text, and eight of those


def guard_embedder(inner: Embedder, shared: Shared, settings: Settings, *, interactive: bool) -> Embedder:
    """The embedder behind its limits; one that runs in this process needs none."""
    if inner.address is None:
        return inner
    limits = _configured(settings.embedding_rpm, settings.embedding_tpm)
    urgency = INTERACTIVE if interactive else PIPELINE
    return GuardedEmbedder(inner, Endpoint(shared, inner.provider, inner.address, inner.model, limits, urgency))


class Embedders(dict[tuple[str, str] | tuple[str, str, int], Embedder]):
    """By provider, model and the length that it asks for, if any; opened when asked for.

    Raises Invalid or ProviderRejected: there is none.

    Models can be named that nobody has, so that the oldest makes room when there are MOST_MODELS. Whoever is using it
    still can: all of a provider share their connections, which are open until `close`.
    """

    def __init__(self, settings: Settings, shared: Shared, *, interactive: bool) -> None:
        super().__init__()
        self._settings, self._shared, self._interactive = settings, shared, interactive
        self._first: dict[str, Embedder] = {}  # of each provider

    def __missing__(self, key: tuple[str, str] | tuple[str, str, int]) -> Embedder:
        provider, model = key[:2]
        dimensions = key[2] if len(key) == 3 else None
        chosen = {"embedder": provider, "embedding_model": model or None, "embedding_dimensions": dimensions}
        opened = providers.open_embedder(self._settings.model_copy(update=chosen), self._first.get(provider))
        if opened.address is not None and not (self._settings.openai_api_key or self._settings.openai_base_url):
            raise ProviderRejected("provider_rejected", f"No key and no address are configured for {provider}.")
        self._first.setdefault(provider, opened)
        if len(self) >= MOST_MODELS:
            del self[next(iter(self))]
        self[key] = guard_embedder(opened, self._shared, self._settings, interactive=self._interactive)
        return self[key]

    async def close(self) -> None:
        for opened in self._first.values():
            await opened.close()


def guard_generators(inner: Sequence[Generator], shared: Shared, settings: Settings, *, interactive: bool) -> Fallback:
    """Each behind its own limits, of which those of the first may be configured; then the next, should it fail.

    One that runs in this process needs none.
    """
    urgency = INTERACTIVE if interactive else PIPELINE
    limits = _configured(settings.chat_rpm, settings.chat_tpm)
    guarded: list[Generator] = []
    for each in inner:
        if each.address is None:
            guarded.append(each)
            continue
        endpoint = Endpoint(shared, each.provider, each.address, each.model, {} if guarded else limits, urgency)
        guarded.append(GuardedGenerator(each, endpoint, settings))
    return Fallback(guarded)


def guard_reranker(inner: Reranker | None, shared: Shared, settings: Settings) -> Reranker | None:
    """The reranker, if there is one, behind its limits and its time; one that runs in this process needs none."""
    if inner is None or inner.address is None:
        return inner
    endpoint = Endpoint(shared, inner.provider, inner.address, inner.model, {}, INTERACTIVE)
    return GuardedReranker(inner, endpoint, settings.rerank_seconds)


def _configured(requests: int | None, tokens: int | None) -> Mapping[str, int]:
    return {name: limit for name, limit in (("requests", requests), ("tokens", tokens)) if limit}


async def circuits(*models: Embedder | Generator | Reranker | None) -> dict[str, str]:
    """By name, what `Endpoint.circuit` says of those of the models that are asked over a network, if it can."""
    kinds = GuardedEmbedder | GuardedGenerator | GuardedReranker
    single = [each for model in models for each in (model.generators if isinstance(model, Fallback) else (model,))]
    guarded = [model.endpoint for model in single if isinstance(model, kinds)]
    states = {endpoint.name: await endpoint.circuit() for endpoint in guarded}
    return {name: state for name, state in states.items() if state is not None}


@dataclass
class _Attempt:
    """What one `embed` has found out about the provider's limits."""

    max_texts: int  # at its beginning
    refused: int = 0  # calls that were too large
    too_long: bool = False  # a single text was among them


class GuardedEmbedder:
    """Waits for its turn, divides what is too much for one call or one text, and remembers how much that was.

    A text that is longer than the model reads is embedded in pieces. Its vector is their mean, weighted by their
    tokens: unlike a text that is cut off, it is still found by what stands at its end.
    """

    def __init__(self, inner: Embedder, endpoint: Endpoint) -> None:
        self._inner = inner
        self.endpoint = endpoint
        self.provider, self.address, self.model = inner.provider, inner.address, inner.model
        self.longest_text = inner.longest_text
        self._sizes = {"texts": inner.max_texts}  # what this process has learned
        self._recalled = False

    @property
    def max_texts(self) -> int:
        return int(min(self._sizes["texts"], self.endpoint.known.get("texts") or inf))

    @property
    def max_tokens(self) -> int:
        """As the provider takes them in one call, and no more than a share of what it takes in a minute."""
        a_minute = self.endpoint.known.get("tokens")
        return min(self._inner.max_tokens, max(1, int(a_minute * LARGEST))) if a_minute else self._inner.max_tokens

    def count_tokens(self, text: str) -> int:
        return self._inner.count_tokens(text)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Raises BatchTooLarge only for a text that the provider does not take in pieces either."""
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
                self._learn(refused, len(texts), tokens)
                return await self._halves(texts, attempt)
            return await self._in_two(texts[0], tokens, refused, attempt)

    def _learn(self, refused: BatchTooLarge, texts: int, tokens: int) -> None:
        """From the refusal of several texts."""
        if refused.about == "length":
            self._learn_longest(refused.limit)
        elif tokens <= self.max_tokens:  # the number of texts, for all that is known
            named = refused.limit if refused.about == "texts" else None
            self._sizes["texts"] = min(self.max_texts, named if named and named < texts else texts // 2)

    def _learn_longest(self, limit: int | None, refused: int | None = None) -> None:
        """What the provider says it reads, in its tokens, and what it did not take, in ours.

        The two differ. A text of far fewer tokens than the limit that is refused for all that is an odd one: others are
        not divided because of it.
        """
        most = [int(limit * 1.25)] if limit else []
        most += [max(refused - 1, (limit or 0) // 2)] if refused else []
        if most:
            self._sizes["longest"] = max(SHORTEST, min([self._sizes.get("longest", most[0]), *most]))

    async def _in_two(self, text: str, tokens: int, refused: BatchTooLarge, attempt: _Attempt) -> Embeddings:
        """A single text that is too much. Raises what it was refused with if it is a short one."""
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
        return Embeddings(np.concatenate([first.vectors, second.vectors]), first.tokens + second.tokens, split=split)

    def _joined(self, divided: Sequence[Sequence[str]], answer: Embeddings) -> Embeddings:
        """One vector for each text of which there are pieces: their mean, weighted by tokens, its length being 1."""
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
        """One call; a pause that the provider asks for meanwhile is waited for if it is short."""
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
        """The provider has its own limit; a request that is waited for may have less left."""
        try:
            async with deadline.limited():
                return await self._inner.embed(texts)
        except TimeoutError as error:
            raise TimedOut("provider_timeout") from error


class GuardedGenerator:
    """Waits for its turn, and for a model's pieces, no longer than somebody does who waits for the answer."""

    def __init__(self, inner: Generator, endpoint: Endpoint, settings: Settings) -> None:
        self._inner = inner
        self._settings = settings
        self.endpoint = endpoint
        self.provider, self.address, self.model = inner.provider, inner.address, inner.model

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        """A model chosen by the caller has limits of its own."""
        endpoint = replace(self.endpoint, model=request.model or self.model)
        async with (
            endpoint.calling(_tokens(request), patience=endpoint.urgency.patience) as call,
            aclosing(self._inner.generate(request)) as events,
        ):
            stopwatch = _Stopwatch(self._settings)
            while (event := await stopwatch.next(events)) is not None:
                if isinstance(event, Quota):
                    call.quota = event
                else:
                    await endpoint.answered(call)
                    yield event

    async def close(self) -> None:
        await self._inner.close()


class _Stopwatch:
    """How long a model may still take: for the next piece of its answer, and for all of it.

    Only the model is timed: a reader who is slow to take a piece is not its fault.
    """

    def __init__(self, settings: Settings) -> None:
        self._between = settings.provider_timeout_seconds
        self._piece = settings.first_token_seconds
        self._whole = settings.answer_seconds

    async def next(self, events: AsyncGenerator[GeneratorEvent, None]) -> GeneratorEvent | None:
        """Raises TimedOut; only text counts as a piece."""
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            async with deadline.limited(min(self._piece, self._whole)):
                event = await anext(events, None)
        except TimeoutError as error:
            code = "provider_timeout" if self._piece <= self._whole else "answer_timeout"
            raise TimedOut(code, retry_after=5) from error
        self._piece -= clock() - started
        self._whole -= clock() - started
        if isinstance(event, Token):
            self._piece = self._between
        return event


class GuardedReranker:
    """Does not wait for its turn, and answers within a budget: what it is asked for can be done without."""

    def __init__(self, inner: Reranker, endpoint: Endpoint, seconds: float) -> None:
        self._inner = inner
        self._seconds = seconds
        self.endpoint = endpoint
        self.provider, self.address, self.model = inner.provider, inner.address, inner.model

    async def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """Running out of time is the reranker's failure, so that the circuit hears of it: it ends within the call."""
        until = asyncio.get_running_loop().time() + deadline.left(self._seconds)
        async with self.endpoint.calling(_estimate([query, *texts]), patience=0.0):
            try:
                async with asyncio.timeout_at(until):
                    return await self._inner.rerank(query, texts)
            except TimeoutError as error:
                raise TimedOut("provider_timeout", "The reranker took too long.") from error

    async def close(self) -> None:
        await self._inner.close()


def _tokens(request: GenerationRequest) -> int:
    """An estimate of what an answer may use, and what it may be long."""
    texts = (
        request.question,
        *(passage.text for passage in request.passages),
        *(turn.content for turn in request.history),
    )
    return _estimate(texts) + (request.max_tokens or 0)


def _estimate(texts: Iterable[str]) -> int:
    return sum(map(estimated_tokens, texts))
