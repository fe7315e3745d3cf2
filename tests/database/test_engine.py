"""DATABASE_URL as it comes from managed providers, and the settings every connection gets."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Executable, text

from footnote.database import engine, leases, opening
from footnote.database.engine import connect, database_dsn
from footnote.errors import DatabaseUnavailable, DatabaseUnfit, Invalid
from footnote.operations import bootstrap
from footnote.providers.local import LocalEmbedder
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("url", "dsn"),
    [
        ("postgres://u:p%40@h:5432/d?sslmode=require", "postgresql://u:p%40@h:5432/d?sslmode=require"),
        ("postgresql+asyncpg://h/d", "postgresql://h/d"),
        (
            "postgresql://h/d?connect_timeout=10&sslmode=disable&channel_binding=prefer",
            "postgresql://h/d?sslmode=disable",
        ),
        ("postgresql:///d?host=/run/pg", "postgresql:///d?host=/run/pg"),
    ],
)
def test_urls_that_libpq_takes_are_taken(url: str, dsn: str) -> None:
    assert database_dsn(url) == dsn


@pytest.mark.parametrize("url", ["mysql://h/d", "postgresql", ""])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(Invalid, match="bad_setting"):
        database_dsn(url)


WRONG = [
    ("postgres@", "no_such_role@", "no_such_role"),
    ("/footnote", "/no_such_database", "no_such_database"),
    ("?", "?sslmode=no_such_mode&", "sslmode"),
    ("postgres@/footnote", "postgres@127.0.0.1:99999/footnote", "port"),
]


@pytest.mark.parametrize(("right", "wrong", "said"), WRONG)
async def test_a_server_that_refuses_us_is_a_sentence_and_a_server_that_is_away(
    settings: Settings, right: str, wrong: str, said: str
) -> None:
    url = str(settings.database_url).replace(right, wrong, 1)
    refused = settings.model_copy(update={"database_url": url if "99999" not in url else url.partition("?")[0]})
    with pytest.raises(DatabaseUnfit) as unfit:
        await connect(refused)
    assert said in unfit.value.why
    assert unfit.value.remedy == "Correct user, password and database in DATABASE_URL."
    with pytest.raises(Invalid, match=said):
        await bootstrap.database_answers(refused)
    async with open_runtime(refused, pool_size=1) as rt:
        with pytest.raises(DatabaseUnfit):
            await rt.execute(text("SELECT 1"))


async def test_a_connection_gives_its_locks_back_when_its_process_freezes(settings: Settings) -> None:
    url = f"{settings.database_url}&connect_timeout=3&sslmode=disable"
    connection = await connect(settings.model_copy(update={"database_url": url}))
    try:
        shown = [
            await connection.fetchval(f"SHOW {name}") for name in ("idle_in_transaction_session_timeout", "timezone")
        ]
    finally:
        await connection.close()
    assert shown == ["30s", "UTC"]


async def test_a_statement_that_takes_too_long_is_a_postgres_that_is_away(settings: Settings) -> None:
    async with open_runtime(settings, pool_size=1, patience=0.05) as rt:
        with pytest.raises(DatabaseUnavailable):
            await rt.execute(text("SELECT pg_sleep(60)"))


async def test_what_fails_to_close_keeps_nothing_else_open(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_self: LocalEmbedder) -> None:
        raise OSError("it cannot be closed")

    monkeypatch.setattr(LocalEmbedder, "close", fail)
    opened = AsyncExitStack()
    only_local = settings.model_copy(update={"embedder": "local"})
    rt = await opened.enter_async_context(open_runtime(only_local, pool_size=1))
    await rt.execute(text("SELECT 1"))
    pool = rt.sessions.kw["bind"].pool
    assert pool.checkedin() == 1
    with pytest.raises(OSError, match="cannot be closed"):
        await opened.aclose()
    assert pool.checkedin() == 0


async def test_what_is_repeated_ends_with_its_block_and_hides_no_cancellation(rt: Runtime) -> None:
    executed, ending, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

    class Slow(Runtime):
        """Takes a while to give a statement up."""

        async def execute(self, statement: Executable) -> None:
            try:
                executed.set()
                await asyncio.Event().wait()
            finally:
                ending.set()
                await go_on.wait()

    async def hold() -> None:
        async with leases.held(Slow(**vars(rt)), text("SELECT 1"), 0):
            await executed.wait()

    holding = asyncio.create_task(hold())
    await ending.wait()
    holding.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await holding


async def test_what_a_resting_process_does_not_use_is_ended_and_replaced(
    committing_rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's event loop rests between two messages, and has not seen the end of its connection."""
    monkeypatch.setattr(engine, "IDLE_SECONDS", 0.2)
    resting = asyncio.new_event_loop()

    def within(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.to_thread(resting.run_until_complete, work)

    async def backend(rt: Runtime) -> int:
        async with rt.transaction() as session:
            return int(await session.scalar(text("SELECT pg_backend_pid()")) or 0)

    opened = open_runtime(committing_rt.settings, pool_size=1)
    rt = await within(opened.__aenter__())
    first = await within(backend(rt))
    async with asyncio.timeout(30), committing_rt.autocommit() as watching:
        while await watching.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", first):
            pass
    assert await within(backend(rt)) != first
    await within(opened.__aexit__(None, None, None))
    await asyncio.to_thread(resting.close)


async def test_postgres_is_asked_for_its_own_types_once_in_a_process(
    committing_rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[set[int]] = []
    ask = asyncpg.Connection._introspect_types

    async def asking(self: Any, numbers: Any, timeout: Any) -> Any:
        asked.append(set(numbers))
        return await ask(self, numbers, timeout)

    monkeypatch.setattr(asyncpg.Connection, "_introspect_types", asking)
    monkeypatch.setattr(opening, "_types", {})
    for _ in range(2):
        connection = await connect(committing_rt.settings)
        assert await connection.fetchval("SELECT $1::bytea[]", [b"one"]) == [b"one"]
        assert await connection.fetchval("SELECT $1::int[]", [1, 2]) == [1, 2]
        assert str(await connection.fetchval("SELECT CAST('[1,2]' AS halfvec)")) == "[1,2]"
        await connection.close()
    own = [numbers for numbers in asked if max(numbers) < 16384]
    assert len(own) == 2
    assert len(asked) == 4, "numbers of other types are a database's own"
