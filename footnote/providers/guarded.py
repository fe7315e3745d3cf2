"""Providers behind the limits that all processes share: the same Protocols around what is asked over a network."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

from footnote.errors import BatchTooLarge, RateLimited, Unavailable
from footnote.limits import INTERACTIVE, LARGEST, PIPELINE, Endpoint, Quota, Shared
from footnote.providers import Embedder, Embeddings, GenerationRequest, Generator, GeneratorEvent
from footnote.settings import Settings


def guard_embedder(inner: Embedder, shared: Shared, settings: Settings, *, interactive: bool) -> Embedder:
    """The embedder behind its limits; one that runs in this process needs none."""
    if inner.address is None:
        return inner
    limits = _configured(settings.embedding_rpm, settings.embedding_tpm)
    urgency = INTERACTIVE if interactive else PIPELINE
    return GuardedEmbedder(inner, Endpoint(shared, inner.provider, inner.address, inner.model, limits, urgency))


def guard_generator(inner: Generator, shared: Shared, settings: Settings) -> Generator:
    """The generator behind its limits; one that runs in this process needs none."""
    if inner.address is None:
        return inner
    limits = _configured(settings.chat_rpm, settings.chat_tpm)
    return GuardedGenerator(inner, Endpoint(shared, inner.provider, inner.address, inner.model, limits, INTERACTIVE))


def _configured(requests: int | None, tokens: int | None) -> Mapping[str, int]:
    return {name: limit for name, limit in (("requests", requests), ("tokens", tokens)) if limit}


async def circuits(*models: Embedder | Generator) -> dict[str, str]:
    """By name, what `Endpoint.circuit` says of those of the models that are asked over a network, if it can."""
    guarded = [model.endpoint for model in models if isinstance(model, GuardedEmbedder | GuardedGenerator)]
    states = {endpoint.name: await endpoint.circuit() for endpoint in guarded}
    return {name: state for name, state in states.items() if state is not None}


class GuardedEmbedder:
    """Waits for its turn, divides what is too much for one call, and remembers how much that was."""

    def __init__(self, inner: Embedder, endpoint: Endpoint) -> None:
        self._inner = inner
        self.endpoint = endpoint
        self.provider, self.address, self.model = inner.provider, inner.address, inner.model
        self.max_texts = inner.max_texts
        self._dimensions: int | None = None

    @property
    def max_tokens(self) -> int:
        """As the provider takes them in one call, and no more than a share of what it takes in a minute."""
        a_minute = self.endpoint.known.get("tokens")
        return min(self._inner.max_tokens, max(1, int(a_minute * LARGEST))) if a_minute else self._inner.max_tokens

    def count_tokens(self, text: str) -> int:
        return self._inner.count_tokens(text)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Raises BatchTooLarge only for a single text that the provider does not take."""
        before = self.max_texts
        try:
            return await self._embed(texts, sum(map(self.count_tokens, texts)))
        except BatchTooLarge:
            self.max_texts = before  # it was one text that was too large, not the number of them
            raise

    async def close(self) -> None:
        await self._inner.close()

    async def _embed(self, texts: Sequence[str], tokens: int) -> Embeddings:
        if len(texts) <= 1:
            return await self._call(texts, tokens)
        if len(texts) <= self.max_texts and tokens <= self.max_tokens:
            try:
                return await self._call(texts, tokens)
            except BatchTooLarge:
                if tokens <= self.max_tokens:  # the number of texts, for all that is known
                    self.max_texts = min(self.max_texts, len(texts) // 2)
        return await self._halves(texts)

    async def _halves(self, texts: Sequence[str]) -> Embeddings:
        import numpy as np

        middle = (len(texts) + 1) // 2
        halves = [
            await self._embed(half, sum(map(self.count_tokens, half))) for half in (texts[:middle], texts[middle:])
        ]
        return Embeddings(np.concatenate([half.vectors for half in halves]), sum(half.tokens for half in halves))

    async def _call(self, texts: Sequence[str], tokens: int) -> Embeddings:
        """One call; a pause that the provider asks for meanwhile is waited for if it is short."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.endpoint.urgency.patience
        while True:
            try:
                patience = max(0.0, deadline - clock())
                async with self.endpoint.calling(tokens, patience=patience, divisible=len(texts) > 1) as call:
                    answer = await self._inner.embed(texts)
                    call.quota, call.tokens = answer.quota, answer.tokens
                    self._check_dimensions(answer.vectors.shape[1])
                return answer
            except RateLimited as limited:
                wait = limited.retry_after or 1.0
                if clock() + wait > deadline:
                    raise
                await asyncio.sleep(wait)

    def _check_dimensions(self, found: int) -> None:
        """A length unlike the one before is believed when it comes again: the model may have been exchanged."""
        before, self._dimensions = self._dimensions, found
        if before not in (None, found):
            message = f"The provider sent vectors of {found} dimensions after some of {before}."
            raise Unavailable("provider_bad_response", message)


class GuardedGenerator:
    """Waits for its turn, briefly: somebody waits for the answer."""

    def __init__(self, inner: Generator, endpoint: Endpoint) -> None:
        self._inner = inner
        self.endpoint = endpoint
        self.provider, self.address, self.model = inner.provider, inner.address, inner.model

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        """A model chosen by the caller has limits of its own."""
        endpoint = replace(self.endpoint, model=request.model or self.model)
        async with (
            endpoint.calling(_tokens(request), patience=endpoint.urgency.patience) as call,
            aclosing(self._inner.generate(request)) as events,
        ):
            async for event in events:
                if isinstance(event, Quota):
                    call.quota = event
                else:
                    await endpoint.answered(call)
                    yield event

    async def close(self) -> None:
        await self._inner.close()


def _tokens(request: GenerationRequest) -> int:
    """An estimate of what an answer may use: four bytes of UTF-8 a token, and what it may be long."""
    texts = (
        request.question,
        *(passage.text for passage in request.passages),
        *(turn.content for turn in request.history),
    )
    return sum(len(text.encode()) // 4 + 1 for text in texts) + (request.max_tokens or 0)
