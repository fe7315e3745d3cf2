"""Providers behind the limits that all processes share: the same Protocols around what is asked over a network."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

from footnote import providers
from footnote.errors import BatchTooLarge, ProviderRejected, RateLimited, TimedOut, Unavailable
from footnote.limits import INTERACTIVE, LARGEST, PIPELINE, Endpoint, Quota, Shared
from footnote.providers import (
    Cut,
    Embedder,
    Embeddings,
    GenerationRequest,
    Generator,
    GeneratorEvent,
    Reranker,
    Token,
    Uncounted,
    Usage,
)
from footnote.providers.addresses import is_local, keeps_thoughts_apart
from footnote.providers.fallback import Fallback
from footnote.providers.messages import RULES
from footnote.providers.thoughts import Thoughts
from footnote.settings import Settings

MOST_MODELS = 32  # beside the configured one
# Seconds, unless they are set: a server nearby may have to load its model, and writes at the pace of its machine.
FIRST_TOKEN, LOCAL_FIRST_TOKEN = 10.0, 120.0
ANSWER, LOCAL_ANSWER = 120.0, 600.0


def guard_embedder(inner: Embedder, shared: Shared, settings: Settings, *, interactive: bool) -> Embedder:
    """The embedder behind its limits; one that runs in this process needs none."""
    if inner.address is None:
        return inner
    limits = _configured(settings.embedding_rpm, settings.embedding_tpm)
    urgency = INTERACTIVE if interactive else PIPELINE
    return GuardedEmbedder(inner, Endpoint(shared, inner.provider, inner.address, inner.model, limits, urgency))


class Embedders(dict[tuple[str, str], Embedder]):
    """By provider and model, opened when asked for. Raises Invalid or ProviderRejected: there is none.

    Models can be named that nobody has, so that the oldest makes room when there are MOST_MODELS. Whoever is using it
    still can: all of a provider share their connections, which are open until `close`.
    """

    def __init__(self, settings: Settings, shared: Shared, *, interactive: bool) -> None:
        super().__init__()
        self._settings, self._shared, self._interactive = settings, shared, interactive
        self._first: dict[str, Embedder] = {}  # of each provider

    def __missing__(self, key: tuple[str, str]) -> Embedder:
        provider, model = key
        chosen = {"embedder": provider, "embedding_model": model or None, "embedding_dimensions": None}
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


class GuardedEmbedder:
    """Waits for its turn, divides what is too much for one call, and remembers how much that was."""

    def __init__(self, inner: Embedder, endpoint: Endpoint) -> None:
        self._inner = inner
        self.endpoint = endpoint
        self.provider, self.address, self.model = inner.provider, inner.address, inner.model
        self.max_texts, self.longest_text = inner.max_texts, inner.longest_text
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
        return Embeddings(
            np.concatenate([half.vectors for half in halves]),
            sum(half.tokens for half in halves),
            estimated=any(half.estimated for half in halves),
        )

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
    """Waits for its turn, and for a model's pieces, no longer than a reader does; only the answer itself is passed on.

    What the provider did not count is estimated.
    """

    def __init__(self, inner: Generator, endpoint: Endpoint, settings: Settings) -> None:
        self._inner = inner
        self._settings = settings
        self.endpoint = endpoint
        self.provider, self.address, self.model = inner.provider, inner.address, inner.model
        # By model, whether its last answer had thoughts whose beginning was not marked.
        self._unmarked: dict[str, bool] = {}

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        """A model chosen by the caller has limits of its own."""
        model = request.model or self.model
        endpoint = replace(self.endpoint, model=model)
        stopwatch = _Stopwatch(self._settings, endpoint.address)
        request = replace(request, alive=stopwatch.alive)
        listening = _Listening(request, self._unmarked.get(model, self._first_is_open(endpoint.address)))
        try:
            async with (
                endpoint.calling(
                    _tokens(request) + (request.max_tokens or 0), patience=endpoint.urgency.patience
                ) as call,
                aclosing(self._inner.generate(request)) as events,
            ):
                while (event := await stopwatch.next(events)) is not None:
                    if isinstance(event, Quota):
                        call.quota = event
                        continue
                    await endpoint.answered(call)
                    if heard := listening.hear(event):
                        yield heard
                for heard in listening.end():
                    yield heard
        finally:
            self._remember(model, listening.unmarked)

    async def close(self) -> None:
        await self._inner.close()

    def _first_is_open(self, address: str) -> bool | None:
        return False if keeps_thoughts_apart(address) else None

    def _remember(self, model: str, unmarked: bool | None) -> None:
        if unmarked is None:
            return
        if model not in self._unmarked and len(self._unmarked) >= MOST_MODELS:
            del self._unmarked[next(iter(self._unmarked))]
        self._unmarked[model] = unmarked


class _Listening:
    """One answer without its thoughts, and what it took.

    `unmarked`: whether thoughts came whose beginning was not marked. Before, it is what is known of the model, None
    nothing: then the answer is not passed on before it is known. Afterwards it is what the answer showed.
    """

    def __init__(self, request: GenerationRequest, unmarked: bool | None) -> None:
        self._request = request
        self._thoughts = Thoughts(holds=unmarked is not False)
        self._written = 0  # tokens, estimated
        self._spoke = self._cut = False
        self._counted: Usage | None = None
        self.unmarked = unmarked

    def hear(self, event: GeneratorEvent) -> GeneratorEvent | None:
        match event:
            case Token(text):
                self._written += _estimate([text])
                return self._token(self._thoughts.feed(text))
            case Usage():
                self._counted = event
                return None
            case Cut():
                self._cut = True
                return None
        return event

    def end(self) -> Iterator[GeneratorEvent]:
        """Raises ProviderRejected or Unavailable if there is no answer beside the thoughts."""
        if rest := self._token(self._thoughts.close(ended=not (self._cut and self.unmarked))):
            yield rest
        yield self._usage()
        if self._thoughts.thought and not self._spoke:
            if self._cut:
                reason = "The model came to its limit of tokens while it was thinking: allow it more (`max_tokens`)."
                raise ProviderRejected("provider_rejected", reason)
            raise Unavailable("provider_bad_response", "The model thought, and wrote no answer.")
        late = self._thoughts.late
        if late or not self._cut or self._thoughts.thought:
            self.unmarked = late or self._thoughts.unmarked
        if late:
            raise Unavailable("provider_bad_response", "The model's thoughts were not marked as such: ask again.")
        if self._cut:
            yield Cut()

    def _token(self, text: str) -> Token | None:
        self._spoke = self._spoke or bool(text.strip())
        return Token(text) if text else None

    def _usage(self) -> Usage | Uncounted:
        told = self._counted or Usage(None, None)
        if told.prompt_tokens is not None and told.completion_tokens is not None:
            return told
        asked = _tokens(self._request) if told.prompt_tokens is None else told.prompt_tokens
        answered = self._written if told.completion_tokens is None else told.completion_tokens
        return Uncounted(told, asked, answered)


class _Stopwatch:
    """How long a model may still be silent, and how long its whole answer may take, once it has begun.

    Only the model is timed: a reader who is slow to take a piece is not its fault. Whatever it sends is a sign of life.
    """

    def __init__(self, settings: Settings, address: str) -> None:
        near = is_local(address)
        self._between = settings.provider_timeout_seconds
        self._silence = settings.first_token_seconds or (LOCAL_FIRST_TOKEN if near else FIRST_TOKEN)
        self._whole = settings.answer_seconds or (LOCAL_ANSWER if near else ANSWER)
        self._longest, self._setting = self._silence, "FOOTNOTE_FIRST_TOKEN_SECONDS"
        self._left, self._left_of_whole = self._silence, self._whole
        self._alive = False
        self._started = 0.0  # of the wait
        self._limit: asyncio.Timeout | None = None

    def alive(self) -> None:
        """Something came of the model."""
        now = asyncio.get_running_loop().time()
        if not self._alive:
            self._alive = True
            self._left_of_whole += now - self._started
            self._longest, self._setting = self._between, "FOOTNOTE_PROVIDER_TIMEOUT_SECONDS"
        self._left = self._between + now - self._started
        if self._limit and not self._limit.expired():
            self._limit.reschedule(self._deadline())

    async def next(self, events: AsyncGenerator[GeneratorEvent, None]) -> GeneratorEvent | None:
        """Raises TimedOut."""
        clock = asyncio.get_running_loop().time
        self._started = clock()
        try:
            async with asyncio.timeout_at(self._deadline()) as self._limit:
                event = await anext(events, None)
        except TimeoutError as error:
            raise self._too_late() from error
        finally:
            self._limit = None
        waited = clock() - self._started
        self._left -= waited
        self._left_of_whole -= waited if self._alive else 0.0
        return event

    def _deadline(self) -> float:
        return self._started + (min(self._left, self._left_of_whole) if self._alive else self._left)

    def _too_late(self) -> TimedOut:
        if self._alive and self._left_of_whole < self._left:
            reason = f"The model did not end its answer within {self._whole:g} seconds (FOOTNOTE_ANSWER_SECONDS)."
            return TimedOut("answer_timeout", reason, retry_after=5)
        reason = f"The model was silent for {self._longest:g} seconds ({self._setting})."
        return TimedOut("provider_timeout", reason, retry_after=5)


class GuardedReranker:
    """Does not wait for its turn, and answers within a budget: what it is asked for can be done without."""

    def __init__(self, inner: Reranker, endpoint: Endpoint, seconds: float) -> None:
        self._inner = inner
        self._seconds = seconds
        self.endpoint = endpoint
        self.provider, self.address, self.model = inner.provider, inner.address, inner.model

    async def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """Running out of time is the reranker's failure, so that the circuit hears of it: it ends within the call."""
        deadline = asyncio.get_running_loop().time() + self._seconds
        async with self.endpoint.calling(_estimate([query, *texts]), patience=0.0):
            try:
                async with asyncio.timeout_at(deadline):
                    return await self._inner.rerank(query, texts)
            except TimeoutError as error:
                raise TimedOut("provider_timeout", "The reranker took too long.") from error

    async def close(self) -> None:
        await self._inner.close()


def _tokens(request: GenerationRequest) -> int:
    """An estimate of what the model has to read."""
    texts = (
        request.system_prompt or "",
        RULES if request.passages else "",
        request.question,
        *(passage.text for passage in request.passages),
        *(turn.content for turn in request.history),
    )
    return _estimate(texts)


def _estimate(texts: Iterable[str]) -> int:
    """Four bytes of UTF-8 a token."""
    return sum(len(text.encode()) // 4 + 1 for text in texts)
