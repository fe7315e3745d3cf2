"""Jobs, webhooks, tenants, backups: what should continue and does not."""

from collections.abc import Iterable
from typing import Any

from footnote.errors import Conflict
from footnote.jobs import workers
from footnote.operations.backups import record
from footnote.operations.doctor.diagnosis import Diagnosis, age, broken, ok, size, warning
from footnote.runtime import Runtime

DUE_SECONDS = 300.0
BACKUP_SLACK_HOURS = 2.0

_JOBS = """
SELECT count(*) FILTER (WHERE state = 'running') AS running, count(*) FILTER (WHERE state <> 'running') AS waiting,
       extract(epoch FROM now() - min(next_attempt_at) FILTER (WHERE state <> 'running'))::float AS due,
       (SELECT extract(epoch FROM now() - min(since))::float FROM pause) AS paused
FROM job WHERE state IN ('queued', 'running', 'waiting')
"""
_WEBHOOKS = """
SELECT count(*) AS waiting, extract(epoch FROM now() - min(next_attempt_at))::float AS due,
       (SELECT count(*) FROM webhook_endpoint WHERE disabled_reason = 'failing') AS disabled
FROM webhook_delivery WHERE state = 'pending'
"""
_TENANTS = "SELECT count(*) FROM tenant WHERE deleted_at IS NULL"
_BACKUPS = """
SELECT extract(epoch FROM now() - finished_at)::float AS seconds, kind, bytes FROM backup
WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1
"""
_SLOT = """
SELECT active, wal_status, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS held
FROM pg_replication_slots WHERE slot_name = 'footnote_backup'
"""


async def tenants(rt: Runtime) -> Iterable[Diagnosis]:
    async with rt.autocommit() as connection:
        count = await connection.fetchval(_TENANTS)
    if not count:
        return [
            broken("tenants", "there is none, so no key is valid", "Run `footnote migrate`: it makes one with a key.")
        ]
    return [ok("tenants", str(count))]


async def jobs(rt: Runtime) -> Iterable[Diagnosis]:
    async with rt.autocommit() as connection:
        found: Any = await connection.fetchrow(_JOBS)
    if found["paused"] is not None:
        since = f"everything is paused since {age(found['paused'])}"
        return [broken("jobs", since, "Run `footnote resume` when the maintenance is over.")]
    alive = await workers.alive(rt.shared)
    said = f"{found['running']} running, {found['waiting']} waiting; {alive.slots if alive else 0} slots of workers"
    if (found["due"] or 0.0) <= DUE_SECONDS:
        return [ok("jobs", said)]
    said += f"; the oldest has been due for {age(found['due'])}"
    if alive and not alive.alive:
        return [broken("jobs", said, "No worker is alive: start `footnote worker`.")]
    return [broken("jobs", said, "Start `footnote dispatcher`; if it runs, start more workers.")]


async def webhooks(rt: Runtime) -> Iterable[Diagnosis]:
    async with rt.autocommit() as connection:
        found: Any = await connection.fetchrow(_WEBHOOKS)
    if (found["due"] or 0.0) > DUE_SECONDS:
        said = f"{found['waiting']} wait, the oldest has been due for {age(found['due'])}"
        return [broken("webhooks", said, "Start `footnote dispatcher`, which sends them.")]
    if found["disabled"]:
        remedy = "Inform their owners; they enable them again (`footnote webhooks`)."
        return [warning("webhooks", f"{found['disabled']} endpoints are disabled because they failed", remedy)]
    return [ok("webhooks", f"{found['waiting']} wait")]


async def backups(rt: Runtime) -> Iterable[Diagnosis]:
    async with rt.autocommit() as connection:
        last: Any = await connection.fetchrow(_BACKUPS)
        slot: Any = await connection.fetchrow(_SLOT)
    found = [_last_backup(rt, last), *await _in_folder(rt)]
    if slot and not slot["active"]:
        remedy = "Start `footnote backup --wal`, or run `SELECT pg_drop_replication_slot('footnote_backup');`."
        said = f"none is stored; {size(slot['held'] or 0)} of the log wait for it ({slot['wal_status']})"
        found.append(broken("write-ahead log", said, remedy))
    elif slot:
        found.append(ok("write-ahead log", f"stored, {size(slot['held'] or 0)} behind at most"))
    return found


async def _in_folder(rt: Runtime) -> list[Diagnosis]:
    """What is wrong in the folder of the backups, where this machine has it."""
    if rt.settings.backup_dir is None:
        return []
    try:
        newest = (await record.ours(rt, rt.settings.backup_dir))[-1:]
    except Conflict as conflict:
        remedy = "Set FOOTNOTE_BACKUP_DIR to a folder that this installation alone uses."
        return [broken("folder of the backups", conflict.message, remedy)]
    damaged = [owner for each in newest for owner in each.manifest.damaged]
    said = f"the bytes of {len(damaged)} uploads are damaged or missing: {', '.join(damaged[:5])}"
    remedy = "Delete them and upload them again; look at the disk of the store."
    return [broken("files in the backup", said, remedy)] if damaged else []


def _last_backup(rt: Runtime, last: Any) -> Diagnosis:
    if last is None:
        return warning("backup", "none was ever made", "Run `footnote backup FOLDER`, or set FOOTNOTE_BACKUP_DIR.")
    said = f"{age(last['seconds'])} old ({last['kind']}, {size(last['bytes'] or 0)})"
    if last["seconds"] > (rt.settings.backup_every_hours + BACKUP_SLACK_HOURS) * 3600:
        return broken("backup", said, "Run `footnote backup`, and look why none was made since (logs/backup.log).")
    return ok("backup", said)
