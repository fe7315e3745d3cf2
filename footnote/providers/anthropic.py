"""Anthropic's Messages API, and servers that speak it.

Shapes of requests, events, headers and errors as in Anthropic's API reference (version 2023-06-01).
"""

import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, contextmanager
from datetime import UTC, datetime
from itertools import dropwhile
from typing import Any

import httpx2

from footnote.errors import TimedOut, Unavailable
from footnote.providers import GenerationRequest, GeneratorEvent, Token, Truncated, Usage
from footnote.providers.dialects import Dialects
from footnote.providers.messages import chat_messages
from footnote.providers.refusals import ProviderMessage, ProviderRefusal, refusal
from footnote.providers.streams import events, is_cut
from footnote.providers.throttle import Quota
from footnote.settings import Settings
from footnote.text import clean

CHAT_MODEL = "claude-haiku-4-5"
MAX_TOKENS = 4096  # of an answer, if the request does not say: the API requires a number
HOTTEST = 1.0  # the highest temperature that it accepts
LARGEST_REFUSAL = 64 * 1024  # bytes that are read of one
_CACHED = ("cache_creation_input_tokens", "cache_read_input_tokens")

# Errors within a stream come after a 200; each type's status otherwise.
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class AnthropicGenerator:
    provider = "anthropic"

    def __init__(self, settings: Settings) -> None:
        self.model = settings.chat_model or CHAT_MODEL
        self.address = (settings.anthropic_base_url or "https://api.anthropic.com").rstrip("/")
        self._client = httpx2.AsyncClient(
            headers={"x-api-key": settings.anthropic_api_key or "none", "anthropic-version": "2023-06-01"},
            # No limit here: the reader of the answer times its pieces.
            timeout=httpx2.Timeout(None, connect=settings.provider_connect_seconds),
        )
        self._dialects = Dialects(self.address)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        """Streams the answer; closing the generator closes the connection, which stops the model."""
        async with AsyncExitStack() as opened:

            async def begin(body: dict[str, Any]) -> httpx2.Response:
                sent = self._client.stream("POST", f"{self.address}/v1/messages", json=body)
                response = await opened.enter_async_context(sent)
                if response.status_code != 200:
                    raise ProviderRefusal(response.status_code, ProviderMessage.read(await _start(response)), response)
                return response

            with _errors():
                body = self._body(request)
                # What the API requires cannot be left out.
                optional = {name: body.pop(name) for name in ("temperature", "system") if name in body}
                fixed = {name: body.pop(name) for name in ("model", "max_tokens", "stream")}
                response = await self._dialects[fixed["model"]].ask(lambda each: begin(fixed | each), body | optional)
                if quota := _quota(response.headers):
                    yield quota
                async with aclosing(_read(response, request)) as found:
                    async for event in found:
                        yield event

    async def close(self) -> None:
        await self._client.aclose()

    def _body(self, request: GenerationRequest) -> dict[str, Any]:
        system, *turns = chat_messages(request)
        # The first turn must be the user's, and none may be empty.
        said = [turn for turn in turns if turn["content"].strip()]
        body: dict[str, Any] = {
            "model": request.model or self.model,
            "max_tokens": request.max_tokens or MAX_TOKENS,
            "messages": list(dropwhile(lambda turn: turn["role"] != "user", said)),
            "stream": True,
        }
        if system["content"]:
            body["system"] = system["content"]
        if request.temperature is not None:
            body["temperature"] = min(request.temperature, HOTTEST)
        return body


def open_generator(settings: Settings) -> AnthropicGenerator:
    return AnthropicGenerator(settings)


async def _read(response: httpx2.Response, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
    counted: dict[str, Any] = {}
    ended = False
    async with aclosing(events(response.aiter_bytes(), request.alive)) as found:
        async for data in found:
            said = json.loads(data)
            match said["type"]:
                case "message_start":
                    counted |= said["message"].get("usage") or {}
                case "content_block_delta" if text := _text(said["delta"], request.thought):
                    yield Token(text)
                case "message_delta":
                    counted |= {name: count for name, count in (said.get("usage") or {}).items() if count is not None}
                    reason = (said.get("delta") or {}).get("stop_reason")
                    ended = ended or bool(reason)
                    if is_cut(reason):
                        yield Truncated()
                case "message_stop":
                    ended = True
                    break
                case "error":
                    status = _STATUS.get(said["error"]["type"], 500)
                    raise ProviderRefusal(status, ProviderMessage.read(data.encode()), response)
    if not ended:
        raise Unavailable("provider_bad_response", "The provider's answer was interrupted.")
    if usage := _usage(counted):
        yield usage


def _text(delta: dict[str, Any], thought: Callable[[str], None]) -> str:
    if isinstance(delta.get("thinking"), str):
        thought(delta["thinking"])
    text = delta.get("text") if delta.get("type") == "text_delta" else None
    return clean(text) if isinstance(text, str) else ""


def _usage(counted: Mapping[str, Any]) -> Usage | None:
    """Tokens read from the provider's cache, or written to it, are part of the prompt."""
    asked: list[Any] = [counted.get("input_tokens"), *(counted.get(kind) or 0 for kind in _CACHED)]
    prompt = sum(asked) if all(isinstance(each, int) for each in asked) else None
    answered = counted.get("output_tokens")
    usage = Usage(prompt or None, answered if isinstance(answered, int) and answered > 0 else None)
    return None if usage == Usage(None, None) else usage


def _quota(headers: Mapping[str, str]) -> Quota | None:
    """From `anthropic-ratelimit-*`: of the limits on tokens, the one on all of them, else the one on the prompt's."""
    kinds = {"requests": "requests", "tokens": "tokens"}
    if "anthropic-ratelimit-tokens-limit" not in headers:
        kinds["tokens"] = "input-tokens"
    said = {}
    for name, kind in kinds.items():
        for each, read in (("limit", str), ("remaining", str), ("reset", _seconds_until)):
            said[f"x-ratelimit-{each}-{name}"] = read(headers.get(f"anthropic-ratelimit-{kind}-{each}", ""))
    return Quota.read(said)


def _seconds_until(moment: str) -> str:
    try:
        return f"{max(0.0, (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()):.3f}"
    except (ValueError, TypeError):
        return ""


async def _start(response: httpx2.Response) -> bytes:
    read = bytearray()
    async for piece in response.aiter_bytes():
        read += piece
        if len(read) > LARGEST_REFUSAL:
            break
    return bytes(read)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except ProviderRefusal as error:
        raise refusal(error.status, str(error), error.headers, quota=_quota(error.headers)) from error
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise Unavailable("provider_unavailable", "The provider could not be reached.") from error
    except httpx2.TimeoutException as error:
        raise TimedOut("provider_timeout", retry_after=5) from error
    except httpx2.DecodingError as error:
        raise Unavailable("provider_bad_response") from error
    except (httpx2.HTTPError, OSError) as error:
        raise Unavailable("provider_unavailable", f"The provider failed: {type(error).__name__}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unavailable("provider_bad_response") from error
