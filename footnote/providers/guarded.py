"""Providers under the limits that all processes share: the same Protocols around models on a network."""

import asyncio
from collections.abc import Mapping, Sequence

from footnote import deadline, providers
from footnote.database.redis_client import Shared
from footnote.errors import ProviderRejected, TimedOut
from footnote.providers import Embedder, Generator, Reranker
from footnote.providers.fallback import Fallback
from footnote.providers.guarded_embedder import GuardedEmbedder
from footnote.providers.guarded_generator import GuardedGenerator
from footnote.providers.throttle import INTERACTIVE, PIPELINE, Endpoint
from footnote.settings import Settings
from footnote.text import estimated_tokens

MOST_MODELS = 32  # in addition to the configured one


def guard_embedder(inner: Embedder, shared: Shared, settings: Settings, *, interactive: bool) -> Embedder:
    """The embedder under its limits; one in this process needs none."""
    if inner.address is None:
        return inner
    limits = _configured(settings.embedding_rpm, settings.embedding_tpm)
    urgency = INTERACTIVE if interactive else PIPELINE
    return GuardedEmbedder(inner, Endpoint(shared, inner.provider, inner.address, inner.model, limits, urgency))


class Embedders(dict[tuple[str, str] | tuple[str, str, int], Embedder]):
    """By provider, model and dimensions, if any; opened at first use.

    Raises Invalid or ProviderRejected if there is none.

    Requests may name models that do not exist, so the oldest is dropped when there are MOST_MODELS. It can still be
    used: the embedders of a provider share their connections, which are open until `close`.
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
    """Each under its own limits; the next is asked if one fails. Settings may configure the limits of the first.

    A generator in this process needs none.
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
    """The reranker, if there is one, under its limits and its time limit; one in this process needs neither."""
    if inner is None or inner.address is None:
        return inner
    endpoint = Endpoint(shared, inner.provider, inner.address, inner.model, {}, INTERACTIVE)
    return GuardedReranker(inner, endpoint, settings.rerank_seconds)


def _configured(requests: int | None, tokens: int | None) -> Mapping[str, int]:
    return {name: limit for name, limit in (("requests", requests), ("tokens", tokens)) if limit}


async def circuits(*models: Embedder | Generator | Reranker | None) -> dict[str, str]:
    """By name, the `Endpoint.circuit` of each model on a network; without those whose state is unknown."""
    kinds = GuardedEmbedder | GuardedGenerator | GuardedReranker
    single = [each for model in models for each in (model.generators if isinstance(model, Fallback) else (model,))]
    guarded = [model.endpoint for model in single if isinstance(model, kinds)]
    states = {endpoint.name: await endpoint.circuit() for endpoint in guarded}
    return {name: state for name, state in states.items() if state is not None}


class GuardedReranker:
    """Does not wait for its turn, and answers within a time limit: search works without it, too."""

    def __init__(self, inner: Reranker, endpoint: Endpoint, seconds: float) -> None:
        self._inner = inner
        self._seconds = seconds
        self.endpoint = endpoint
        self.provider, self.address, self.model = inner.provider, inner.address, inner.model

    async def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """A time-out counts as the reranker's failure for the circuit: it is raised within the call."""
        until = asyncio.get_running_loop().time() + deadline.left(self._seconds)
        async with self.endpoint.calling(sum(map(estimated_tokens, [query, *texts])), patience=0.0):
            try:
                async with asyncio.timeout_at(until):
                    return await self._inner.rerank(query, texts)
            except TimeoutError as error:
                raise TimedOut("provider_timeout", "The reranker took too long.") from error

    async def close(self) -> None:
        await self._inner.close()
