"""A server that is asked to stop: running requests may end, the rest gets 503, and nothing is half done."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import uvicorn
from sqlalchemy import func, select

from api.app import create_app
from api.serving import slow_clients
from api.serving.server import ApiServer
from footnote.database.redis_client import Shared
from footnote.models import Document, UnownedObject
from footnote.providers.guarded import guard_generators
from footnote.providers.openai import OpenAIGenerator
from footnote.runtime import Runtime
from footnote.tenancy import keys
from tests import driving
from tests.fakes import FakeServer

pytestmark = pytest.mark.anyio

SILENT = (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: wait\n\n", 600.0)
QUESTION = {"question": "Which oil does the lamp burn?"}
LARGE = 500_000  # times 17 bytes: more than the kernel buffers
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Api:
    server: ApiServer
    rt: Runtime
    port: int
    key: str
    document_id: str
    model: FakeServer
    serving: "asyncio.Task[None]"
    clients: list[Client] = field(default_factory=list)

    async def connect(self, limit: int = 65536) -> Client:
        self.clients.append(await asyncio.open_connection("127.0.0.1", self.port, limit=limit))
        return self.clients[-1]

    async def send(self, method: str, path: str, content: bytes | dict[str, Any] = b"", length: int = 0) -> Client:
        client = await self.connect()
        self.request(client, method, path, content, length)
        return client

    def request(
        self, client: Client, method: str, path: str, content: bytes | dict[str, Any] = b"", length: int = 0
    ) -> None:
        body = json.dumps(content).encode() if isinstance(content, dict) else content
        kind = "application/json" if isinstance(content, dict) else "application/octet-stream"
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\nContent-Type: {kind}\r\n"
        client[1].write(f"{head}Content-Length: {length or len(body)}\r\n\r\n".encode() + body)

    async def drain(self) -> None:
        """Asks it to stop; returns when it accepts no more."""
        self.server.should_exit = True
        while any(each.is_serving() for each in self.server.servers):
            await asyncio.sleep(0.01)

    async def end(self) -> None:
        """Ends the drain, and waits for the server."""
        self.server.cut_at = 0.0
        await asyncio.wait_for(self.serving, 30)


@asynccontextmanager
async def serving(rt: Runtime) -> AsyncIterator[Api]:
    tenant_id = await driving.new_tenant(rt)
    await driving.ready(rt, tenant_id, "The lamp of Fairhaven burns colza oil since 1902.")
    queued = (await driving.accept(rt, tenant_id, "Never worked on. " * LARGE)).details.document.id
    async with rt.transaction() as session:
        key = (await keys.create(session, tenant_id, "all", ("read", "write")))[1]
    async with FakeServer().listening() as model:
        address = {"openai_base_url": f"http://127.0.0.1:{model.port}/v1", "first_token_seconds": 600.0}
        chosen = rt.settings.model_copy(update=address)
        generator = guard_generators([OpenAIGenerator(chosen)], Shared(None), chosen, interactive=True)
        own = replace(rt, settings=chosen, generator=generator, stopping=asyncio.Event())
        app = create_app(runtime=own)
        config = uvicorn.Config(app, http=slow_clients.Connection, log_config=None, timeout_graceful_shutdown=600)
        server = ApiServer(config)
        listening = socket.create_server(("127.0.0.1", 0))
        task = asyncio.create_task(server.serve([listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        api = Api(server, own, listening.getsockname()[1], key, queued, model, task)
        yield api
        server.should_exit, server.cut_at = True, 0.0
        for _, writer in api.clients:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for _, writer in api.clients), return_exceptions=True)
        await task
        await generator.close()


@pytest.fixture
async def api(committing_rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    monkeypatch.setattr("api.serving.server.CUT_SECONDS", 30.0)  # a busy machine takes its time
    async with serving(committing_rt) as api:
        yield api


async def head_of(client: Client) -> bytes:
    return (await client[0].readuntil(b"\r\n\r\n")).lower()


def problem_of(answer: bytes) -> dict[str, Any]:
    """Of a whole answer that says that the server restarts."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 "), answer
    for line in (b"retry-after: 5", b"connection: close", b"content-type: application/problem+json"):
        assert line in head.lower(), answer
    told: dict[str, Any] = json.loads(body)
    return told


