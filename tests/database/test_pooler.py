"""PgBouncer before Postgres: what is asked of it, and that a wrong one is refused. Skipped where there is none."""

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import retrieval
from footnote.database import engine
from footnote.database.engine import answers, connect, connect_for_pool, is_polling
from footnote.errors import DatabaseUnavailable, DatabaseUnfit, Invalid
from footnote.operations import bootstrap
from footnote.operations.backups.taking import back_up
from footnote.retrieval import vector_leg
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings
from tests import driving, pgbouncer, seeding
from tests.conftest import committing, run_sql
from tests.fakes import DIMENSIONS
from tests.seeding import Seed
from worker import alarm, background

pytestmark = pytest.mark.anyio
WANTED = {"hnsw.ef_search": "100", "hnsw.iterative_scan": "relaxed_order", "jit": "off", "lock_timeout": "3s"}
_SHOWN = text("SELECT current_setting(:name)")
_SLOWLY = text("SELECT pg_backend_pid() FROM pg_sleep(0.01)")
_SCANS = "SELECT sum(idx_scan) FROM pg_stat_user_indexes WHERE indexrelname LIKE 'ix_chunk_embedding_space_%'"
CONNECTIONS = 300
QUESTIONS = 20


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of any address: a process asks once."""
    monkeypatch.setattr(engine, "_shared", {})


@pytest.fixture
def pooled(settings: Settings) -> Iterator[Settings]:
    with pgbouncer.running(pgbouncer.binary(), str(settings.database_url), default_pool_size="3") as pooler:
        yield settings.model_copy(update={"database_url": pooler.url})


WRONG = [{}, {"server_round_robin": "1"}, {"default_pool_size": "1"}, {"pool_mode": "statement"}]


@pytest.mark.parametrize("options", WRONG, ids=str)
async def test_a_pooler_without_prepared_statements_or_transactions_is_refused(
    settings: Settings, options: dict[str, str]
) -> None:
    program = pgbouncer.binary(least=(1, 0))
    options = options | {"max_prepared_statements": "0"}
    with pgbouncer.running(program, str(settings.database_url), **options) as pooler:
        wrong = settings.model_copy(update={"database_url": pooler.url})
        for _ in range(2):  # it is not remembered as good, nor has it changed the sessions that it lends
            with pytest.raises(DatabaseUnfit) as refused:
                await connect_for_pool(wrong)
        expected = "allows no transactions" if "pool_mode" in options else "prepared statements from session to session"
        assert expected in refused.value.remedy
        assert "max_prepared_statements" in refused.value.remedy
        with pytest.raises(Invalid, match=r"bad_setting.*PgBouncer 1\.21"):  # what `footnote migrate` says
            await bootstrap.database_answers(wrong)


async def test_each_transaction_has_the_settings_that_results_depend_on(pooled: Settings) -> None:
    async with open_runtime(pooled, pool_size=6, patience=3.0) as rt:

        async def shown(rt: Runtime) -> dict[str, str]:
            async with rt.transaction() as session:
                return {name: str(await session.scalar(_SHOWN, {"name": name})) for name in WANTED}

        both = (rt, rt.for_tenant("ten_1"))  # the latter's BEGIN has settings of its own
        assert await asyncio.gather(*(shown(each) for each in both * 6)) == [WANTED] * 12
        async with rt.sessions.kw["bind"].begin() as plain:  # of SQLAlchemy's
            assert await plain.scalar(_SHOWN, {"name": "hnsw.ef_search"}) == "100"
        async with rt.autocommit() as connection:  # and none is left to others
            assert await connection.fetchval("SELECT current_setting('lock_timeout')") == "0"


async def test_statements_are_prepared_in_whichever_session_a_transaction_gets(pooled: Settings) -> None:
    async with open_runtime(pooled, pool_size=6) as rt:

        async def asked(number: int) -> tuple[int, int]:
            async with rt.autocommit() as connection:
                return tuple(await connection.fetchrow("SELECT $1::int, pg_backend_pid()", number))

        found = await asyncio.gather(*(asked(number) for number in range(60)))
    assert [number for number, _ in found] == [*range(60)]
    assert 1 < len({session for _, session in found}) <= 3


async def test_three_hundred_connections_share_twenty_sessions(settings: Settings) -> None:
    with pgbouncer.running(pgbouncer.binary(), str(settings.database_url), default_pool_size="20") as pooler:
        shared = settings.model_copy(update={"database_url": pooler.url})
        async with open_runtime(shared, pool_size=CONNECTIONS) as rt, AsyncExitStack() as entered:
            # Each has a connection, and begins with its first statement.
            sessions = [await entered.enter_async_context(rt.transaction()) for _ in range(CONNECTIONS)]
            lent = await asyncio.gather(*(_lent(session) for session in sessions))
    assert len(lent) == CONNECTIONS
    assert 2 < len(set(lent)) <= 20


async def _lent(session: AsyncSession) -> int:
    number = await session.scalar(_SLOWLY)
    await session.commit()
    return int(number)


async def test_a_search_by_index_finds_as_much_as_without_the_pooler(
    settings: Settings, own_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = pgbouncer.binary()
    for name in ("enable_seqscan", "enable_bitmapscan", "enable_sort"):  # Postgres would rather sort so few rows
        await run_sql(own_database, f"ALTER DATABASE {urlsplit(own_database).path[1:]} SET {name} = off")
    straight = settings.model_copy(update={"database_url": own_database})
    async with committing(straight) as rt:
        tenant_id = await driving.new_tenant(rt)
        chance = np.random.default_rng(3)
        await seeding.sow(rt, tenant_id, [Seed({}, list(chance.normal(size=(2, DIMENSIONS)))) for _ in range(300)])
        exact = await nearest(rt, tenant_id)
        monkeypatch.setattr(vector_leg, "EXACT_CHUNKS", 10)
        direct = await nearest(rt, tenant_id)
    with pgbouncer.running(program, own_database) as pooler:
        through = pooler.url.replace("/footnote", urlsplit(own_database).path)
        async with committing(straight.model_copy(update={"database_url": through})) as rt:
            pooled = await nearest(rt, tenant_id)
    assert pooled == direct
    found = [len({*one} & {*other}) for one, other in zip(pooled, exact, strict=True)]
    assert sum(found) >= 0.98 * 10 * QUESTIONS
    connection = await asyncpg.connect(own_database)
    async with asyncio.timeout(60):
        while await connection.fetchval(_SCANS) < 2 * QUESTIONS:  # a session tells what it counted when it ends
            await asyncio.sleep(0.05)
    assert await connection.fetchval(_SCANS) == 2 * QUESTIONS  # by the index, each time
    await connection.close()


async def nearest(rt: Runtime, tenant_id: str) -> list[list[str]]:
    """The ten chunks nearest to each of a few questions."""
    asked = [retrieval.Query(f"lamp {number} of the tower", mode="vector", top_k=10) for number in range(QUESTIONS)]
    found = [await retrieval.search(rt.for_tenant(tenant_id), each) for each in asked]
    return [[hit.chunk_id for hit in each.hits] for each in found]


async def test_a_session_of_ones_own_is_found_past_the_pooler(pooled: Settings, settings: Settings) -> None:
    with pytest.raises(Invalid, match="Set DATABASE_DIRECT_URL"):
        await connect(pooled)
    assert is_polling(pooled)
    past = pooled.model_copy(update={"database_direct_url": settings.database_url})
    connection = await connect(past)
    assert (connection.alone, is_polling(past)) == (True, False)
    connection.terminate()
    await bootstrap.database_answers(past)
    wrong = pooled.model_copy(update={"database_direct_url": pooled.database_url})
    with pytest.raises(Invalid, match="DATABASE_DIRECT_URL is the address of a pooler"):
        await bootstrap.database_answers(wrong)


async def test_a_pooler_that_lends_sessions_for_good_is_none(settings: Settings) -> None:
    with pgbouncer.running(pgbouncer.binary(), str(settings.database_url), pool_mode="session") as pooler:
        connection = await connect(settings.model_copy(update={"database_url": pooler.url}), lock_timeout="5000")
        assert connection.alone
        assert await connection.fetchval("SHOW lock_timeout") == "5s"
        connection.terminate()


async def test_without_notifications_the_dispatcher_looks_by_itself(
    pooled: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarm, "REST_SECONDS", 3600.0)
    monkeypatch.setattr(alarm, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(alarm, "_LOOK", "SELECT true AS send, random() < 0.2 AS deliver")
    woken = {"send": asyncio.Event(), "deliver": asyncio.Event()}
    watching = asyncio.create_task(alarm.watch(pooled, woken))
    async with asyncio.timeout(30):
        for _ in range(3):
            await woken["deliver"].wait()
            woken["deliver"].clear()
    watching.cancel()
    await asyncio.wait({watching})


async def test_a_pooler_that_is_killed_is_a_database_that_is_away(settings: Settings) -> None:
    program, url = pgbouncer.binary(), str(settings.database_url)
    with pgbouncer.running(program, url) as pooler:
        pooled = settings.model_copy(update={"database_url": pooler.url})
        async with open_runtime(pooled, pool_size=2, interactive=True) as rt:
            await rt.execute(text("SELECT 1"))
            os.kill(pooler.process.pid, signal.SIGKILL)
            pooler.process.wait()
            for _ in range(2):
                with pytest.raises(DatabaseUnavailable):
                    async with asyncio.timeout(30):
                        await rt.execute(text("SELECT 1"))
            assert not await answers(pooled)
            pooler.start()
            await rt.execute(text("SELECT 1"))
            assert await answers(pooled)


def test_the_table_of_connections_says_what_processes_open() -> None:
    shown = dict(re.findall(r"^\| `footnote (\w+)`[^|]*\| (\d+)", pgbouncer.DOCS.read_text(), re.MULTILINE))
    own = Settings(_env_file=None)
    opened = {"api": own.api_connections, "worker": own.worker_connections, "dispatcher": background.POOL_SIZE}
    assert {name: int(shown[name]) for name in opened} == opened


async def test_a_backup_goes_past_the_pooler_and_leaves_its_sessions_as_they_are(
    settings: Settings, own_database: str, tmp_path: Path
) -> None:
    with pgbouncer.running(pgbouncer.binary(), own_database, default_pool_size="2") as pooler:
        url = pooler.url.replace("/footnote", urlsplit(own_database).path)
        through = settings.model_copy(update={"database_url": url})
        with pytest.raises(Invalid, match="DATABASE_DIRECT_URL"):
            await back_up(through, tmp_path / "none")
        past = through.model_copy(update={"database_direct_url": own_database})
        assert (await back_up(past, tmp_path / "b")).manifest.kind == "dump"
        async with open_runtime(through, pool_size=2) as rt, rt.autocommit() as connection:
            assert await connection.fetchval("SHOW search_path") == '"$user", public'
