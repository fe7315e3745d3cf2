"""Bodies that are too large, too slow or cut off; against a real server where the server has a say in it."""

import asyncio
import contextlib
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import func, select

from api.app import create_app
from api.body_limits import MULTIPART_OVERHEAD
from footnote.models import Document
from footnote.runtime import Runtime, open_runtime
from footnote.settings import MIB, Settings
from footnote.tenancy import keys, tenants
from tests import ROOT
from tests.api.test_headers import api_with
from tests.api.test_uploads import BOUNDARY, END, MULTIPART, file_part, part, pieces, refused, stored
from tests.conftest import Person, new_database, settings_of
from tests.local_stack.stack_under_test import DEADLINE, free_port

pytestmark = pytest.mark.anyio
LIMIT = 64 * 1024
IDLE = 1.5


@pytest.fixture
async def client(rt: Runtime, alice: Person) -> AsyncIterator[httpx2.AsyncClient]:
    """Alice at an API that takes little."""
    small = replace(rt, settings=rt.settings.model_copy(update={"max_upload_bytes": LIMIT, "max_json_bytes": 2048}))
    app = create_app(runtime=small)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://footnote", headers=alice.client.headers) as client,
    ):
        yield client


async def test_the_largest_file_is_taken_and_one_byte_more_is_not(rt: Runtime, client: httpx2.AsyncClient) -> None:
    over = b"x" * (LIMIT + 1)
    for content in (file_part(over) + END, pieces(file_part(over) + END, 1000)):
        answer = await client.post("/v1/documents", content=content, headers=MULTIPART)
        await refused(rt, answer, 413, "too_large")
    answer = await client.post("/v1/documents", content=file_part(over[1:]) + END, headers=MULTIPART)
    assert answer.status_code == 202, answer.text


async def test_a_declared_length_is_refused_at_its_first_bytes(rt: Runtime, client: httpx2.AsyncClient) -> None:
    asked = 0  # a form is read as far as the name of its file

    async def body() -> AsyncIterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            yield b"x"

    for path in ("/v1/documents", "/v1/search"):
        headers = {**MULTIPART, "Content-Length": str(LIMIT + MULTIPART_OVERHEAD + 1)}
        answer = await client.post(path, content=body(), headers=headers)
        await refused(rt, answer, 413, "too_large")
        assert answer.headers["connection"] == "close"
    assert asked <= 1


async def test_a_body_without_a_length_is_cut_at_the_cap(rt: Runtime, client: httpx2.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield part("metadata", b" " * 1000) + file_part()[:-2]
        while True:
            sent += 4096
            yield b"\r\n--x" * 1024

    answer = await client.post("/v1/documents", content=endless(), headers=MULTIPART)
    await refused(rt, answer, 413, "too_large")
    assert sent < LIMIT + MULTIPART_OVERHEAD + 8192


@pytest.mark.parametrize("kind", ["application/json", MULTIPART["Content-Type"], "text/plain", ""])
async def test_only_uploads_may_be_large_whatever_the_type_says(
    rt: Runtime, client: httpx2.AsyncClient, kind: str
) -> None:
    body = json.dumps({"query": "x" * 4000}).encode()
    for content in (body, pieces(body, 500)):
        answer = await client.post("/v1/search", content=content, headers={"Content-Type": kind})
        await refused(rt, answer, 413, "too_large")


async def test_a_json_body_has_a_time_limit_and_a_file_has_none(rt: Runtime, alice: Person) -> None:
    async def drops(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            await asyncio.sleep(0.02)
            yield b" "

    async with api_with(rt, alice, body_seconds=0.2) as client:
        for path in ("/v1/search", "/v1/documents/text"):
            await refused(rt, await client.post(path, content=drops(10**6)), 408, "body_timeout")
        answer = await client.put("/v1/uploads/a.txt", content=drops(20))
        assert answer.status_code != 408, answer.text


# -- a real server -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Server:
    pid: int
    port: int
    key: str
    rt: Runtime

    @property
    def head(self) -> bytes:
        lines = ("POST /v1/documents HTTP/1.1", "Host: footnote", f"Authorization: Bearer {self.key}")
        return "\r\n".join((*lines, f"Content-Type: {MULTIPART['Content-Type']}", "")).encode()

    def peak_memory(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024


@pytest.fixture(scope="module")
async def server(
    migrated_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Server]:
    async with (
        new_database(migrated_url) as url,
        _started(settings_of(url, redis_url, tmp_path_factory.mktemp("limits"))) as server,
    ):
        yield server


@contextlib.asynccontextmanager
async def _started(own: Settings) -> AsyncIterator[Server]:
    port = free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": own.database_url or "",
        "REDIS_URL": own.redis_url or "",
        "STORAGE_URL": own.storage_location,
        "FOOTNOTE_DATA_DIR": str(own.data_dir),
        "FOOTNOTE_BODY_IDLE_SECONDS": str(IDLE),
        "PORT": str(port),
    }
    command = (sys.executable, "-m", "api")
    process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=ROOT)
    try:
        async with open_runtime(own, pool_size=1) as rt:
            async with rt.transaction() as session:
                tenant = await tenants.create(session, "ours")
                _, key = await keys.create(session, tenant.id, "alice")
            await _until_it_answers(port)
            yield Server(process.pid, port, key, rt)
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 60)


