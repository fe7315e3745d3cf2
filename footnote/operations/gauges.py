"""What the metrics say of the whole installation: the dispatcher reads it, and others would only repeat it."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress

from prometheus_client.metrics_core import GaugeMetricFamily as Gauge
from prometheus_client.metrics_core import Metric
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import driver
from footnote.embeddings import vector_index
from footnote.errors import DatabaseUnavailable
from footnote.jobs import demand, scheduling, workers
from footnote.providers import guarded
from footnote.runtime import Runtime
from footnote.settings import Settings
from footnote.storage import folder_of

PATIENCE_SECONDS = 2.0  # with Postgres

Values = Mapping[tuple[str, ...], float]

# By Postgres' own books, without reading chunks or documents.
_STORED = """
SELECT pg_database_size(current_database()) AS database,
       pg_size_bytes(current_setting('effective_cache_size')) AS cache,
       (SELECT coalesce(sum(pg_relation_size(c.oid)), 0)::bigint FROM pg_class AS c JOIN pg_am AS a ON a.oid = c.relam
        WHERE a.amname = 'hnsw') AS vectors,
       (SELECT CAST(extract(epoch FROM max(finished_at)) AS float8) FROM backup) AS backup,
       (SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint FROM pg_replication_slots
        WHERE slot_name = 'footnote_backup' AND database IS NULL) AS log
"""
_WEBHOOKS = """
SELECT count(*) AS due, CAST(coalesce(extract(epoch FROM now() - min(next_attempt_at)), 0) AS float8) AS oldest
FROM webhook_delivery WHERE state = 'pending' AND next_attempt_at <= now()
"""


async def read(rt: Runtime) -> list[Metric]:
    """Leaves out values that cannot be read now."""
    found = [*await _of_redis(rt), *_of_disks(rt.settings)]
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), rt.transaction() as session:
            found += await _of_postgres(session)
    except (DatabaseUnavailable, TimeoutError):
        return [*found, _gauge("footnote_database_up", "Whether Postgres answers.", {(): 0})]
    return [*found, _gauge("footnote_database_up", "Whether Postgres answers.", {(): 1})]


def _gauge(name: str, description: str, values: Values, labels: Sequence[str] = ()) -> Metric:
    family = Gauge(name, description, labels=labels)
    for of, value in values.items():
        family.add_metric(of, value)
    return family


async def _of_postgres(session: AsyncSession) -> list[Metric]:
    jobs, oldest = dict[tuple[str, ...], float](), dict[tuple[str, ...], float]()
    for each in await demand.backlog(session):
        lane = each.lane.name.lower()
        jobs |= {(lane, "running"): each.running, (lane, "due"): each.due, (lane, "later"): each.later}
        oldest[lane,] = each.oldest_due_seconds
    indexes: Values = {(state,): number for state, number in (await vector_index.states(session)).items()}
    slots, paused = await demand.slots_wanted(session), await scheduling.paused(session) is not None
    connection = await driver(session)
    webhooks, stored = await connection.fetchrow(_WEBHOOKS), await connection.fetchrow(_STORED)
    assert webhooks is not None
    assert stored is not None
    backed_up: Values = {(): stored["backup"]} if stored["backup"] else {}
    log: Values = {(): stored["log"]} if stored["log"] is not None else {}
    return [
        _gauge("footnote_jobs", "Unfinished jobs: running, due, or waiting for a later time.", jobs, ["lane", "state"]),
        _gauge("footnote_oldest_due_job_seconds", "Since when the first job is due.", oldest, ["lane"]),
        _gauge("footnote_slots_wanted", "Slots of workers that could work now.", {(): slots}),
        _gauge("footnote_paused", "Whether the operator paused the workers.", {(): paused}),
        _gauge("footnote_webhooks_due", "Deliveries that are due.", {(): webhooks["due"]}),
        _gauge("footnote_oldest_due_webhook_seconds", "Since when the first one is due.", {(): webhooks["oldest"]}),
        _gauge("footnote_database_bytes", "Size of the database.", {(): stored["database"]}),
        _gauge("footnote_vector_index_bytes", "Size of the vector indexes.", {(): stored["vectors"]}),
        _gauge("footnote_vector_indexes", "Models by the state of their vector index.", indexes, ["state"]),
        _gauge(
            "footnote_database_cache_bytes",
            "Memory that Postgres expects to have for its data (effective_cache_size).",
            {(): stored["cache"]},
        ),
        _gauge("footnote_last_backup_timestamp_seconds", "When the last backup was finished.", backed_up),
        _gauge("footnote_backup_log_bytes", "Write-ahead log that `footnote backup --wal` has not stored yet.", log),
    ]


async def _of_redis(rt: Runtime) -> list[Metric]:
    circuits = await guarded.circuits(rt.embedder, rt.generator, rt.reranker)
    failing: Values = {(name,): state != "closed" for name, state in circuits.items()}
    found = [
        _gauge(
            "footnote_provider_circuit_open",
            "Whether the configured provider failed too often to be asked.",
            failing,
            ["provider"],
        )
    ]
    alive = await workers.alive(rt.shared)
    if alive is not None:
        found.append(_gauge("footnote_workers", "Workers that are alive.", {(): alive.alive}))
        found.append(_gauge("footnote_worker_slots", "Their slots.", {(): alive.slots}))
    return found


def _of_disks(settings: Settings) -> list[Metric]:
    """Of the data directory, of the backups, and of the store if it is a folder; those that this process sees."""
    folders = {"data": settings.data_dir}
    if settings.backup_dir:
        folders["backups"] = settings.backup_dir
    if settings.storage_location.startswith("file:"):
        folders["store"] = folder_of(settings.storage_location)
    sizes, free = dict[tuple[str, ...], float](), dict[tuple[str, ...], float]()
    for name, path in folders.items():
        with suppress(OSError):
            disk = os.statvfs(path)
            sizes[name,], free[name,] = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
    return [
        _gauge("footnote_disk_size_bytes", "Size of the disk that a folder is on.", sizes, ["place"]),
        _gauge("footnote_disk_free_bytes", "What is free of it.", free, ["place"]),
    ]
