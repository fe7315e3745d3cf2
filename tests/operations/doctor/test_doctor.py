"""Broken installations: each is found, with the sentence that mends it."""

import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from footnote.operations.doctor import Diagnosis, examine, machine, server
from footnote.runtime import Runtime
from footnote.settings import Settings
from tests import ROOT, driving
from tests.conftest import named_database, run_sql
from tests.driving import paragraphs

pytestmark = pytest.mark.anyio

Break = Callable[[Runtime], Awaitable[Settings | None]]


@pytest.fixture
async def healthy(committing_rt: Runtime) -> Runtime:
    """With a tenant, and with the fingerprint that only `footnote migrate` of an own database writes."""
    await driving.new_tenant(committing_rt)
    return committing_rt


async def found(settings: Settings, **options: Any) -> dict[str, Diagnosis]:
    return {each.about: each for each in await examine(settings, **options) if each.state != "ok"}


async def execute(rt: Runtime, *statements: str) -> None:
    for each in statements:
        await run_sql(rt.settings.database_url or "", each)


def changed(rt: Runtime, **settings: Any) -> Settings:
    return rt.settings.model_copy(update=settings)


async def test_a_healthy_one_is_healthy(healthy: Runtime) -> None:
    assert set(await found(healthy.settings)) == {"backup"}, "none was made yet, which is a warning"


async def nothing_answers(rt: Runtime) -> Settings:
    return changed(rt, database_url="postgresql://postgres@127.0.0.1:1/footnote")


async def wrong_database(rt: Runtime) -> Settings:
    return changed(
        rt,
        database_url=named_database(rt.settings.database_url or "", "postgres").replace(
            (rt.settings.database_url or "").partition("?")[0].rpartition("/")[2], "no_such_database"
        ),
    )


