"""Repeated requests over plain HTTP, against a server on loopback that answers as each test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx2
import pytest

from footnote.providers.plain_http import Repeater

pytestmark = pytest.mark.anyio
OK = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-a: 1\r\n\r\n"
# What is sent, in pieces, and what is read of it.
ANSWERS = {
    "at once": ([b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"], 200, b"hi"),
    "in pieces": ([CHUNKED, b"3\r\nhey\r\n", b"4\r\n you\r\n", b"0\r\n\r\n"], 200, b"hey you"),
    "behind an interim one": ([b"HTTP/1.1 100 Continue\r\n\r\n", OK % (1, b"x")], 200, b"x"),
    "until the end": ([b"HTTP/1.1 200 OK\r\n\r\nall of", b" it", b""], 200, b"all of it"),
    "an error": ([b"HTTP/1.1 429 Slow\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n"], 429, b""),
}


class Server:
    """Answers each request with the pieces of `answer(body)`; an empty one closes the connection."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.connections = 0
        self.answer: Callable[[bytes], list[bytes]] = lambda body: [OK % (len(body), body)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                for piece in self.answer(await reader.readexactly(length)):
                    if not piece:
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(server: Server, read: float = 5.0) -> AsyncIterator[Repeater]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1/embeddings?a=b"
    sent = httpx2.Request("POST", url, json={"first": 1}, headers={"authorization": "Bearer k"})
    repeater = Repeater(sent, httpx2.Timeout(read, connect=2.0))
    yield repeater
    repeater.close()
    listening.close()


@pytest.fixture
def server() -> Server:
    return Server()


async def test_it_sends_what_was_sent_with_another_body_over_one_connection(server: Server) -> None:
    async with serving(server) as repeater:
        assert [(await repeater.post(body)).content for body in (b"{}", b'{"b": 2}')] == [b"{}", b'{"b": 2}']
    assert server.connections == 1
    line, *headers = server.heads[1].decode().rstrip().split("\r\n")
    assert line == "POST /v1/embeddings?a=b HTTP/1.1"
    assert {each.lower() for each in headers} >= {"authorization: bearer k", "content-type: application/json"}
    assert sum(each.lower().startswith("content-length") for each in headers) == 1


async def test_requests_at_once_do_not_share_a_connection(server: Server) -> None:
    async with serving(server) as repeater:
        found = await asyncio.gather(*(repeater.post(b"%d" % number) for number in range(5)))
    assert [each.content for each in found] == [b"%d" % number for number in range(5)]


@pytest.mark.parametrize("name", ANSWERS)
async def test_answers_are_read_however_they_come(server: Server, name: str) -> None:
    pieces, status, content = ANSWERS[name]
    server.answer = lambda _: pieces
    async with serving(server) as repeater:
        for _ in range(2):
            answer = await repeater.post(b"{}")
            assert (answer.status_code, answer.content) == (status, content)
    assert server.connections == (2 if name == "until the end" else 1)


async def test_a_connection_that_the_server_has_closed_is_replaced(server: Server) -> None:
    answers = iter([[OK % (1, b"1")], [b""], [OK % (1, b"3")]])
    server.answer = lambda _: next(answers)
    async with serving(server) as repeater:
        assert [(await repeater.post(b"{}")).content for _ in range(2)] == [b"1", b"3"]


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        ([b""], httpx2.RemoteProtocolError),
        ([CHUNKED, b"3\r\nhe", b""], httpx2.RemoteProtocolError),
        ([b"no HTTP\r\n\r\n"], httpx2.RemoteProtocolError),
        ([CHUNKED], httpx2.ReadTimeout),
    ],
)
async def test_a_broken_answer_is_an_error_and_its_connection_is_not_used_again(
    server: Server, pieces: list[bytes], kind: type[Exception]
) -> None:
    server.answer = lambda body: pieces if body == b"bad" else [OK % (2, b"ok")]
    async with serving(server, read=0.2) as repeater:
        with pytest.raises(kind):
            await repeater.post(b"bad")
        assert (await repeater.post(b"{}")).content == b"ok"
    assert server.connections == 2


async def test_a_server_that_is_away_is_an_error() -> None:
    sent = httpx2.Request("POST", "http://127.0.0.1:1/v1/embeddings", json={})
    with pytest.raises(httpx2.ConnectError):
        await Repeater(sent, httpx2.Timeout(1.0)).post(b"{}")


def test_what_needs_more_than_plain_http_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert Repeater.takes(httpx2.Request("POST", "http://127.0.0.1:9/v1"))
    assert not Repeater.takes(httpx2.Request("POST", "https://127.0.0.1:9/v1"))
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    assert not Repeater.takes(httpx2.Request("POST", "http://127.0.0.1:9/v1"))
