"""OpenAI, and every server with the same API (Ollama, vLLM, Azure, ...)."""

import asyncio
import base64
import json
import math
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, contextmanager, suppress
from typing import Any

import httpx2
from httpx2 import ConnectTimeout, Timeout

from footnote.errors import FootnoteError, ProviderRejected, TimedOut, Unavailable
from footnote.providers import (
    Embeddings,
    GenerationRequest,
    GeneratorEvent,
    Token,
    Truncated,
    Usage,
    normalised,
)
from footnote.providers.addresses import AZURE_HINT, CALLS
from footnote.providers.dialects import Dialect
from footnote.providers.messages import chat_messages
from footnote.providers.openai_connection import OpenAIConnection
from footnote.providers.oversize import oversized
from footnote.providers.refusals import ProviderMessage, ProviderRefusal, refusal
from footnote.providers.row_order import rows_of_texts
from footnote.providers.streams import events, is_cut
from footnote.providers.throttle import Quota
from footnote.settings import Settings
from footnote.text import clean, estimated_tokens

EMBEDDING_MODEL = "text-embedding-3-small"
CHAT_MODEL = "gpt-4o-mini"
DRAIN_SECONDS = 0.1

_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "thought")  # of a piece, in addition to its content
_WORDS = ("text", "thinking", "reasoning", "content", "summary")  # of a part of it
_TEXT_TYPES = ("text", "output_text")
_DEEPEST = 4  # levels of parts within parts


class _Model:
    provider = "openai"

    def __init__(self, settings: Settings, shared_with: "_Model | None" = None) -> None:
        self._settings = settings
        self._connection: OpenAIConnection = (
            shared_with._connection if shared_with else OpenAIConnection(settings, self.address)
        )

    @property
    def address(self) -> str:
        return self._settings.openai_base_url or "https://api.openai.com/v1"

    def _dialect(self, model: str) -> Dialect:
        return self._connection.dialects[model]

    async def close(self) -> None:
        await self._connection.close()


class OpenAIEmbedder(_Model):
    max_texts = 256
    max_tokens = 100_000
    longest_text = None
    question_prefix = ""

    def __init__(self, settings: Settings, shared_with: "OpenAIEmbedder | None" = None) -> None:
        super().__init__(settings, shared_with)
        self.model = settings.embedding_model or EMBEDDING_MODEL

    def count_tokens(self, text: str) -> int:
        return estimated_tokens(text)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        options: dict[str, Any] = {}
        if self._settings.embedding_dimensions:
            options["dimensions"] = self._settings.embedding_dimensions
        body = {"model": self.model, "input": list(texts)}

        async def call(spoken: dict[str, Any]) -> httpx2.Response:
            with _refusals():
                return await self._connection.post("/embeddings", body | spoken)

        try:
            with _errors():
                response = await self._dialect(self.model).ask(call, {"encoding_format": "base64", **options})
                answer = response.json()
        except FootnoteError as error:
            raise oversized(error) or error from error.__cause__
        vectors, counted = _vectors(answer, len(texts)), _counted(answer)
        tokens = sum(map(self.count_tokens, texts)) if counted is None else counted
        made = normalised(vectors, len(texts))
        self._check_length(made.shape[1])
        return Embeddings(made, tokens, Quota.read(response.headers), estimated=counted is None)

    def _check_length(self, found: int) -> None:
        """If the model does not accept `dimensions`, its own length must be the configured one."""
        wanted = self._settings.embedding_dimensions
        if wanted not in (None, found) and "dimensions" in self._dialect(self.model).refused:
            reason = f"The model makes vectors of {found} dimensions and of no other length: unset or correct "
            raise ProviderRejected("provider_rejected", f"{reason}FOOTNOTE_EMBEDDING_DIMENSIONS={wanted}.")


def _vectors(answer: Any, count: int) -> list[Any]:
    """In the order of the texts: lists of numbers, or base64 of float32. Raises Unavailable."""
    import numpy as np

    try:
        given = [(row.get("index"), row["embedding"]) for row in answer["data"]]
        vectors = [given[row][1] for row in rows_of_texts([index for index, _ in given], count)]
        coded = [base64.b64decode(each) if isinstance(each, str) else None for each in vectors]
        return [each if code is None else np.frombuffer(code, "<f4") for each, code in zip(vectors, coded, strict=True)]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, FootnoteError):
            raise
        raise Unavailable("provider_bad_response") from error


