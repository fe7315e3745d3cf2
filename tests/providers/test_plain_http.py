"""Requests in the clear: connections that are used again, and whom else is asked."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx2
import pytest

from footnote.providers import plain_http
from footnote.providers.openai_connection import OpenAIConnection
from footnote.providers.plain_http import PlainClient
from footnote.settings import Settings

pytestmark = pytest.mark.anyio

PLAIN = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
IN_PIECES = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
TO_THE_END = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}"
CUT = b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{}"
MOVED = b"HTTP/1.1 307 X\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n"
LEAVES = b""


@asynccontextmanager
async def server(*connections: Sequence[bytes]) -> AsyncIterator[str]:
    """Its address. Each connection is answered with its own answers, one after the other, and then closed."""
    left = list(connections)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in left.pop(0):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length[15:]))
            writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        assert not left, "each connection was opened"


@pytest.fixture
async def client() -> AsyncIterator[PlainClient]:
    made = PlainClient({"authorization": "Bearer x"}, httpx2.Timeout(5.0))
    yield made
    await made.close()


async def test_a_connection_is_used_again_until_it_is_closed(client: PlainClient) -> None:
    async with server([PLAIN, IN_PIECES, LEAVES], [TO_THE_END], [PLAIN]) as address:
        for _ in range(4):
            assert (await client.post(address, {"a": "é"})).json() == {}


async def test_a_connection_that_rested_too_long_is_not_used_again(
    client: PlainClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_http, "IDLE_SECONDS", 0.0)
    async with server([PLAIN], [PLAIN]) as address:
        for _ in range(2):
            await client.post(address, {})


async def test_what_is_asked_on_a_new_connection_is_asked_once(client: PlainClient) -> None:
    async with server([LEAVES], [CUT]) as address:
        for _ in range(2):
            with pytest.raises(httpx2.RemoteProtocolError):
                await client.post(address, {})


async def test_a_silent_server_is_waited_for_only_so_long() -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    client = PlainClient({}, httpx2.Timeout(5.0, read=0.05))
    async with await asyncio.start_server(listen, "127.0.0.1", 0) as listening:
        with pytest.raises(httpx2.ReadTimeout):
            await client.post(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", {})
    with pytest.raises(httpx2.ConnectError):
        await client.post("http://127.0.0.1:9", {})


async def test_a_redirect_is_followed() -> None:
    async with server([MOVED], [MOVED, PLAIN]) as address:
        opened = OpenAIConnection(Settings(_env_file=None), address)
        assert (await opened.post("/embeddings", {})).json() == {}
        await opened.close()


def test_only_what_is_in_the_clear_and_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plain_http.serves("http://model:8080/v1")
    assert not plain_http.serves("https://model/v1")
    assert not plain_http.serves("http://name:word@model/v1")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy")
    assert not plain_http.serves("http://model:8080/v1")
