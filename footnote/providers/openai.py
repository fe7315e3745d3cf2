"""OpenAI, and every server that speaks its API (Ollama, vLLM, ...)."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from httpx2 import ConnectTimeout, Timeout

from footnote.errors import FootnoteError, TimedOut, Unavailable
from footnote.limits import Quota
from footnote.providers import Cut, Embeddings, GenerationRequest, GeneratorEvent, Token, Usage, normalised
from footnote.providers.messages import chat_messages
from footnote.providers.oversize import oversized
from footnote.providers.places import places
from footnote.providers.refusals import refusal, without_secrets
from footnote.settings import Settings
from footnote.text import clean, estimated_tokens

if TYPE_CHECKING:
    import openai

EMBEDDING_MODEL = "text-embedding-3-small"
CHAT_MODEL = "gpt-4o-mini"
_WHOLE = ("stop", "eos_token")  # reasons to end an answer that is whole; any other cuts it


class _Connection:
    """The SDK's client, imported and opened at first use. Models at one address share it: it takes a megabyte."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: openai.AsyncOpenAI | None = None

    async def client(self) -> "openai.AsyncOpenAI":
        if self._client is None:
            # In a thread: on a busy machine it takes seconds, in which heartbeats and other requests must go on.
            opened = await asyncio.to_thread(self._open)
            self._client = self._client or opened
        return self._client

    def _open(self) -> "openai.AsyncOpenAI":
        import openai

        return openai.AsyncOpenAI(
            # A local server needs no key, but the SDK insists on one.
            api_key=self._settings.openai_api_key or "none",
            base_url=self._settings.openai_base_url,
            timeout=Timeout(self._settings.provider_timeout_seconds, connect=self._settings.provider_connect_seconds),
            max_retries=0,  # the job waits and tries again, so that no worker sleeps with a document in hand
        )

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


class _Model:
    provider = "openai"

    def __init__(self, settings: Settings, beside: "_Model | None" = None) -> None:
        self._settings = settings
        self._connection: _Connection = beside._connection if beside else _Connection(settings)

    @property
    def address(self) -> str:
        return self._settings.openai_base_url or "https://api.openai.com/v1"

    async def close(self) -> None:
        await self._connection.close()


class OpenAIEmbedder(_Model):
    max_texts = 256
    max_tokens = 100_000
    longest_text = None

    def __init__(self, settings: Settings, beside: "OpenAIEmbedder | None" = None) -> None:
        super().__init__(settings, beside)
        self.model = settings.embedding_model or EMBEDDING_MODEL

    def count_tokens(self, text: str) -> int:
        return estimated_tokens(text)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        options: dict[str, Any] = {}
        if self._settings.embedding_dimensions:
            options["dimensions"] = self._settings.embedding_dimensions
        create = (await self._connection.client()).embeddings.with_raw_response.create
        try:
            with _errors():
                response = await create(model=self.model, input=list(texts), **options)
                answer = response.parse()
        except FootnoteError as error:
            raise oversized(error) or error from error.__cause__
        try:
            given = [(getattr(row, "index", None), row.embedding) for row in answer.data]
        except (AttributeError, TypeError) as error:
            raise Unavailable("provider_bad_response") from error
        vectors = [given[place][1] for place in places([index for index, _ in given], len(texts))]
        counted = getattr(answer.usage, "total_tokens", None)  # not every server counts
        tokens = counted if isinstance(counted, int) else sum(map(self.count_tokens, texts))
        return Embeddings(normalised(vectors, len(texts)), tokens, Quota.read(response.headers))


class OpenAIGenerator(_Model):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.model = settings.chat_model or CHAT_MODEL

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        """Streams the answer; closing the generator closes the connection, which stops the model."""
        create = (await self._connection.client()).chat.completions.with_raw_response.create
        messages: Any = chat_messages(request)
        given = {"temperature": request.temperature, "max_completion_tokens": request.max_tokens}
        options: Any = {name: value for name, value in given.items() if value is not None}
        reason = counted = None
        with _errors():
            response = await create(
                model=request.model or self.model,
                messages=messages,
                stream=True,
                stream_options={"include_usage": True},
                **options,
            )
            async with response.parse() as stream:
                if quota := Quota.read(response.headers):
                    yield quota
                async for piece in stream:
                    content, ended, usage = _read(piece)
                    reason = ended or reason
                    counted = usage or counted  # some tell with each piece what it is so far
                    if content:
                        yield Token(content)
        if counted:
            yield counted
        if reason is None:
            raise Unavailable("provider_bad_response", "The provider's answer broke off.")
        if reason not in _WHOLE:
            yield Cut()


def _read(piece: Any) -> tuple[str, str | None, Usage | None]:
    """A piece's text, why it ends the answer if it does, and its usage; whatever is not of its type is left out."""
    choice = piece.choices[0] if piece.choices else None
    content = getattr(getattr(choice, "delta", None), "content", None)
    asked, answered = (getattr(piece.usage, name, None) for name in ("prompt_tokens", "completion_tokens"))
    usage = Usage(asked, answered) if isinstance(asked, int) and isinstance(answered, int) else None
    ended = getattr(choice, "finish_reason", None)
    return (clean(content) if isinstance(content, str) else ""), None if ended is None else str(ended), usage


@contextmanager
def _errors() -> Iterator[None]:
    """Translates the SDK's errors into ours: what is permanent, and when to come back."""
    import openai

    try:
        yield
    except openai.APIStatusError as error:
        raise _refusal(error) from error
    except openai.APIConnectionError as error:
        if isinstance(error, openai.APITimeoutError) and not isinstance(error.__cause__, ConnectTimeout):
            raise TimedOut("provider_timeout", retry_after=5) from error
        raise Unavailable("provider_unavailable", "The provider could not be reached.") from error
    except openai.OpenAIError as error:
        raise Unavailable("provider_bad_response") from error
    except (ValueError, KeyError, AttributeError) as error:
        if isinstance(error, FootnoteError):
            raise
        raise Unavailable("provider_bad_response") from error


def _refusal(error: "openai.APIStatusError") -> FootnoteError:
    said = without_secrets(str(error.message), error.request.headers)
    reason = f"The provider answered {error.status_code}: {said[:300]}"
    unpaid = error.code == "insufficient_quota"
    return refusal(error.status_code, reason, error.response.headers, unpaid=unpaid)


def open_embedder(settings: Settings, beside: OpenAIEmbedder | None = None) -> OpenAIEmbedder:
    return OpenAIEmbedder(settings, beside)


def open_generator(settings: Settings) -> OpenAIGenerator:
    return OpenAIGenerator(settings)
