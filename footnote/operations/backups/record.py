"""Runs of `footnote backup` in the database: whose the backups in a folder are, how long objects wait for the last."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import delete

from footnote.database.driver import driver
from footnote.database.ids import new_id
from footnote.errors import Conflict, Unavailable
from footnote.models import BackupRun
from footnote.operations.backups import folders
from footnote.operations.backups.folders import Backup
from footnote.runtime import Runtime

LEAST_HOLD = timedelta(hours=24)  # of objects, while a backup is being made
OTHERS_SECONDS = 120.0  # for which transactions that began before are waited for

_FORGET = "DELETE FROM backup WHERE started_at < now() - greatest($1, interval '400 days')"
_KNOWN = "SELECT id FROM backup WHERE id = ANY($1::text[])"
_BEGIN = """
INSERT INTO backup (id, kind, objects_until) VALUES ($1, $2, now() + $3)
RETURNING id, started_at, pg_current_xact_id()::text AS transaction
"""
_OTHERS_ENDED = "SELECT pg_snapshot_xmin(pg_current_snapshot()) > $1::text::xid8"
_END = "UPDATE backup SET finished_at = now(), objects_until = started_at + $2, bytes = $3 WHERE id = $1"


@dataclass
class BackupUnderWay:
    """A backup that is being made; `bytes` is for the record."""

    id: str
    started_at: datetime
    bytes: int = 0


@asynccontextmanager
async def running(rt: Runtime, kind: str, grace: timedelta) -> AsyncIterator[BackupUnderWay]:
    """Records a run. Within the block, objects that are given up are not deleted; after it, for `grace` from its start.

    Raises Unavailable if an older transaction, which may give objects up without knowing of the run, does not end.
    """
    async with rt.transaction() as session:
        connection = await driver(session)
        begun = await connection.fetchrow(_BEGIN, new_id("bak"), kind, max(grace, LEAST_HOLD))
    run = BackupUnderWay(begun["id"], begun["started_at"])
    try:
        await _others_ended(rt, begun["transaction"])
        yield run
    except BaseException:
        await rt.execute(delete(BackupRun).where(BackupRun.id == run.id))
        raise
    async with rt.transaction() as session:
        connection = await driver(session)
        await connection.execute(_END, run.id, grace, run.bytes)
        # Only now: without a row of its own an installation does not know its backups.
        await connection.execute(_FORGET, timedelta(days=2 * rt.settings.backup_days))


async def ours(rt: Runtime, directory: Path) -> list[Backup]:
    """The finished backups in a folder that this installation made, or was restored from; oldest first.

    Raises Conflict if there are others only: two installations would take each other's backups for their own.
    """
    there = folders.backups(directory)
    async with rt.autocommit() as connection:
        rows = await connection.fetch(_KNOWN, [each.manifest.id for each in there])
    known = {row["id"] for row in rows}
    if there and not known:
        why = f"The backups in {directory} are of another installation"
        raise Conflict("backups_of_another", f"{why}: name another folder. Nothing was written.")
    return [each for each in there if each.manifest.id in known]


async def _others_ended(rt: Runtime, transaction: str) -> None:
    try:
        async with asyncio.timeout(OTHERS_SECONDS):
            while True:
                async with rt.autocommit() as connection:
                    if await connection.fetchval(_OTHERS_ENDED, transaction):
                        return
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        what = f"A transaction that began before the backup has not ended after {OTHERS_SECONDS:.0f} s"
        raise Unavailable("database_unavailable", f"{what}: try again, or look for it in pg_stat_activity.") from error


async def after_restore(rt: Runtime, run_id: str, finished_at: datetime) -> None:
    """The restored database was read while its own backup ran; runs of others that did not end were never finished."""
    async with rt.transaction() as session:
        connection = await driver(session)
        await connection.execute("UPDATE backup SET finished_at = $2 WHERE id = $1", run_id, finished_at)
        await connection.execute("DELETE FROM backup WHERE finished_at IS NULL")
