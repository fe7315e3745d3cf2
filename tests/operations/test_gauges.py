"""What the dispatcher exports of the whole installation, and how many slots of workers it asks for."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, text

from footnote.jobs import demand, scheduling, workers
from footnote.operations import gauges
from footnote.runtime import Runtime, open_runtime
from footnote.telemetry.exposition import exposition
from tests import driving, metrics
from tests.conftest import run_sql

pytestmark = pytest.mark.anyio

# Queued jobs of small documents, without what they would need to run.
CROWD = text(
    """
    WITH one AS (SELECT * FROM job WHERE id = :job)
    INSERT INTO job (id, tenant_id, document_id, version_id, step, large)
    SELECT 'job_' || lpad(CAST(number AS text), 8, '0'), tenant_id, document_id, version_id, step, :large
    FROM one, generate_series(1, :jobs) AS number
    """
)

# A job each, of tenants that come before any other.
WAITING_TENANTS = text(
    """
    INSERT INTO job (id, tenant_id, document_id, version_id, step, state, next_attempt_at)
    SELECT 'job_w' || number, 'ten_0000' || number, document_id, version_id, step, 'waiting',
           now() + interval '1 hour'
    FROM job, generate_series(1, :tenants) AS number WHERE id = :job
    """
)


async def slots(rt: Runtime) -> int:
    async with rt.transaction() as session:
        return await demand.slots_wanted(session)


async def test_it_tells_of_jobs_webhooks_indexes_and_disks(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    accepted = await driving.accept(rt, tenant, "A lamp that waits.")
    await driving.set_job(rt, accepted.details.job.id, next_attempt_at=func.now() - text("interval '90 seconds'"))
    rt.settings.data_dir.mkdir(parents=True)
    rt = replace(rt, settings=rt.settings.model_copy(update={"backup_dir": rt.settings.data_dir}))
    found = await metrics.of_the_installation(rt)
    assert found['footnote_jobs{lane="small",state="due"}'] == 1
    assert found['footnote_oldest_due_job_seconds{lane="small"}'] == 90
    assert found["footnote_webhooks_due"] == found["footnote_paused"] == 0
    assert found["footnote_database_bytes"] > found["footnote_vector_index_bytes"] >= 0
    assert found["footnote_database_cache_bytes"] > 0
    for place in ("data", "backups"):
        free, size = (found[f'footnote_disk_{each}_bytes{{place="{place}"}}'] for each in ("free", "size"))
        assert 0 < free <= size
    assert found["footnote_database_up"] == found["footnote_slots_wanted"] == 1


async def test_log_that_no_backup_has_is_told_where_one_follows_it(rt: Runtime) -> None:
    name, url = "footnote_backup_log_bytes", str(rt.settings.database_url)
    assert name not in await metrics.of_the_installation(rt)
    await run_sql(url, "SELECT pg_create_physical_replication_slot('footnote_backup', true)")
    try:
        before = (await metrics.of_the_installation(rt))[name]
        await run_sql(url, "SELECT pg_logical_emit_message(true, 'test', repeat('x', 100000)), pg_switch_wal()")
        assert (await metrics.of_the_installation(rt))[name] >= before + 100_000
    finally:
        await run_sql(url, "SELECT pg_drop_replication_slot('footnote_backup')")


async def test_without_postgres_it_says_so(rt: Runtime, tmp_path: Path) -> None:
    nowhere = rt.settings.model_copy(update={"database_url": "postgresql://127.0.0.1:1/nowhere"})
    async with open_runtime(nowhere) as alone:
        found = metrics.series(exposition(await gauges.read(alone)))
    assert found["footnote_database_up"] == 0
    assert "footnote_slots_wanted" not in found, "a number that is not known is not shown"


async def test_slots_are_wanted_for_what_runs_and_for_what_is_due(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    assert await slots(rt) == 0
    first = (await driving.accept(rt, tenant, "A lamp.")).details.job.id
    large = (await driving.accept(rt, tenant, "A large lamp.")).details.job.id
    await driving.set_job(rt, large, large=True)
    assert await slots(rt) == 2
    await driving.claim(rt, large)
    assert await slots(rt) == 2, "it runs"
    async with rt.transaction() as session:
        await scheduling.pause(session)
    assert await slots(rt) == 1, "in a pause nothing begins"
    async with rt.transaction() as session:
        await scheduling.resume(session)
        await session.execute(CROWD, {"job": first, "jobs": 40, "large": False})
    assert await slots(rt) == 1 + -(-41 // demand.SHARING), "small documents share a slot"
    await driving.set_job(rt, first, next_attempt_at=func.now() + text("interval '1 hour'"))
    assert await slots(rt) == 1 + 40 // demand.SHARING


async def rows_read(rt: Runtime) -> int:
    """Rows and index entries, in this transaction."""
    async with rt.transaction() as session:
        counted = "SELECT sum(pg_stat_get_xact_tuples_returned(oid)) FROM pg_class WHERE oid >= 16384"
        return int(await session.scalar(text(counted)) or 0)


async def test_a_tenant_asks_for_its_turn_only_which_costs_the_same_at_any_length(rt: Runtime) -> None:
    job = (await driving.accept(rt, await driving.new_tenant(rt), "A lamp.")).details.job.id
    async with rt.transaction() as session:
        await session.execute(CROWD, {"job": job, "jobs": 5_000, "large": True})
        await session.execute(text("ANALYZE job"))  # as autovacuum does
    before = await rows_read(rt)
    assert await slots(rt) == demand.MOST_OF_TENANT + 1
    assert await rows_read(rt) - before < 10 * demand.MOST_OF_TENANT + demand.LOOKED_AT


@pytest.mark.parametrize("looked_at", [demand.LOOKED_AT, 1])
async def test_tenants_whose_jobs_wait_for_a_time_cost_next_to_nothing(
    rt: Runtime, monkeypatch: pytest.MonkeyPatch, looked_at: int
) -> None:
    """Also where more is due than is looked at, and the first tenants have nothing that is."""
    monkeypatch.setattr(demand, "LOOKED_AT", looked_at)
    job = (await driving.accept(rt, await driving.new_tenant(rt), "A lamp.")).details.job.id
    async with rt.transaction() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(WAITING_TENANTS, {"job": job, "tenants": 3_000})
        await session.execute(CROWD, {"job": job, "jobs": 2 * demand.SHARING, "large": False})
        await session.execute(text("ANALYZE job"))
    assert await slots(rt) == (3 if looked_at > 1 else 1)
    before = await rows_read(rt)  # the planner has looked at the ends of indexes by now
    await slots(rt)
    assert await rows_read(rt) - before < 10 * demand.TENANTS


async def test_workers_that_are_alive_are_counted(rt: Runtime) -> None:
    assert rt.redis is not None
    told = await workers.alive(rt.shared)
    assert told is not None
    found = await metrics.of_the_installation(replace(rt))
    assert (found["footnote_workers"], found["footnote_worker_slots"]) == (told.alive, told.slots)