def _counted(answer: Mapping[str, Any]) -> int | None:
    """The tokens, if the server counts them; not all do."""
    usage = answer.get("usage")
    said = (usage.get(name) for name in ("total_tokens", "prompt_tokens")) if isinstance(usage, Mapping) else ()
    return next((count for count in said if isinstance(count, int) and count > 0), None)


class OpenAIGenerator(_Model):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.model = settings.chat_model or CHAT_MODEL

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        """Streams the answer; closing the generator closes the connection, which stops the model."""
        model = request.model or self.model
        chosen = {"temperature": request.temperature, "max_completion_tokens": request.max_tokens}
        body: dict[str, Any] = {
            "model": model,
            "messages": chat_messages(request),
            "stream_options": {"include_usage": True},
        }
        body |= {name: value for name, value in chosen.items() if value is not None}
        async with AsyncExitStack() as opened:
            with _errors():
                response = await self._dialect(model).ask(await self._opening(opened), body)
                if quota := Quota.read(response.headers):
                    yield quota
                async with aclosing(_Reading(response).events(request)) as found:
                    async for event in found:
                        yield event

    async def _opening(self, opened: AsyncExitStack) -> Any:
        completions = (await self._connection.client()).chat.completions
        # No limit here: the reader of the answer times its pieces. A model may have to be loaded before the first.
        timeout = Timeout(None, connect=self._settings.provider_connect_seconds)

        async def begin(body: dict[str, Any]) -> httpx2.Response:
            create: Any = completions.with_streaming_response.create
            with _refusals():
                answer = await opened.enter_async_context(create(**body, stream=True, timeout=timeout))
            response: httpx2.Response = answer.http_response
            return response

        return begin


class _Reading:
    """Reads an answer: its text, whether and why it ended, and its usage."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._reason: str | None = None
        self._is_done = self._spoke = False
        self._counted: Usage | None = None

    async def events(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        pieces = self._response.aiter_bytes()
        async with aclosing(events(pieces, request.alive)) as found:
            async for data in found:
                if data.startswith("[DONE]"):
                    self._is_done = True
                    break
                text, thought = self._take(json.loads(data))
                if thought:
                    request.thought(thought)
                if text:
                    self._spoke = True
                    yield Token(text)
        if self._is_done:
            await _drained(pieces)
        if self._counted:
            yield self._counted
        if not (self._reason or (self._spoke and (self._is_done or self._framed))):
            raise Unavailable("provider_bad_response", "The provider's answer interrupted.")
        if is_cut(self._reason):
            yield Truncated()

    @property
    def _framed(self) -> bool:
        """Whether HTTP shows if the connection was closed before the end of the answer."""
        headers = self._response.headers
        return (
            self._response.http_version != "HTTP/1.1"
            or "chunked" in headers.get("transfer-encoding", "").lower()
            or "content-length" in headers
        )

    def _take(self, piece: Any) -> tuple[str, str]:
        """The text of a piece and its thoughts; values of other types are ignored. Raises Unavailable."""
        if not isinstance(piece, Mapping):
            raise Unavailable("provider_bad_response")
        if piece.get("error"):
            error = ProviderRefusal(
                self._response.status_code, ProviderMessage.read(json.dumps(piece).encode()), self._response
            )
            raise Unavailable("provider_bad_response", f"The provider's answer cannot be used: {error.words}")
        choices = piece.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) else {}
        # Some servers send the usage so far with each piece, some send it elsewhere (Moonshot, Groq).
        for said in (piece, choice, piece.get("x_groq")):
            self._counted = (_usage(said.get("usage")) if isinstance(said, Mapping) else None) or self._counted
        ended, delta = choice.get("finish_reason"), choice.get("delta") or choice.get("message")
        self._reason = ended if isinstance(ended, str) and ended.strip() else self._reason
        return _said(delta) if isinstance(delta, Mapping) else ("", "")


async def _drained(pieces: AsyncIterator[bytes]) -> None:
    """Reads what has already arrived, so that the connection can be reused."""
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in pieces:
                pass


def _said(delta: Mapping[str, Any]) -> tuple[str, str]:
    """The text of a piece and its thoughts. In a list of typed parts, those that are not text are thoughts."""
    content = delta.get("content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    typed = [(part.get("type") in _TEXT_TYPES, _words(part)) for part in parts if isinstance(part, Mapping)]
    thought = next(filter(None, (_words(delta.get(name)) for name in _THOUGHTS)), "")
    text = "".join(words for is_text, words in typed if is_text)
    return text, thought + "".join(words for is_text, words in typed if not is_text)


def _words(said: Any, depth: int = 0) -> str:
    """The text of a piece, of a part of one, or of several parts within each other."""
    if isinstance(said, Mapping):
        said = next(filter(None, (said.get(name) for name in _WORDS)), "")
    if isinstance(said, list) and depth < _DEEPEST:
        return "".join(_words(part, depth + 1) for part in said)
    return clean(said) if isinstance(said, str) else ""


def _usage(said: Any) -> Usage | None:
    """A count that is missing or zero is unknown."""
    if not isinstance(said, Mapping):
        return None
    asked, answered, total = (
        int(count) if isinstance(count := said.get(name), int | float) and 0 < count < math.inf else None
        for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    if answered is None and asked is not None and total is not None and total > asked:
        answered = total - asked
    return None if asked is None and answered is None else Usage(asked, answered)


@contextmanager
def _refusals() -> Iterator[None]:
    """The SDK's refusals as ours."""
    try:
        yield
    except Exception as error:
        if (sdk := _sdk()) and isinstance(error, sdk.APIStatusError):
            raise ProviderRefusal(
                error.status_code, ProviderMessage.read(error.response.content), error.response
            ) from error
        raise


