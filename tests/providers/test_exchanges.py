"""Recorded exchanges with OpenAI and Anthropic, replayed through the real clients: see exchanges/README.md."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from footnote.errors import AccountRefused, BatchTooLarge, FootnoteError, ProviderRejected, RateLimited, Unavailable
from footnote.providers import ChatMessage, GenerationRequest, Passage, Token, Usage, open_embedder, open_generators
from footnote.providers.throttle import Quota
from footnote.settings import Settings
from tests.fakes import FakeServer

pytestmark = pytest.mark.anyio

EXCHANGES = Path(__file__).parent / "exchanges"
REQUEST = GenerationRequest(
    "What does it burn?",
    [Passage(1, "lamps.txt", "The lamp burns colza oil.")],
    [ChatMessage("user", "Which lamp?"), ChatMessage("assistant", "The one of Fairhaven.")],
    temperature=0.5,
    max_tokens=300,
)
ANSWER = [Token("The lamp burns "), Token('colza oil [1: "colza oil"].'), Usage(572, 21)]


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer().listening() as fake:
        yield fake


def recorded(name: str) -> bytes:
    head, _, body = (EXCHANGES / name).read_bytes().partition(b"\n\n")
    return head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + body


def without_texts(value: Any) -> Any:
    """Prompts change, and are tested elsewhere."""
    if isinstance(value, list):
        return ["…" if isinstance(each, str) else without_texts(each) for each in value]
    if isinstance(value, dict):
        texts = ("content", "system")
        return {name: "…" if name in texts else without_texts(each) for name, each in value.items()}
    return value


def lines(head: str) -> set[tuple[str, str]]:
    return {(name.lower(), value) for name, _, value in (line.partition(":") for line in head.split("\r\n"))}


async def exchange(server: FakeServer, response: str, call: Callable[[Settings], Awaitable[Any]]) -> Any:
    """What the call makes of the recorded response, its request having been the recorded one."""
    server.raw(recorded(f"{response}.response"))
    address = f"http://127.0.0.1:{server.port}"
    provider = response.partition("-")[0]
    settings = Settings(
        _env_file=None,
        embedder=provider,
        embedding_dimensions=2,
        generator=provider,
        anthropic_api_key="sk-test",
        anthropic_base_url=address,
        openai_api_key="sk-test",
        openai_base_url=f"{address}/v1",
    )
    try:
        return await call(settings)
    finally:
        request = response if (EXCHANGES / f"{response}.request").exists() else provider
        head, _, body = recorded(f"{request}.request").decode().partition("\r\n\r\n")
        assert lines(head) <= lines(server.heads[0])
        assert [without_texts(each) for each in server.asked] == [json.loads(body)]


async def generate(settings: Settings) -> list[Any]:
    [generator] = open_generators(settings)
    try:
        async with aclosing(generator.generate(REQUEST)) as events:
            return [event async for event in events]
    finally:
        await generator.close()


@pytest.mark.parametrize(
    ("name", "quota"),
    [
        ("anthropic-answer", Quota({"requests": 50, "tokens": 60000}, {"requests": 49, "tokens": 59000}, None)),
        ("openai-answer", Quota({"requests": 500, "tokens": 200000}, {"requests": 499, "tokens": 199500}, None)),
    ],
)
async def test_an_answer(server: FakeServer, name: str, quota: Quota) -> None:
    assert await exchange(server, name, generate) == [quota, *ANSWER]


@pytest.mark.parametrize(
    ("name", "kind", "message", "retry_after"),
    [
        ("anthropic-overloaded-within", Unavailable, "529: Overloaded", None),
        ("anthropic-broken-off", Unavailable, "interrupted", None),
        ("anthropic-invalid", ProviderRejected, "400: max_tokens: 300 > 200", None),
        ("anthropic-bad-key", AccountRefused, "401: invalid x-api-key", None),
        ("anthropic-forbidden", AccountRefused, "403: Your API key", None),
        ("anthropic-unknown-model", ProviderRejected, "404: model: claude-haiku-4-5", None),
        ("anthropic-too-large", BatchTooLarge, "413: Request exceeds", None),
        ("anthropic-limited", RateLimited, "429: This request would exceed", 17),
        ("anthropic-failed", Unavailable, "500: Internal server error", None),
        ("anthropic-overloaded", Unavailable, "529: Overloaded", 3),
        ("openai-failed-within", Unavailable, "cannot be used", None),
        ("openai-limited", RateLimited, "429: .*Rate limit reached", 1.25),
        ("openai-unpaid", AccountRefused, "429: .*exceeded your current quota", None),
        ("openai-bad-key", AccountRefused, "401: .*Incorrect API key", None),
    ],
)
async def test_a_refusal(
    server: FakeServer, name: str, kind: type[FootnoteError], message: str, retry_after: float | None
) -> None:
    with pytest.raises(kind, match=message) as raised:
        await exchange(server, name, generate)
    assert type(raised.value) is kind
    assert raised.value.retry_after == retry_after
    if isinstance(raised.value, RateLimited):
        assert raised.value.quota is not None


async def test_embeddings(server: FakeServer) -> None:
    async def embed(settings: Settings) -> Any:
        embedder = open_embedder(settings)
        try:
            return await embedder.embed(["a lamp", "an oil"])
        finally:
            await embedder.close()

    answer = await exchange(server, "openai-embeddings", embed)
    assert np.allclose(answer.vectors, np.array([[0.6, 0.8], [1, 0]]))
    assert answer.tokens == 8
    assert answer.quota.limits == {"requests": 500, "tokens": 200000}
