"""Slow clients: the server waits for each for a limited time."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from api.middleware import RequestContext
from api.serving import slow_clients

pytestmark = pytest.mark.anyio
SECONDS = 0.4
LARGE = 8 * 1024 * 1024  # more than the kernel buffers

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Client]]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The body comes back; to `/large` a large answer, to `/deaf` one before the body."""
    body, more = b"", scope["path"] != "/deaf"
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    body = b"x" * LARGE if scope["path"] == "/large" else body
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[uvicorn.Server]:
    monkeypatch.setattr(slow_clients, "HEAD_SECONDS", SECONDS)
    monkeypatch.setattr(slow_clients, "READ_SECONDS", SECONDS)
    config = uvicorn.Config(app, port=0, http=slow_clients.Connection, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve([listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    yield server
    server.should_exit = True
    await serving


@pytest.fixture
async def connect(server: uvicorn.Server) -> AsyncIterator[Connect]:
    writers = []
    (listening,) = server.servers[0].sockets

    async def connected() -> Client:
        ours = socket.socket()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        ours.setblocking(False)
        await asyncio.get_running_loop().sock_connect(ours, listening.getsockname())
        reader, writer = await asyncio.open_connection(sock=ours, limit=4096)
        writers.append(writer)
        return reader, writer

    yield connected
    for writer in writers:
        writer.transport.abort()
    await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


async def is_closed(client: Client) -> bool:
    """Whether the server closes the connection, and has said nothing; by itself within a minute, or never."""
    try:
        async with asyncio.timeout(60):
            return await client[0].read() == b""
    except ConnectionResetError:
        return True


def drip(client: Client, data: bytes) -> asyncio.Task[None]:
    """A byte now and then, each of which comes in time."""

    async def drops() -> None:
        for each in data:
            client[1].write(bytes([each]))
            await asyncio.sleep(SECONDS / 8)

    return asyncio.create_task(drops())


async def gone(server: uvicorn.Server) -> None:
    """Waits until the server has no connection."""
    async with asyncio.timeout(60):
        while server.server_state.connections:
            await asyncio.sleep(0.01)


async def answer_of(client: Client) -> bytes:
    """The answer's body."""
    head = await client[0].readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    return await client[0].readexactly(int(length.split(b":")[1]))


async def test_a_head_that_does_not_come_is_not_waited_for(server: uvicorn.Server, connect: Connect) -> None:
    silent, half, dripping, second = [await connect() for _ in range(4)]
    half[1].write(b"GET / HTTP/1.1\r\nHost: x\r\n")
    drops = drip(dripping, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 1000)
    second[1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await answer_of(second) == b""
    second[1].write(b"GET / HTTP/1.1\r\n")
    assert all(await asyncio.gather(*map(is_closed, (silent, half, dripping, second))))
    drops.cancel()
    await gone(server)


async def test_a_head_in_time_is_answered_however_long_the_body_takes(connect: Connect) -> None:
    client = await connect()
    for _ in range(2):  # the second time as a further request of the same connection
        client[1].write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 16\r\n\r\n")
        await drip(client, b"0123456789abcdef")
        assert await answer_of(client) == b"0123456789abcdef"
    client[1].close()


async def test_a_body_behind_its_answer_is_not_waited_for(server: uvicorn.Server, connect: Connect) -> None:
    dripping, brief = await connect(), await connect()
    dripping[1].write(b"POST /deaf HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n")
    assert await answer_of(dripping) == b""
    drops = drip(dripping, b"x" * 10000)
    brief[1].write(b"POST /deaf HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
    assert await answer_of(brief) == b""
    brief[1].write(b"xPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\ny")
    assert await answer_of(brief) == b"y"
    assert await is_closed(dripping)
    drops.cancel()
    brief[1].close()
    await gone(server)


async def test_a_client_that_does_not_read_is_cut_off_and_a_slow_reader_is_not(
    server: uvicorn.Server, connect: Connect
) -> None:
    slow, silent = await connect(), await connect()
    for _, writer in (slow, silent):
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    await slow[0].readuntil(b"\r\n\r\n")
    read = 0
    while read < LARGE:
        some = await slow[0].read(4096)
        assert some
        read += len(some)
        await asyncio.sleep(SECONDS * 3 * 4096 / LARGE)
    slow[1].close()
    await gone(server)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await answer_of(silent)


async def test_a_malformed_request_gets_a_problem_document(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="footnote")
    client = await connect()
    client[1].write(b"what?\r\n\r\n")
    head, body = (await client[0].read()).split(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    assert b"x-frame-options: DENY" in head
    assert json.loads(body)["status"] == 400
    (line,) = [record.msg for record in caplog.records if record.name == "footnote"]
    assert isinstance(line, dict)
    assert (line["status"], line["route"]) == (400, None)
    assert line["request_id"] == json.loads(body)["request_id"]


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
AMBIGUOUS = {
    "both": [b"Content-Length: 5", CHUNKED],
    "both, the other way round": [CHUNKED, b"Content-Length: 5"],
    "both, zero": [b"Content-Length: 0", CHUNKED],
    "both, in other cases": [b"CONTENT-LENGTH: 5", b"transfer-encoding: CHUNKED"],
    "two lengths that differ": [b"Content-Length: 5", b"Content-Length: 6"],
    "two lengths in one": [b"Content-Length: 5, 6"],
    "a length and twice chunked": [b"Content-Length: 5", CHUNKED, CHUNKED],
    "twice chunked": [CHUNKED, CHUNKED],
    "identity": [b"Transfer-Encoding: identity"],
    "identity with a length": [b"Content-Length: 5", b"Transfer-Encoding: identity"],
    "chunked, identity": [b"Transfer-Encoding: chunked, identity"],
    "identity, chunked": [b"Transfer-Encoding: identity, chunked"],
    "gzip, chunked": [b"Transfer-Encoding: gzip, chunked"],
    "chunked, chunked": [b"Transfer-Encoding: chunked, chunked"],
    "xchunked": [b"Transfer-Encoding: xchunked"],
    "quoted": [b'Transfer-Encoding: "chunked"'],
    "with a parameter": [b"Transfer-Encoding: chunked;q=1"],
    "empty": [b"Transfer-Encoding:"],
    "a vertical tab": [b"Transfer-Encoding: \x0bchunked"],
    "a space before the colon": [b"Transfer-Encoding : chunked", b"Content-Length: 5"],
    "folded": [b"Content-Length: 5", b"Transfer-Encoding:\r\n chunked"],
    "a signed length": [b"Content-Length: +5"],
    "a negative length": [b"Content-Length: -5"],
    "a length in hexadecimal": [b"Content-Length: 0x5"],
    "a length with an underscore": [b"Content-Length: 1_0"],
    "an endless length": [b"Content-Length: " + b"9" * 30],
}


@pytest.fixture(params=["ours", "httptools"])
async def strict(request: pytest.FixtureRequest) -> AsyncIterator[tuple[int, list[str]]]:
    """The port of a server with the product's middleware, on either parser, and the paths that it was asked for."""
    asked: list[str] = []

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["path"])
        await app(scope, receive, send)

    async def stated(scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = SimpleNamespace(state=SimpleNamespace())
        await RequestContext(noting, hsts_seconds=0)(scope, receive, send)

    parser: Any = slow_clients.Connection if request.param == "ours" else "httptools"
    config = uvicorn.Config(stated, http=parser, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve([listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    yield listening.getsockname()[1], asked
    server.should_exit = True
    await serving


async def said(port: int, request: bytes) -> bytes:
    """All that is answered, until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        async with asyncio.timeout(60):
            return await reader.read()
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_a_body_whose_length_is_ambiguous_is_refused_and_nothing_behind_it_is_read(
    strict: tuple[int, list[str]],
) -> None:
    port, asked = strict
    for name, headers in AMBIGUOUS.items():
        for version in (b"HTTP/1.1", b"HTTP/1.0"):
            head = b"\r\n".join([b"POST /first " + version, b"Host: x", b"Connection: keep-alive", *headers, b"", b""])
            answer = await said(port, head + b"0\r\n\r\n" + SMUGGLED + SMUGGLED)
            assert answer.startswith(b"HTTP/1.1 400 "), name
            assert b"connection: close" in answer.lower(), name
            assert answer.count(b"HTTP/1.1 ") == 1, name
    assert asked == []


async def test_bodies_of_one_length_are_read_and_the_next_request_with_them(strict: tuple[int, list[str]]) -> None:
    port, asked = strict
    chunked = b"POST /first HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    last = b"POST /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nagain"
    answer = await said(port, chunked + last)
    assert (answer.count(b"HTTP/1.1 200 "), asked) == (2, ["/first", "/second"])
    assert b"hello" in answer
    assert answer.endswith(b"again")
    old = b"POST /old HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert (await said(port, old)).startswith(b"HTTP/1.1 400 ")


async def test_a_body_that_is_malformed_after_its_beginning_is_refused_without_a_traceback(
    server: uvicorn.Server, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    begun = b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    waiting, answered = await connect(), await connect()
    waiting[1].write(b"POST /" + begun + b"zz\r\n" + SMUGGLED)
    assert (await waiting[0].read()).startswith(b"HTTP/1.1 400 ")
    answered[1].write(b"POST /deaf" + begun)
    assert await answer_of(answered) == b""
    answered[1].write(b"zz\r\n" + SMUGGLED)
    assert await answered[0].read() == b""
    await gone(server)
    assert not [record for record in caplog.records if record.exc_info]
