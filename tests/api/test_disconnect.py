"""Clients that disconnect before their answer: the work for them is stopped."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
import pytest
import uvicorn
from fastapi import FastAPI

from api import answer_stream
from api.app import create_app
from footnote.answering import conversations
from footnote.database.redis_client import Shared
from footnote.providers import GenerationRequest, GeneratorEvent, Token
from footnote.providers.guarded import guard_generators
from footnote.providers.openai import OpenAIGenerator
from footnote.retrieval.scope import STATEMENT_SECONDS
from footnote.runtime import Runtime
from footnote.tenancy import keys
from tests import driving
from tests.fakes import FakeServer

pytestmark = pytest.mark.anyio

SILENT = (
    (30.0,),
    (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: wait\n\n", 30.0),
)
STREAMED = {"question": "Which oil does the lamp burn?", "stream": True}


@dataclass(frozen=True)
class Api:
    port: int
    key: str
    model: FakeServer
    tenant_id: str = ""

    @asynccontextmanager
    async def asked(self, path: str, **body: Any) -> AsyncIterator[asyncio.StreamReader]:
        """The connection on which the request was sent; closed with the block."""
        content = json.dumps(body).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\nContent-Type: application/json\r\n"
        )
        writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        try:
            yield reader
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
async def api(committing_rt: Runtime) -> AsyncIterator[Api]:
    """The API on a port, with a document and a fake chat model."""
    tenant_id = await driving.new_tenant(committing_rt)
    await driving.ready(committing_rt, tenant_id, "The lamp of Fairhaven burns colza oil since 1902.")
    async with committing_rt.transaction() as session:
        key = (await keys.create(session, tenant_id, "reader", ("read",)))[1]
    async with FakeServer().listening() as model:
        address = {"openai_base_url": f"http://127.0.0.1:{model.port}/v1", "first_token_seconds": 60.0}
        chosen = committing_rt.settings.model_copy(update=address)
        generator = guard_generators([OpenAIGenerator(chosen)], Shared(None), chosen, interactive=True)
        app = create_app(runtime=replace(committing_rt, settings=chosen, generator=generator))
        async with listening(app) as (_, port):
            yield Api(port, key, model, tenant_id)
        await generator.close()


@asynccontextmanager
async def listening(app: FastAPI) -> AsyncIterator[tuple[uvicorn.Server, int]]:
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield server, listener.getsockname()[1]
        server.should_exit = True
        await serving


async def until(happened: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not happened():
            await asyncio.sleep(0.02)


ASKED = "Which oil does the lamp burn?"
# By path, what asks it there, and what the answer begins with.
QUESTIONS: dict[str, tuple[dict[str, Any], bytes]] = {
    "/v1/query": ({"question": ASKED}, b"event: sources"),
    "/openai/v1/responses": ({"model": "footnote", "input": ASKED}, b"event: response.content_part.added"),
    "/openai/v1/chat/completions": (
        {"model": "footnote", "messages": [{"role": "user", "content": ASKED}]},
        b'"role":"assistant"',
    ),
}


@pytest.mark.parametrize("path", QUESTIONS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_disconnect_stops_a_silent_model(
    api: Api, path: str, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    question, begins = QUESTIONS[path]
    caplog.set_level("INFO", logger="footnote")
    for silence in SILENT:
        api.model.asked.clear()
        api.model.closed.clear()
        api.model.raw(*silence)
        async with api.asked(path, **question, stream=stream) as answer:
            await until(lambda: api.model.asked)
            if stream:
                await answer.readuntil(begins)
            assert not api.model.closed.is_set()
        await asyncio.wait_for(api.model.closed.wait(), 60)
    await until(lambda: sum("'status': 499" in str(record.msg) for record in caplog.records) == len(SILENT))


async def test_a_disconnect_stores_what_came_of_an_answer(api: Api, committing_rt: Runtime) -> None:
    """And the conversation is free for the next question."""
    owner = committing_rt.for_tenant(api.tenant_id)
    async with owner.transaction() as session:
        here = (await conversations.create(session, None, {}, {})).id
    api.model.raw(*SILENT[1])
    async with api.asked(f"/v1/conversations/{here}/messages", **STREAMED) as answer:
        await answer.readuntil(b"event: sources")
        await until(lambda: api.model.asked)
    left = asyncio.get_running_loop().time()
    await asyncio.wait_for(api.model.closed.wait(), 60)
    assert asyncio.get_running_loop().time() - left < 10, "within a second on a quiet machine"

    async def stored() -> list[tuple[str, str | None]]:
        async with owner.transaction() as session:
            found = await conversations.get(session, here)
            if found.holder is not None:
                return []
            messages = await conversations.messages_of(session, found)
        return [(each.content, each.answer_status) for each in messages]  # while it is held, there are none

    async with asyncio.timeout(60):
        while not (found := await stored()):
            await asyncio.sleep(0.02)
    assert found == [(STREAMED["question"], None), ("", "stopped")]


@pytest.mark.parametrize("path", ["/v1/search", "/v1/query"])
async def test_a_disconnect_ends_the_search_in_postgres(api: Api, committing_rt: Runtime, path: str) -> None:
    words = {"query" if path == "/v1/search" else "question": "Which oil?"}
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    other = await asyncpg.connect(committing_rt.settings.database_url)
    try:
        async with other.transaction():
            await other.execute("LOCK TABLE chunk IN ACCESS EXCLUSIVE MODE")
            async with asyncio.timeout(60), api.asked(path, **words):
                while not await other.fetchval(waiting):
                    await asyncio.sleep(0.02)
            async with asyncio.timeout(STATEMENT_SECONDS - 5):  # after which Postgres ends it by itself
                while await other.fetchval(waiting):
                    await asyncio.sleep(0.02)
    finally:
        await other.close()


async def test_a_stream_that_waits_for_its_model_is_kept_open(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments are sent, so that no proxy or client closes it."""
    monkeypatch.setattr(answer_stream, "SILENT_SECONDS", 0.02)
    api.model.raw(30.0)
    async with api.asked("/v1/query", question="Which oil does the lamp burn?", stream=True) as answer:
        await answer.readuntil(b"event: sources")
        for _ in range(3):
            await asyncio.wait_for(answer.readuntil(b": ping"), 20)
        await until(lambda: api.model.asked)
    await asyncio.wait_for(api.model.closed.wait(), 20)


