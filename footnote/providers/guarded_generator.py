"""A generator under the limits that all processes share; it limits the time and separates thoughts from the answer."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import replace

from footnote.errors import ProviderRejected, TimedOut, Unavailable
from footnote.providers import GenerationRequest, Generator, GeneratorEvent, Token, Truncated, Uncounted, Usage
from footnote.providers.addresses import is_local, keeps_thoughts_apart
from footnote.providers.messages import chat_messages
from footnote.providers.thoughts import Thoughts
from footnote.providers.throttle import Endpoint, Quota
from footnote.settings import Settings
from footnote.text import estimated_tokens

MOST_MODELS = 32  # whose thoughts are remembered
# Seconds, if not set: a local server may have to load its model, and writes at the pace of its machine.
FIRST_TOKEN, LOCAL_FIRST_TOKEN = 10.0, 120.0
ANSWER, LOCAL_ANSWER = 120.0, 600.0


class GuardedGenerator:
    """Waits for its turn and for the model's pieces within time limits; passes only the answer on.

    Tokens that the provider did not count are estimated.
    """

    def __init__(self, inner: Generator, endpoint: Endpoint, settings: Settings) -> None:
        self._inner = inner
        self._settings = settings
        self.endpoint = endpoint
        self.provider, self.address, self.model = inner.provider, inner.address, inner.model
        # By model, whether its last answer had thoughts whose beginning was not marked.
        self._unmarked: dict[str, bool] = {}

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        """A model that the request names has its own limits."""
        model = request.model or self.model
        endpoint = replace(self.endpoint, model=model)
        stopwatch = _Stopwatch(self._settings, endpoint.address)
        listening = _Listening(request, self._unmarked.get(model, self._first_is_open(endpoint.address)))
        request = replace(request, alive=stopwatch.alive, thought=listening.thought)
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
    """One answer without its thoughts, and its usage.

    `unmarked`: whether there are thoughts whose beginning is not marked. At first it is what is known of the model;
    None if unknown: then nothing is passed on until it is known. At the end it is what the answer showed.
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
            case Truncated():
                self._cut = True
                return None
        return event

    def thought(self, text: str) -> None:
        """A thought that the server itself separates from the answer."""
        self._written += _estimate([text])
        self._thoughts.thought = True

    def end(self) -> Iterator[GeneratorEvent]:
        """Raises ProviderRejected or Unavailable if there is no answer except thoughts."""
        if rest := self._token(self._thoughts.close(ended=not (self._cut and self.unmarked))):
            yield rest
        yield self._usage()
        if self._thoughts.thought and not self._spoke:
            if self._cut:
                reason = "The model reached its limit of tokens while it was thinking: allow more (`max_tokens`)."
                raise ProviderRejected("provider_rejected", reason)
            raise Unavailable("provider_bad_response", "The model wrote thoughts but no answer.")
        late = self._thoughts.late
        if late or not self._cut or self._thoughts.thought:
            self.unmarked = late or self._thoughts.unmarked
        if late:
            raise Unavailable("provider_bad_response", "The model's thoughts were not marked as such: ask again.")
        if self._cut:
            yield Truncated()

    def _token(self, text: str) -> Token | None:
        self._spoke = self._spoke or bool(text.strip())
        return Token(text) if text else None

    def _usage(self) -> Usage | Uncounted:
        counted = self._counted or Usage(None, None)
        if counted.prompt_tokens is not None and counted.completion_tokens is not None:
            return counted
        asked = _tokens(self._request) if counted.prompt_tokens is None else counted.prompt_tokens
        answered = self._written if counted.completion_tokens is None else counted.completion_tokens
        return Uncounted(counted, asked, answered)


class _Stopwatch:
    """Limits how long a model may be silent, and how long its whole answer may take after it began.

    Only the model is timed, not a slow reader of its pieces. Everything that the model sends counts as activity.
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
        """The model sent something."""
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
            reason = f"The model did not finish its answer within {self._whole:g} seconds (FOOTNOTE_ANSWER_SECONDS)."
            return TimedOut("answer_timeout", reason, retry_after=5)
        reason = f"The model was silent for {self._longest:g} seconds ({self._setting})."
        return TimedOut("provider_timeout", reason, retry_after=5)


def _tokens(request: GenerationRequest) -> int:
    """An estimate of what the model has to read."""
    return _estimate(message["content"] for message in chat_messages(request))


def _estimate(texts: Iterable[str]) -> int:
    return sum(map(estimated_tokens, texts))
