"""Statements on the driver's connection: within the session's transaction, and with the same errors."""

import asyncio
import gc
from contextlib import suppress
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from footnote import jobs
from footnote.database.driver import driver, planning_once
from footnote.documents import accepting, reading
from footnote.errors import DatabaseUnavailable, TenantDeleted
from footnote.models import Tenant
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings
from footnote.tenancy import tenants

INSERT = "INSERT INTO tenant (id, name, quotas, webhook_secret) VALUES ($1, $2, '{}', '')"


class Undone(Exception):
    """Ends a transaction with a rollback."""


async def _insert(rt: Runtime, tenant_id: str, *, undone: bool) -> None:
    async with rt.transaction() as session:
        await (await driver(session)).execute(INSERT, tenant_id, tenant_id)
        assert (await session.get_one(Tenant, tenant_id)).name == tenant_id
        if undone:
            raise Undone


async def test_its_first_statement_begins_the_transaction(committing_rt: Runtime) -> None:
    with pytest.raises(Undone):
        await _insert(committing_rt, "ten_gone", undone=True)
    await _insert(committing_rt, "ten_here", undone=False)
    async with committing_rt.transaction() as session:
        assert await session.get(Tenant, "ten_gone") is None
        assert await session.get(Tenant, "ten_here") is not None


async def test_it_acts_for_the_tenant(rt: Runtime) -> None:
    async with rt.transaction() as session:
        ours, theirs = await tenants.create(session, "ours"), await tenants.create(session, "theirs")
    async with rt.for_tenant(ours.id).transaction() as session:
        seen = await (await driver(session)).fetch("SELECT id FROM tenant WHERE id = ANY($1)", [ours.id, theirs.id])
    assert [row["id"] for row in seen] == [ours.id]


async def _say(rt: Runtime, statement: str, *, cut_off: bool = False) -> None:
    async with rt.transaction() as session:
        connection = await driver(session)
        if cut_off:
            connection.terminate()
        await connection.execute(statement)


async def test_a_lost_connection_counts_as_a_database_that_is_away(committing_rt: Runtime) -> None:
    with pytest.raises(DatabaseUnavailable):
        await _say(committing_rt, "SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(DatabaseUnavailable):
        await _say(committing_rt, "SELECT 1", cut_off=True)
    async with committing_rt.transaction() as session:
        assert await session.scalar(text("SELECT 1")) == 1


async def test_a_deleted_tenant_is_told_by_its_foreign_keys(rt: Runtime) -> None:
    columns = "id, tenant_id, name, prefix, secret_sha256, scopes"
    with pytest.raises(TenantDeleted):
        await _say(rt, f"INSERT INTO api_key ({columns}) VALUES ('key_1', 'ten_gone', '', 'p', '', '{{}}')")


async def test_other_errors_stay_what_they_are(rt: Runtime) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        await _say(rt, "SELECT 1 / 0")


async def test_statements_are_planned_once_to_the_end_of_the_transaction_only(committing_rt: Runtime) -> None:
    async with committing_rt.transaction() as session:
        await planning_once(session)
        assert await session.scalar(text("SHOW plan_cache_mode")) == "force_generic_plan"
    async with committing_rt.transaction() as session:
        assert await session.scalar(text("SHOW plan_cache_mode")) == "force_custom_plan"


@pytest.mark.parametrize("statement", [accepting._MAKE_NAMED, accepting._MAKE_UNNAMED, reading._GET, jobs._READ])
async def test_what_is_planned_once_finds_documents_by_their_keys(committing_rt: Runtime, statement: str) -> None:
    """The plan may be made while the tables are empty, and used while they grow."""
    async with committing_rt.transaction() as session:
        connection = await planning_once(session)
        prepared = await connection.prepare(statement)
        nothing = ", ".join(["NULL"] * len(prepared.get_parameters()))
        await connection.execute(f"PREPARE it AS {statement}")
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE it({nothing})"))
        await connection.execute("DEALLOCATE it")
    for table in ("document", "version", "job"):
        assert f"Seq Scan on {table}" not in plan, plan


async def test_sqlalchemy_joins_the_transaction_of_the_driver(committing_rt: Runtime) -> None:
    """What it flushes is seen by the driver, and both are committed and rolled back together."""
    for undone in (True, False):
        with suppress(Undone):
            async with committing_rt.transaction() as session:
                connection = await driver(session)
                await connection.execute(INSERT, f"ten_a{undone}", "a")
                session.add(Tenant(id=f"ten_b{undone}", name="b", quotas={}, webhook_secret=""))
                await session.flush()
                assert await connection.fetchval("SELECT name FROM tenant WHERE id = $1", f"ten_b{undone}") == "b"
                if undone:
                    raise Undone
    async with committing_rt.transaction() as session:
        found = await (await driver(session)).fetch("SELECT id FROM tenant WHERE id LIKE 'ten_aTrue%' OR name = 'b'")
    assert [row["id"] for row in found] == ["ten_bFalse"]


async def test_connections_come_back_without_a_transaction(committing_rt: Runtime) -> None:
    """After a commit, after an error and after a cancellation, with the driver alone."""
    pool = committing_rt.sessions.kw["bind"].pool
    begun = asyncio.Event()

    async def wait_long() -> None:
        async with committing_rt.transaction() as session:
            connection = await driver(session)
            begun.set()
            await connection.execute("SELECT pg_sleep(60)")

    waiting = asyncio.create_task(wait_long())
    await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await _say(committing_rt, "SELEC 1")
    await _say(committing_rt, "SELECT 1")
    assert pool.checkedout() == 0
    async with committing_rt.autocommit() as connection:
        assert not connection.is_in_transaction()
        assert await connection.fetchval("SELECT 1") == 1


@pytest.mark.parametrize("how", ["transaction", "autocommit"])
async def test_a_connection_comes_back_however_often_its_task_is_cancelled(committing_rt: Runtime, how: str) -> None:
    """As a scope of anyio does it, at each turn of the loop until the task has ended."""

    async def sleeping() -> None:
        if how == "autocommit":
            async with committing_rt.autocommit() as connection:
                await connection.execute("SELECT pg_sleep(60)")
        async with committing_rt.transaction() as session:
            await (await driver(session)).execute("SELECT pg_sleep(60)")

    pool = committing_rt.sessions.kw["bind"].pool
    task = asyncio.create_task(sleeping())
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'"
    while not await _counted(committing_rt, asleep):
        await asyncio.sleep(0.01)
    gc.disable()  # which would find the connection at some time
    try:
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        async with asyncio.timeout(30):
            while pool.checkedout():
                await asyncio.sleep(0.01)
    finally:
        gc.enable()
    assert task.cancelled()
    assert await _counted(committing_rt, asleep) == 0


async def _counted(rt: Runtime, statement: str) -> int:
    async with rt.autocommit() as connection:
        return int(await connection.fetchval(statement))


@pytest.mark.anyio
async def test_a_pool_is_closed_when_the_last_connection_has_come_back(settings: Settings) -> None:
    begun = asyncio.Event()

    async def wait_long(rt: Runtime) -> None:
        async with rt.transaction() as session:
            connection = await driver(session)
            connections.append(connection)
            begun.set()
            await connection.execute("SELECT pg_sleep(60)")

    connections: list[Any] = []
    async with open_runtime(settings, pool_size=1) as rt:
        waiting = asyncio.create_task(wait_long(rt))
        await begun.wait()
        pool = rt.sessions.kw["bind"].pool
        for _ in range(2):
            waiting.cancel()
            await asyncio.sleep(0)
    assert pool.checkedout() == 0
    assert waiting.done()
    assert connections[0].is_closed()