def _sdk() -> Any:
    return sys.modules.get("openai")  # unless it is imported, no error is one of its own


@contextmanager
def _errors() -> Iterator[None]:
    """Translates the SDK's errors and httpx's into ours: permanent or temporary, and when to retry."""
    try:
        with _refusals():
            yield
    except FootnoteError:
        raise
    except ProviderRefusal as error:
        raise _refusal(error) from error
    except Exception as error:
        if (failure := _failure(error)) is None:
            raise
        raise failure from error


def _failure(error: Exception) -> FootnoteError | None:
    """What an error says of the provider that was asked; None: it says nothing of it."""
    sdk = _sdk()
    unreached, late = [httpx2.TransportError], [httpx2.TimeoutException]
    wrong = [httpx2.HTTPError, ValueError, KeyError, AttributeError, RecursionError]
    if sdk:
        for kinds, of_sdk in ((unreached, "APIConnectionError"), (late, "APITimeoutError"), (wrong, "OpenAIError")):
            kinds.append(getattr(sdk, of_sdk))
    if isinstance(error, tuple(unreached)):
        unconnected = isinstance(error, ConnectTimeout) or isinstance(error.__cause__, ConnectTimeout)
        if isinstance(error, tuple(late)) and not unconnected:
            return TimedOut("provider_timeout", retry_after=5)
        return Unavailable("provider_unavailable", "The provider could not be reached.")
    return Unavailable("provider_bad_response") if isinstance(error, tuple(wrong)) else None


def _refusal(error: ProviderRefusal) -> FootnoteError:
    reason = str(error)
    if error.status == 404 and "resource not found" in error.said.words.lower():  # Azure's words
        reason = f"{reason} {AZURE_HINT}"
    elif error.status == 404 and error.path in CALLS:
        reason = f"{reason} OPENAI_BASE_URL has no path: for most servers it ends in /v1."
    return refusal(error.status, reason, error.headers, unpaid="insufficient_quota" in error.said.codes)


def open_embedder(settings: Settings, shared_with: OpenAIEmbedder | None = None) -> OpenAIEmbedder:
    return OpenAIEmbedder(settings, shared_with)


def open_generator(settings: Settings) -> OpenAIGenerator:
    return OpenAIGenerator(settings)
