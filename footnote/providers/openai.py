"""OpenAI, and every server that speaks its API (Ollama, vLLM, ...)."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from footnote.errors import FootnoteError, ProviderRejected, RateLimited, TimedOut, Unavailable
from footnote.providers import Embeddings, GenerationRequest, GeneratorEvent, Token, Usage, normalised
from footnote.providers.messages import chat_messages
from footnote.settings import Settings

if TYPE_CHECKING:
    import openai

EMBEDDING_MODEL = "text-embedding-3-small"
CHAT_MODEL = "gpt-4o-mini"


class _Client:
    """The SDK's client, imported and opened at first use."""

    provider = "openai"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def client(self) -> "openai.AsyncOpenAI":
        import openai

        return openai.AsyncOpenAI(
            # A local server needs no key, but the SDK insists on one.
            api_key=self._settings.openai_api_key or "none",
            base_url=self._settings.openai_base_url,
            timeout=self._settings.provider_timeout_seconds,
            max_retries=0,  # the job waits and tries again, so that no worker sleeps with a document in hand
        )

    async def close(self) -> None:
        if "client" in self.__dict__:
            await self.client.close()


class OpenAIEmbedder(_Client):
    max_texts = 256
    max_tokens = 100_000

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.model = settings.embedding_model or EMBEDDING_MODEL

    def count_tokens(self, text: str) -> int:
        """An estimate: four bytes of UTF-8 a token."""
        return len(text.encode()) // 4 + 1

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        options: dict[str, Any] = {}
        if self._settings.embedding_dimensions:
            options["dimensions"] = self._settings.embedding_dimensions
        with _errors():
            answer = await self.client.embeddings.create(model=self.model, input=list(texts), **options)
        try:
            rows = sorted(answer.data, key=lambda row: row.index)
            in_order = [row.index for row in rows] == list(range(len(texts)))
            vectors = [row.embedding for row in rows]
        except (AttributeError, TypeError) as error:
            raise Unavailable("provider_bad_response") from error
        if not in_order:
            raise Unavailable("provider_bad_response", "The provider did not send one vector for each text.")
        tokens = answer.usage.total_tokens if answer.usage else sum(map(self.count_tokens, texts))
        return Embeddings(normalised(vectors, len(texts)), tokens)


class OpenAIGenerator(_Client):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.model = settings.chat_model or CHAT_MODEL

    async def generate(self, request: GenerationRequest) -> AsyncIterator[GeneratorEvent]:
        """Streams the answer; leaving the loop early closes the connection, which stops the model."""
        loop = asyncio.get_running_loop()
        messages: Any = chat_messages(request)
        given = {"temperature": request.temperature, "max_completion_tokens": request.max_tokens}
        options: Any = {name: value for name, value in given.items() if value is not None}
        with _errors():
            async with asyncio.timeout(self._settings.first_token_seconds) as patience:
                stream = await self.client.chat.completions.create(
                    model=request.model or self.model,
                    messages=messages,
                    stream=True,
                    stream_options={"include_usage": True},
                    **options,
                )
                async with stream:
                    async for piece in stream:
                        patience.reschedule(loop.time() + self._settings.provider_timeout_seconds)
                        if piece.choices and piece.choices[0].delta.content:
                            yield Token(piece.choices[0].delta.content)
                        if piece.usage:
                            yield Usage(piece.usage.prompt_tokens, piece.usage.completion_tokens)


@contextmanager
def _errors() -> Iterator[None]:
    """Translates the SDK's errors into ours: what is permanent, and when to come back."""
    import openai

    try:
        yield
    except openai.RateLimitError as error:
        if error.code == "insufficient_quota":
            raise ProviderRejected("provider_rejected", _reason(error)) from error
        raise RateLimited("provider_unavailable", _reason(error), retry_after=_retry_after(error)) from error
    except (openai.InternalServerError, openai.ConflictError) as error:
        raise Unavailable("provider_unavailable", _reason(error), retry_after=_retry_after(error)) from error
    except openai.APIStatusError as error:
        raise ProviderRejected("provider_rejected", _reason(error)) from error
    except (openai.APITimeoutError, TimeoutError) as error:
        raise TimedOut("provider_unavailable", "The provider took too long.", retry_after=5) from error
    except openai.APIConnectionError as error:
        raise Unavailable("provider_unavailable", "The provider could not be reached.") from error
    except openai.OpenAIError as error:
        raise Unavailable("provider_bad_response") from error
    except (ValueError, KeyError, AttributeError) as error:
        if isinstance(error, FootnoteError):
            raise
        raise Unavailable("provider_bad_response") from error


def _reason(error: "openai.APIStatusError") -> str:
    return f"The provider answered {error.status_code}: {str(error.message)[:300]}"


def _retry_after(error: "openai.APIStatusError") -> float | None:
    headers = error.response.headers
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return float(milliseconds) / 1000
        return float(headers["retry-after"]) if "retry-after" in headers else None
    except ValueError:
        return None


def open_embedder(settings: Settings) -> OpenAIEmbedder:
    return OpenAIEmbedder(settings)


def open_generator(settings: Settings) -> OpenAIGenerator:
    return OpenAIGenerator(settings)