async def test_requests_left_at_the_end_of_the_drain_get_503(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    api.model.raw(*SILENT)
    conversation = await api.send("POST", "/v1/conversations", {})
    talk = f"/v1/conversations/{json.loads((await answer_of(conversation))[1])['id']}/messages"
    whole = await api.send("POST", "/v1/query", QUESTION)
    streams = [await api.send("POST", path, QUESTION | {"stream": True}) for path in ("/v1/query", talk)]
    streams.append(await api.send("GET", f"/v1/documents/{api.document_id}/events"))
    for each in streams:
        await each[0].readuntil(b"event: ")
    bare = await api.send("PUT", "/v1/uploads/half.txt", b"one half", length=16)
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nwhole, and not the end'
    multipart = await api.connect()
    multipart[1].write(
        f"POST /v1/documents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000\r\n\r\n".encode()
        + form
    )
    await until_running(api, 6)
    while len(api.model.asked) < 3:
        await asyncio.sleep(0.01)
    await api.drain()
    await api.end()

    assert problem_of(await whole[0].read())["code"] == "restarting"
    for each in (bare, multipart):
        assert problem_of(await each[0].read())["retry_after"] == 5
    for each in streams:
        rest = await each[0].read()
        event = rest.split(b"event: error")[1].split(b"data: ")[1].splitlines()[0]
        assert json.loads(event) | {"request_id": ""} == {
            "type": "urn:footnote:error:restarting",
            "title": "Service Unavailable",
            "status": 503,
            "detail": "The server restarts; send the request again.",
            "code": "restarting",
            "request_id": "",
            "retry_after": 5,
        }
        assert rest.endswith(b"0\r\n\r\n"), "the stream has an end"
    async with api.rt.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(Document)) == 2
        still_kept = await session.scalars(select(UnownedObject.key).where(UnownedObject.delete_at > func.now()))
        spares = {name for each in api.rt.spare_keys.values() for _, name in each._names}
        assert set(still_kept) <= spares, "what was begun is given up"
    assert not [record for record in caplog.records if record.exc_info or "Exception" in record.getMessage()]


async def answer_of(client: Client) -> tuple[bytes, bytes]:
    """Head and body of an answer that says how long it is."""
    head = await head_of(client)
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    return head, await client[0].readexactly(length)


async def until_running(api: Api, count: int) -> None:
    while len(api.server.server_state.tasks) < count:
        await asyncio.sleep(0.01)


async def test_a_draining_server_is_not_ready_and_answers_requests_it_has(api: Api) -> None:
    probe, asker = await api.send("GET", "/readyz"), await api.send("GET", "/healthz")
    assert b" 200 " in (await answer_of(probe))[0]
    assert b"connection" not in (await answer_of(asker))[0]
    stream = await api.send("GET", f"/v1/documents/{api.document_id}/events")
    await stream[0].readuntil(b"event: ")
    await api.drain()
    with pytest.raises(ConnectionError):
        await api.send("GET", "/healthz")
    api.request(probe, "GET", "/readyz")
    head, body = await answer_of(probe)
    assert head.startswith(b"http/1.1 503 ")
    assert b"connection: close" in head
    assert json.loads(body)["status"] == "draining"
    assert await probe[0].read() == b"", "and no more comes on this connection"
    api.request(asker, "GET", "/v1/documents")
    head, body = await answer_of(asker)
    assert head.startswith(b"http/1.1 200 ")
    assert b"connection: close" in head
    assert len(json.loads(body)["data"]) == 2
    assert not api.serving.done(), "the stream has time to come to its end"
    await api.end()


async def test_an_idle_server_ends_at_once_despite_open_connections(api: Api) -> None:
    held = [await api.send("GET", "/healthz"), await api.connect()]
    await answer_of(held[0])
    await api.drain()
    await asyncio.wait_for(api.serving, 30)
    for reader, _ in held:
        assert await reader.read() == b""


async def test_a_client_that_does_not_read_does_not_delay_the_stop(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.serving.server.CUT_SECONDS", 0.5)
    stuck = await api.connect(limit=64)
    api.request(stuck, "GET", f"/v1/documents/{api.document_id}/content")
    await until_running(api, 1)
    await api.drain()
    await api.end()


async def test_with_a_notice_it_accepts_for_a_while_and_is_not_ready(committing_rt: Runtime) -> None:
    settings = committing_rt.settings.model_copy(update={"drain_notice_seconds": 600})
    async with serving(replace(committing_rt, settings=settings)) as api:
        api.server.should_exit = True
        await api.rt.stopping.wait()
        head, _ = await answer_of(await api.send("GET", "/readyz"))
        assert head.startswith(b"http/1.1 503 ")
        assert b"connection: close" in head
        head, _ = await answer_of(await api.send("GET", "/v1/documents"))
        assert head.startswith(b"http/1.1 200 ")
        await api.end()
