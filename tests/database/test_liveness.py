"""Postgres that says nothing any more, locks of others, and requests whose time is over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from sqlalchemy import text

from api.app import create_app
from footnote import deadline
from footnote.database import engine, liveness
from footnote.deadline import Deadline
from footnote.documents import objects
from footnote.errors import Busy, DatabaseUnavailable
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings
from footnote.tenancy import keys, tenants

pytestmark = pytest.mark.anyio


class Wire:
    """A network between us and Postgres, which can be cut: then nothing passes, and neither side notices."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self.whole = asyncio.Event()
        self.whole.set()
        self.passing: set[asyncio.Task[None] | None] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.passing.add(asyncio.current_task())
        await self.whole.wait()
        from_server, to_server = await asyncio.open_unix_connection(self.socket)
        await asyncio.gather(self._pass(reader, to_server), self._pass(from_server, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while piece := await reader.read(65536):
                await self.whole.wait()
                writer.write(piece)
        writer.close()  # which ends the other direction
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def wired(settings: Settings) -> AsyncIterator[tuple[Wire, Settings]]:
    assert settings.database_url
    parts = urlsplit(settings.database_url)
    wire = Wire(f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432")
    server = await asyncio.start_server(wire.connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"postgresql://postgres@127.0.0.1:{port}{parts.path}?sslmode=disable"
    try:
        yield wire, settings.model_copy(update={"database_url": url})
    finally:
        wire.whole.set()
        server.close()
        await asyncio.gather(*filter(None, wire.passing))


@pytest.fixture
async def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(engine, "PROBE_SECONDS", 0.3)
    monkeypatch.setattr(engine, "PROMPT_CONNECT_SECONDS", 0.3)


@asynccontextmanager
async def client_of(rt: Runtime, key: str) -> AsyncIterator[httpx2.AsyncClient]:
    app = create_app(runtime=rt)
    app.state.runtime = rt
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://footnote", headers=headers) as client:
        yield client


async def new_key(rt: Runtime) -> tuple[str, str]:
    """A tenant of its own, and its key."""
    async with rt.transaction() as session:
        tenant = await tenants.create(session, "wired")
        return tenant.id, (await keys.create(session, tenant.id, "key"))[1]


async def test_whoever_waits_for_a_postgres_that_went_silent_is_told_soon(
    committing_rt: Runtime, impatient: None
) -> None:
    """Whether within a statement, waiting for a connection or about to connect, and those that ask later."""
    _, key = await new_key(committing_rt)
    async with (
        wired(committing_rt.settings) as (wire, settings),
        open_runtime(settings, pool_size=2, patience=60, interactive=True) as rt,
        client_of(rt, key) as client,
    ):
        assert (await client.get("/v1/documents")).status_code == 200
        wire.whole.clear()
        async with asyncio.timeout(20):
            for _ in range(2):
                asked = [client.get("/v1/documents") for _ in range(6)]
                asked += [client.post("/v1/documents/text", json={"text": "A text."}, headers={"Idempotency-Key": "k"})]
                answers = await asyncio.gather(*asked, client.get("/readyz"))
                assert [each.status_code for each in answers] == [503] * 8
                assert answers[0].json()["code"] == "database_unavailable"
                assert "retry-after" in answers[0].headers
        wire.whole.set()
        async with asyncio.timeout(20):
            while (await client.get("/v1/documents")).status_code != 200:
                await asyncio.sleep(0.05)


async def test_a_statement_that_takes_long_is_not_cut_off(
    committing_rt: Runtime, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PROBE_SECONDS", 30.0)
    monkeypatch.setattr(engine, "PROMPT_CONNECT_SECONDS", 30.0)
    async with (
        open_runtime(committing_rt.settings, pool_size=1, patience=3, interactive=True) as rt,
        rt.transaction() as session,
    ):
        await session.execute(text("SELECT pg_sleep(1)"))
        assert await session.scalar(text("SELECT 1")) == 1


async def test_a_server_that_refuses_the_probe_is_there(settings: Settings) -> None:
    nowhere = settings.model_copy(update={"database_url": f"{settings.database_url}".replace("/footnote?", "/none?")})
    assert await engine.answers(nowhere)
    assert not await engine.answers(settings.model_copy(update={"database_url": "postgresql://127.0.0.1:1/x"}))


async def test_a_request_whose_time_is_over_waits_for_nothing_more(committing_rt: Runtime) -> None:
    rt = committing_rt
    asked: list[str] = []

    async def request() -> None:
        deadline.current.set(Deadline(0.3))
        async with rt.transaction() as session:
            asked.append(str(await session.scalar(text("SELECT pg_backend_pid()"))))
            await session.execute(text("SELECT pg_sleep(600)"))

    with pytest.raises(DatabaseUnavailable) as raised:
        await asyncio.wait_for(asyncio.create_task(request()), 30)
    assert raised.value.code == "database_unavailable"
    async with rt.sessions() as session, asyncio.timeout(60):  # the statement is ended in Postgres, too
        busy = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {asked[0]} AND state = 'active'"
        while await session.scalar(text(busy)):
            await asyncio.sleep(0.05)


async def test_tidying_up_does_not_wait_for_a_database_that_is_away(
    committing_rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[None] = []

    async def away(*_: Any, **__: Any) -> None:
        connected.append(None)
        raise DatabaseUnavailable from TimeoutError()

    async def upload(rt: Runtime) -> None:
        deadline.current.set(Deadline(60))
        async with objects.reserved(rt, "objects/x"):
            monkeypatch.setattr(engine, "connect_for_pool", away)
            await rt.sessions.kw["bind"].dispose()
            async with rt.transaction() as session:
                await session.execute(text("SELECT 1"))

    async with open_runtime(committing_rt.settings, pool_size=2, interactive=True) as rt:
        with pytest.raises(DatabaseUnavailable):
            await asyncio.create_task(upload(rt))
    assert len(connected) == 1


async def test_a_lock_that_others_hold_is_no_database_that_is_away(committing_rt: Runtime) -> None:
    """It has a code of its own, and the work is done as soon as the lock is free."""
    lock = text("SELECT pg_advisory_xact_lock(4711)")
    refused = asyncio.Event()

    async with open_runtime(committing_rt.settings, pool_size=2, patience=0.1, interactive=True) as rt:

        async def work() -> str:
            try:
                await rt.execute(lock)
            except Busy:
                refused.set()
                raise
            return "done"

        async with committing_rt.transaction() as session:
            await session.execute(lock)
            with pytest.raises(Busy) as raised:
                await work()
            assert (raised.value.code, raised.value.retry_after) == ("busy", 1.0)
            refused.clear()
            working = asyncio.create_task(rt.again_while_busy(work))
            await asyncio.wait_for(refused.wait(), 20)
        assert await asyncio.wait_for(working, 20) == "done"


async def test_whether_postgres_answers_is_not_asked_on_the_time_of_one_request(
    committing_rt: Runtime, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request that waited first has left, and its time is over: the others go on."""
    monkeypatch.setattr(engine, "PROBE_SECONDS", 30.0)
    monkeypatch.setattr(engine, "PROMPT_CONNECT_SECONDS", 30.0)
    async with open_runtime(committing_rt.settings, pool_size=2, patience=60, interactive=True) as rt:

        async def sleep(seconds: float, limit: float) -> None:
            deadline.current.set(Deadline(limit))
            async with rt.transaction() as session:
                await session.execute(text(f"SELECT pg_sleep({seconds})"))

        first = asyncio.create_task(sleep(0.1, 0.2))
        second = asyncio.create_task(sleep(1.5, 60))
        with suppress(DatabaseUnavailable):
            await first
        await second