async def no_tables(rt: Runtime) -> None:
    await execute(rt, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")


async def newer_release(rt: Runtime) -> None:
    await execute(rt, "UPDATE alembic_version SET version_num = '9999'")


async def older_tables(rt: Runtime) -> None:
    await execute(rt, "COMMENT ON TABLE alembic_version IS 'another release'")


async def no_extension(rt: Runtime) -> None:
    await execute(rt, "DROP EXTENSION vector CASCADE")


async def no_role(rt: Runtime) -> Settings:
    from migrations import fingerprint

    await execute(rt, f"COMMENT ON TABLE alembic_version IS '{fingerprint('no_such_role')}'")
    return changed(rt, tenant_role="no_such_role")


async def invalid_index(rt: Runtime) -> None:
    await execute(rt, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_job_listed'::regclass")


async def too_many_processes(rt: Runtime) -> Settings:
    return changed(rt, api_workers=64)


async def dead_rows(rt: Runtime) -> None:
    fill = "CREATE TABLE filled WITH (autovacuum_enabled = off) AS SELECT generate_series(1, 4000) AS number"
    await execute(rt, fill, "DELETE FROM filled; SELECT pg_stat_force_next_flush()")


async def no_redis(rt: Runtime) -> Settings:
    return changed(rt, redis_url="redis://127.0.0.1:1")


async def no_store(rt: Runtime) -> Settings:
    return changed(rt, storage_url="file:///proc/nowhere")


async def open_key(rt: Runtime) -> None:
    path = rt.settings.data_dir / "api_key"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("fn_1\n")
    path.chmod(0o644)


async def no_tenant(rt: Runtime) -> None:
    await execute(rt, "DELETE FROM tenant")


async def paused(rt: Runtime) -> None:
    await execute(rt, "INSERT INTO pause DEFAULT VALUES")


async def no_worker(rt: Runtime) -> None:
    async with rt.transaction() as session:
        tenant = await session.scalar(text("SELECT id FROM tenant"))
    await driving.accept(rt, str(tenant), paragraphs(1))
    await execute(rt, "UPDATE job SET next_attempt_at = now() - interval '1 hour'")


async def no_dispatcher(rt: Runtime) -> None:
    await execute(
        rt,
        "INSERT INTO webhook_delivery (id, tenant_id, job_id, run, event, url, payload, next_attempt_at) "
        "SELECT 'whd_1', id, 'job_1', 1, 'document.ready', 'https://x', '{}', now() - interval '1 hour' FROM tenant",
    )


async def old_backup(rt: Runtime) -> None:
    await execute(rt, "INSERT INTO backup VALUES ('bak_1', 'base', now(), now() - interval '3 days', now(), 1)")


async def log_waits(rt: Runtime) -> None:
    await execute(rt, "SELECT pg_create_physical_replication_slot('footnote_backup', true)")


async def old_slot(rt: Runtime) -> None:
    await execute(rt, "SELECT pg_drop_replication_slot('footnote_backup')")


async def model_away(rt: Runtime) -> Settings:
    return changed(rt, embedder="openai", openai_api_key="k", openai_base_url="http://127.0.0.1:1/v1")


BROKEN: dict[Any, tuple[str, str]] = {
    nothing_answers: ("postgres", "Start Postgres, or correct DATABASE_URL."),
    wrong_database: ("postgres", "Correct user, password and database in DATABASE_URL."),
    no_tables: ("tables", "Run `footnote migrate`."),
    newer_release: ("tables", "Run that release"),
    older_tables: ("tables", "Run `footnote migrate`."),
    no_extension: ("pgvector", "CREATE EXTENSION vector;"),
    no_role: ("tenant role", 'CREATE ROLE "no_such_role" NOLOGIN; GRANT "no_such_role" TO "postgres";'),
    invalid_index: ("indexes", "REINDEX INDEX CONCURRENTLY ix_job_listed;"),
    too_many_processes: ("connections", "Set max_connections = 750"),
    dead_rows: ("dead rows", "VACUUM (ANALYZE) filled;"),
    no_redis: ("redis", "Start Redis or Valkey, or correct REDIS_URL."),
    no_store: ("store", "Make the store writable, or correct STORAGE_URL"),
    open_key: ("key file", "Run `chmod 600"),
    no_tenant: ("tenants", "Run `footnote migrate`"),
    paused: ("jobs", "Run `footnote resume`"),
    no_worker: ("jobs", "No worker is alive: start `footnote worker`."),
    no_dispatcher: ("webhooks", "Start `footnote dispatcher`"),
    old_backup: ("backup", "Run `footnote backup`"),
    log_waits: ("write-ahead log", "pg_drop_replication_slot('footnote_backup')"),
    model_away: ("embedder", "OPENAI_BASE_URL"),
}


@pytest.mark.parametrize("breaking", BROKEN, ids=lambda each: each.__name__)
async def test_what_is_broken_is_found(healthy: Runtime, breaking: Break) -> None:
    settings = await breaking(healthy) or healthy.settings
    try:
        told = await found(settings, providers=breaking is model_away)
    finally:
        if breaking is log_waits:
            await old_slot(healthy)
    about, remedy = BROKEN[breaking]
    assert about in told, told
    assert remedy in told[about].remedy
    assert len(told) <= 3, "one cause is not found in many places"


async def test_a_transaction_that_stays_open_is_found(healthy: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LONG_SECONDS", 0.0)
    other = await asyncpg.connect(healthy.settings.database_url)
    try:
        await other.execute("BEGIN; SELECT 1")
        assert "pg_terminate_backend" in (await found(healthy.settings))["transactions"].remedy
    finally:
        await other.close()


async def test_a_redis_that_drops_messages_is_found(healthy: Runtime) -> None:
    async with Redis.from_url(healthy.settings.redis_url or "") as redis:
        await redis.config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert "maxmemory-policy noeviction" in (await found(healthy.settings))["redis"].remedy
        finally:
            await redis.config_set("maxmemory-policy", "noeviction")


@pytest.mark.skipif(not Path("/dev/shm").is_mount(), reason="there is no second disk")
async def test_backups_on_the_disk_of_the_data_are_a_warning(healthy: Runtime, tmp_path: Path) -> None:
    about = "folder of the backups"
    (tmp_path / "backups").mkdir()
    healthy.settings.data_dir.mkdir(parents=True, exist_ok=True)
    same = await found(healthy.settings.model_copy(update={"backup_dir": tmp_path / "backups"}))
    assert (same[about].state, "on another disk" in same[about].remedy) == ("warning", True)
    assert about not in await found(healthy.settings.model_copy(update={"backup_dir": Path("/dev/shm")}))


@pytest.mark.parametrize(
    ("judged", "remedy"),
    [
        (lambda: next(server.judged_versions(15, "15.8", "0.8.0")), "Upgrade Postgres to 16"),
        (lambda: next(server.judged_versions(16, "16.4", "0.7.4")), "ALTER EXTENSION vector UPDATE"),
        (lambda: server.judged_memory(9 << 30, 16 << 30), "more memory"),
        (lambda: machine.judged_clock(-7.5), "NTP"),
        (lambda: machine.judged_disk("backups", Path("/b"), 10**9, 10**12), "add space"),
    ],
)
async def test_what_a_test_cannot_break_is_judged(judged: Callable[[], Diagnosis], remedy: str) -> None:
    assert remedy in judged().remedy


async def test_the_command_tells_by_its_exit_code(healthy: Runtime) -> None:
    given = healthy.settings
    stores = {"DATABASE_URL": str(given.database_url), "STORAGE_URL": str(given.storage_url)}
    env = os.environ | stores | {"REDIS_URL": "redis://127.0.0.1:1"}
    command = [sys.executable, "-m", "footnote", "doctor", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert (done.returncode, told["healthy"]) == (1, False)
    assert [each["about"] for each in told["findings"] if each["state"] == "broken"] == ["redis"]