async def _until_it_answers(port: int) -> None:
    deadline = time.monotonic() + DEADLINE
    async with httpx2.AsyncClient() as client:
        while True:
            with contextlib.suppress(httpx2.TransportError):
                assert (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
                return
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


async def _nothing_left(server: Server) -> None:
    deadline = time.monotonic() + 60
    while stored(server.rt):
        assert time.monotonic() < deadline, stored(server.rt)
        await asyncio.sleep(0.02)
    async with server.rt.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(Document)) == 0


@contextlib.asynccontextmanager
async def _connected(server: Server) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()  # what is still to be sent is not waited for
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def _sending(server: Server, data: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with _connected(server) as (reader, writer):
        writer.write(server.head + data)
        yield reader, writer


async def test_bodies_that_stall_or_lie(server: Server) -> None:
    whole = file_part() + END
    for length in (b"Content-Length: 1000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n40\r\n"):
        started = time.monotonic()
        async with _sending(server, length + whole[:50]) as (reader, _):
            answer = await asyncio.wait_for(reader.read(), 60)  # to the end: the server closes
        assert time.monotonic() - started >= IDLE
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"body_timeout"' in answer
        assert b"application/problem+json" in answer
        await _nothing_left(server)

    # A head without end.
    async with _connected(server) as (reader, writer):
        with contextlib.suppress(ConnectionError):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
            for n in range(100_000):
                writer.write(b"X-%d: " % n + b"x" * 1000 + b"\r\n")
                await asyncio.wait_for(writer.drain(), 60)
                if reader.at_eof():
                    break
        assert n < 1000, "64 KiB, and what is on the way"

    # A length that is too small: the file is cut off, and what follows is no request.
    async with _sending(server, f"Content-Length: {len(whole) - 10}\r\n\r\n".encode() + whole) as (reader, _):
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)).startswith(b"HTTP/1.1 4")
    await _nothing_left(server)

    # The client is gone.
    async with _sending(server, b"Content-Length: 9000000\r\n\r\n" + file_part(b"x" * 700_000)) as (_, writer):
        await writer.drain()
        deadline = time.monotonic() + 60
        while not stored(server.rt):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        writer.transport.abort()
    await _nothing_left(server)

    # Slow, but never silent for long: taken.
    async with _sending(server, f"Content-Length: {len(whole)}\r\n\r\n".encode()) as (reader, writer):
        for begin in range(0, len(whole), 40):
            writer.write(whole[begin : begin + 40])
            await asyncio.sleep(IDLE / 5)
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)).startswith(b"HTTP/1.1 202 ")


async def test_memory_stays_flat_while_64_mib_come_in(server: Server) -> None:
    url, headers = f"http://127.0.0.1:{server.port}/v1/documents", {"Authorization": f"Bearer {server.key}"}
    line = b"The lamp is lit half an hour before sunset, and the hour is written down.\n" * 14_000

    async def body(megabytes: int) -> AsyncIterator[bytes]:
        yield file_part(b"")[:-2]
        for _ in range(megabytes * MIB // len(line)):
            yield line
        yield b"\r\n--" + BOUNDARY.encode() + b"--\r\n"

    async with httpx2.AsyncClient(timeout=60) as client:
        warm = await client.post(url, content=body(2), headers={**headers, **MULTIPART})
        assert warm.status_code == 202, warm.text
        before = server.peak_memory()
        answer = await client.post(url, content=body(64), headers={**headers, **MULTIPART})
        assert answer.status_code == 202, answer.text
        assert answer.json()["document"]["bytes"] > 60 * MIB
        grown = server.peak_memory() - before
    assert grown < 32 * MIB, f"{grown / MIB:.1f} MiB"
