"""A server that is asked for vectors in the clear: through httpcore's pool, and through httpx where that knows more."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from footnote.providers.openai import OpenAIEmbedder
from footnote.settings import Settings
from tests.fakes import FakeServer

pytestmark = pytest.mark.anyio

ANSWER = json.dumps({"data": [{"index": 0, "embedding": [1.0, 0.0]}], "usage": {"total_tokens": 3}})


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer().listening() as fake:
        fake.text(ANSWER, kind="application/json")
        yield fake


async def embed(base_url: str, between: asyncio.Event | None = None) -> None:
    embedder = OpenAIEmbedder(Settings(_env_file=None, openai_api_key="sk-test", openai_base_url=base_url))
    try:
        for text in ("a", "b"):
            answer = await embedder.embed([text])
            assert (answer.vectors.tolist(), answer.tokens) == ([[1.0, 0.0]], 3)
            if between is not None:
                await between.wait()
                for _ in range(3):  # turns of the loop, in which the server's end is closed
                    await asyncio.sleep(0)
    finally:
        await embedder.close()


async def test_what_is_sent(server: FakeServer) -> None:
    await embed(f"http://127.0.0.1:{server.port}/v1?tag=a%20b")
    head = server.heads[0].lower()
    assert head.startswith("post /v1/embeddings?tag=a+b http/1.1\r\n")
    told = ("authorization: bearer sk-test", f"host: 127.0.0.1:{server.port}", "content-type: application/json")
    assert all(f"{line}\r\n" in head for line in (*told, "accept-encoding: identity"))
    assert [body["input"] for body in server.asked] == [["a"], ["b"]]


async def test_a_connection_that_the_server_has_closed_is_not_used_again(server: FakeServer) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(ANSWER)}\r\n\r\n"
    server.raw(f"{head}{ANSWER}".encode())
    await embed(f"http://127.0.0.1:{server.port}/v1", server.closed)
    assert len(server.heads) == 2


async def test_a_redirect_is_followed(server: FakeServer) -> None:
    async with FakeServer().listening() as first:
        first.text("", 307, location=f"http://127.0.0.1:{server.port}/v2/embeddings")
        await embed(f"http://127.0.0.1:{first.port}/v1")
    assert [head.split()[1] for head in server.heads] == ["/v2/embeddings"] * 2
    assert [body["input"] for body in server.asked] == [["a"], ["b"]]


@pytest.mark.parametrize("without", ["", "127.0.0.1"])
async def test_a_proxy_of_the_environment_is_asked(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, without: str
) -> None:
    async with FakeServer().listening() as proxy:
        proxy.text(ANSWER, kind="application/json")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", without)
        await embed(f"http://127.0.0.1:{server.port}/v1")
        asked = [head.split()[1] for head in proxy.heads]
    expected = [] if without else [f"http://127.0.0.1:{server.port}/v1/embeddings"] * 2
    assert (asked, len(server.heads)) == (expected, 2 if without else 0)


async def test_a_name_with_an_address_that_does_not_answer(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolved(*_: Any, **__: Any) -> list[Any]:
        kinds = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kinds, (address, server.port)) for address in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
    await embed(f"http://model.test:{server.port}/v1")
    assert len(server.heads) == 2


async def test_a_name_and_a_password_in_the_address(server: FakeServer) -> None:
    await embed(f"http://user:secret@127.0.0.1:{server.port}/v1")
    assert "authorization: basic" in server.heads[0].lower()