class Slow:
    """A silent model that is slow to stop."""

    provider, model, address = "slow", "slow", None

    def __init__(self) -> None:
        self.asked, self.stopped = asyncio.Event(), asyncio.Event()

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        self.asked.set()
        try:
            await asyncio.sleep(600)
            yield Token("never")
        finally:
            await asyncio.shield(asyncio.sleep(0.1))
            self.stopped.set()

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("cut_off", [False, True])
async def test_a_stream_waits_until_its_model_has_stopped(
    committing_rt: Runtime, caplog: pytest.LogCaptureFixture, cut_off: bool
) -> None:
    """After a disconnect, and after the server cuts it off."""
    tenant_id = await driving.new_tenant(committing_rt)
    await driving.ready(committing_rt, tenant_id, "The lamp of Fairhaven burns colza oil since 1902.")
    async with committing_rt.transaction() as session:
        key = (await keys.create(session, tenant_id, "reader", ("read",)))[1]
    slow = Slow()
    runtime = replace(committing_rt, generator=slow, stopping=asyncio.Event())
    async with listening(create_app(runtime=runtime)) as (server, port):
        async with Api(port, key, FakeServer()).asked("/v1/query", **STREAMED) as answer:
            await answer.readuntil(b"event: sources")
            await asyncio.wait_for(slow.asked.wait(), 60)
            if cut_off:
                runtime.stopping.set()
                for task in server.server_state.tasks:
                    task.cancel()
                assert b"event: error" in await asyncio.wait_for(answer.read(), 60)
        await asyncio.wait_for(slow.stopped.wait(), 60)
        await until(lambda: not server.server_state.tasks)
    assert "Exception in ASGI application" not in caplog.text
