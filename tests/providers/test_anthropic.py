"""Anthropic's API where it is not as recorded: on the way, cut off, odd. What is recorded: `test_exchanges.py`."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from footnote.errors import FootnoteError, RateLimited, Unavailable
from footnote.providers import ChatMessage, GenerationRequest, GeneratorEvent, Token, Truncated, Usage
from footnote.providers.anthropic import MAX_TOKENS, AnthropicGenerator
from footnote.settings import Settings
from tests.fakes import FakeServer

pytestmark = pytest.mark.anyio
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
REQUEST = GenerationRequest("Who?", ())


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer().listening() as fake:
        yield fake


@pytest.fixture
async def generator(server: FakeServer) -> AsyncIterator[AnthropicGenerator]:
    generator = AnthropicGenerator(Settings(_env_file=None, anthropic_base_url=f"http://127.0.0.1:{server.port}/"))
    yield generator
    await generator.close()


async def collect(generator: AnthropicGenerator, request: GenerationRequest = REQUEST) -> list[GeneratorEvent]:
    return [event async for event in generator.generate(request)]


def said(**event: Any) -> bytes:
    return f"data: {json.dumps(event)}\n\n".encode()


def piece(text: Any) -> bytes:
    return said(type="content_block_delta", delta={"type": "text_delta", "text": text})


STOP = said(type="message_stop")


async def test_pieces_come_as_they_are_sent_whatever_stands_between(
    server: FakeServer, generator: AnthropicGenerator
) -> None:
    split = piece("ö")
    server.raw(HEAD, b": hello\n\n", split[:-6], 0.05, split[-6:], said(type="new_thing"), piece(None), STOP)
    assert await collect(generator) == [Token("ö")]


async def test_an_answer_that_is_cut(server: FakeServer, generator: AnthropicGenerator) -> None:
    for reason in ("max_tokens", "refusal"):
        server.raw(HEAD, piece("a"), said(type="message_delta", delta={"stop_reason": reason}), STOP)
        assert await collect(generator) == [Token("a"), Truncated()]


async def test_what_the_api_does_not_take_is_not_sent(server: FakeServer, generator: AnthropicGenerator) -> None:
    counted = said(
        type="message_delta", delta={"stop_reason": "end_turn"}, usage={"input_tokens": 3, "output_tokens": 4}
    )
    server.raw(HEAD, counted, STOP)
    history = [ChatMessage("assistant", "Hello."), ChatMessage("user", "Hi."), ChatMessage("assistant", " ")]
    assert await collect(generator, GenerationRequest("Who?", (), history, temperature=1.7)) == [Usage(3, 4)]
    [asked] = server.asked
    assert (asked["temperature"], asked["max_tokens"]) == (1.0, MAX_TOKENS)
    assert [turn["role"] for turn in asked["messages"]] == ["user", "user"]


@pytest.mark.parametrize(
    ("pieces", "kind", "code"),
    [
        ((HEAD, b"data: {not json\n\n"), Unavailable, "provider_bad_response"),
        ((HEAD, b'data: ["a"]\n\n'), Unavailable, "provider_bad_response"),
        ((HEAD, b"data: {}\n\n"), Unavailable, "provider_bad_response"),
        ((HEAD, b"data: " + b"[" * 100_000 + b"\n\n"), Unavailable, "provider_bad_response"),
        ((HEAD, said(type="error", error={"type": "rate_limit_error"})), RateLimited, "provider_unavailable"),
        ((HEAD, said(type="error", error=None)), Unavailable, "provider_bad_response"),
        ((HEAD.replace(b"event-stream", b"html"), b"<html>"), Unavailable, "provider_bad_response"),
        ((b"HTTP/1.1 502 X\r\n\r\n", b"<html>" * 100_000), Unavailable, "provider_unavailable"),
        ((b"HTTP/1.1 200",), Unavailable, "provider_unavailable"),
        ((b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99\r\n\r\n", piece("a")), Unavailable,
         "provider_unavailable"),
    ],
)  # fmt: skip
async def test_answers_that_cannot_be_used(
    server: FakeServer, generator: AnthropicGenerator, pieces: tuple[bytes, ...], kind: type[FootnoteError], code: str
) -> None:
    server.raw(*pieces)
    with pytest.raises(kind) as raised:
        await collect(generator)
    assert raised.value.code == code
    assert len(raised.value.message) < 400


async def test_a_server_that_is_not_there() -> None:
    generator = AnthropicGenerator(Settings(_env_file=None, anthropic_base_url="http://127.0.0.1:1"))
    with pytest.raises(Unavailable, match="could not be reached"):
        await collect(generator)
    await generator.close()


async def test_a_reader_who_leaves_stops_the_model(server: FakeServer, generator: AnthropicGenerator) -> None:
    server.raw(HEAD, piece("a"), 30.0)
    events = generator.generate(REQUEST)
    assert await anext(events) == Token("a")
    assert not server.closed.is_set()
    await events.aclose()
    await asyncio.wait_for(server.closed.wait(), 60)
