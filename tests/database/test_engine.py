"""DATABASE_URL as it comes from managed providers, and the settings every connection gets."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import Executable, text

from footnote.database import leases
from footnote.database.engine import connect, database_dsn
from footnote.errors import DatabaseAway, Invalid
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
        with pytest.raises(DatabaseAway):
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
