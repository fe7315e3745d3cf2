"""A backup restored into servers that run elsewhere: an empty database, and a store such as a bucket.

This is also the way from `footnote up` to managed services: the cluster of a base backup is recovered next to the data
directory, and what is in it goes on as a dump.
"""

import asyncio
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from footnote.database.engine import connect
from footnote.errors import Conflict, Invalid
from footnote.operations.backups import objects, tools
from footnote.operations.backups.archive import Archive
from footnote.operations.backups.folders import Backup
from footnote.operations.backups.recovery import recovered
from footnote.operations.backups.taking import DUMP, dump
from footnote.settings import Settings
from footnote.storage import open_store

_TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"
_LAST_COMMIT = "SELECT pg_last_xact_replay_timestamp()"


async def verify_empty(settings: Settings) -> None:
    """Raises Conflict if the database has tables, Invalid without DATABASE_URL or STORAGE_URL, DatabaseUnavailable."""
    if not (settings.database_url and settings.storage_url):
        raise Invalid("bad_setting", "--into-servers needs DATABASE_URL and STORAGE_URL.")
    connection = await connect(settings)
    try:
        tables = await connection.fetchval(_TABLES)
    finally:
        connection.terminate()
    if tables:
        empty = "DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
        raise Conflict("database_not_empty", f"DATABASE_URL has {tables} tables: name an empty database, or {empty}")


def fill(
    settings: Settings, place: Path, backup: Backup, log: Archive | None, until: datetime | None
) -> datetime | None:
    """Writes objects and rows; the last commit among them, where the backup has a log.

    Rows come last and in one transaction: what failed may be repeated. `place` is an empty folder for what is between.
    """
    folders = [backup.folder, *([log.folder] if log else [])]
    asyncio.run(_put_back(settings, folders))
    if backup.manifest.kind == "dump":
        _load(backup.database / DUMP, place, tools.direct_url(settings))
        return None
    with recovered(place, backup, log, until) as server:
        asyncio.run(dump(server.url, place / DUMP))
        last: datetime | None = asyncio.run(_asked(server.url, _LAST_COMMIT))
    _load(place / DUMP, place, tools.direct_url(settings))
    return last


async def _put_back(settings: Settings, folders: list[Path]) -> None:
    store = open_store(settings.storage_location)
    for folder in folders:
        await objects.put_back(store, folder)


def _load(stored: Path, place: Path, url: str) -> None:
    """All or nothing. What only an owner of an extension may say of it is left out."""
    restore = tools.tool("pg_restore")
    command = [restore, "--list", str(stored)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  our own binary
    wanted = place / "wanted.list"
    wanted.write_text("".join(line for line in listed.stdout.splitlines(True) if " COMMENT - EXTENSION " not in line))
    options = ("--no-owner", "--no-privileges", "--single-transaction", "--use-list", str(wanted))
    asyncio.run(tools.run(restore, *options, str(stored), database=url))
    asyncio.run(tools.analyze(url))


async def _asked(url: str, question: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()
