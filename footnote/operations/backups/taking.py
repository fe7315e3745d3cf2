"""A backup: the database first, then the objects, so that every row's object is in it (ADR 67)."""

import asyncio
import shutil
import tarfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from footnote import __version__
from footnote.database.engine import connect
from footnote.documents.objects import Uploaded, uploaded_after, uploaded_as
from footnote.local_stack.postgres import Postgres
from footnote.operations.backups import checksums, folders, objects, questions, record, tools
from footnote.operations.backups.folders import API_KEY, DATABASE, Backup, Manifest
from footnote.operations.backups.objects import Copied, EarlierObjects
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings

DUMP = "database.dump"
_ABOUT = """
SELECT current_setting('server_version') AS postgres, (SELECT version_num FROM alembic_version) AS revision
"""
_SYSTEM = "SELECT system_identifier::text FROM pg_control_system()"


async def back_up(settings: Settings, directory: Path) -> Backup:
    """Makes a backup in a new folder below `directory`, while everything runs.

    Of the embedded server it copies the cluster, of another one it makes a dump. Raises Conflict while another backup
    is made there, or if what is there is of another installation; Unavailable if the database, the store or one of
    Postgres' programs fails. Then nothing is left.
    """
    server = tools.embedded(settings)
    grace = timedelta(hours=settings.backup_grace_hours)
    async with open_runtime(settings, pool_size=2) as rt:
        with folders.alone(directory):
            await record.ours(rt, directory)
            return await _made(rt, server, directory, grace)


async def _made(rt: Runtime, server: Postgres | None, directory: Path, grace: timedelta) -> Backup:
    kind: folders.Kind = "base" if server else "dump"
    async with record.running(rt, kind, grace) as run:
        with folders.new_folder(directory, run.started_at) as folder:
            asked = await questions.make(rt, same_index=server is not None)
            facts = await _database(rt, server, folder / DATABASE)
            copied = await _objects(rt, directory, folder)
            if (key := rt.settings.data_dir / API_KEY).exists():
                shutil.copy2(key, folder / API_KEY)
            about: dict[str, Any] = {
                "id": run.id,
                "kind": kind,
                "footnote": __version__,
                "questions": asked,
                "damaged": sorted(copied.damaged),
                **facts,
            }
            manifest = Manifest(**about, started_at=run.started_at, finished_at=datetime.now(UTC))
            folders.write_manifest(folder, manifest)
            run.bytes = await asyncio.to_thread(_seal, folder, copied.checksums)
    return Backup(directory / folders.name_of(run.started_at), manifest)


async def _database(rt: Runtime, server: Postgres | None, target: Path) -> dict[str, Any]:
    """Copies the database; what the manifest says of it. Raises Invalid where only a pooler leads to it."""
    if server is None:
        # What pg_dump sets for its session, an empty search_path among it, a pooler would lend to others.
        (await connect(rt.settings)).terminate()
    async with rt.autocommit() as connection:
        about = await connection.fetchrow(_ABOUT)
    facts: dict[str, Any] = {
        "postgres": about["postgres"],
        "revision": about["revision"],
        "system": "",
        "first_segment": "",
    }
    if server is None:
        await asyncio.to_thread(target.mkdir)
        await dump(tools.direct_url(rt.settings), target / DUMP)
        return facts
    command = [tools.tool("pg_basebackup"), "--pgdata", str(target), "--format=tar", "--compress=gzip:1"]
    await tools.run(*command, "--wal-method=stream", "--checkpoint=fast", database=server.url)
    async with rt.autocommit() as connection:
        system = await connection.fetchval(_SYSTEM)
    return facts | {"system": system, "first_segment": await asyncio.to_thread(_first_segment, target)}


async def dump(url: str, target: Path) -> None:
    """Writes what `pg_restore` reads. Raises Unavailable if it fails."""
    command = [tools.tool("pg_dump"), "--format=custom", "--no-owner", "--no-privileges"]
    await tools.run(*command, "--file", str(target), database=url)


def _first_segment(database: Path) -> str:
    """The file of the write-ahead log with which recovery begins."""
    with tarfile.open(database / "base.tar.gz") as tar:
        label = next(each for each in tar if each.name == "backup_label")
        content = tar.extractfile(label)
        assert content is not None
        return content.readline().decode().split("(file ")[1].rstrip(")\n")


async def _objects(rt: Runtime, directory: Path, folder: Path) -> Copied:
    made = [each.folder for each in folders.backups(directory)]
    archives = sorted((directory / folders.WAL).glob("*"))
    earlier = [EarlierObjects.of(each) for each in (*made[-1:], *archives)]

    return await objects.copy_all(rt.store, folder, earlier, _Uploads(rt), [*made, *archives])


@dataclass(frozen=True)
class _Uploads:
    """What the rows say of objects, a transaction for each look: a long one would hold back VACUUM."""

    rt: Runtime

    async def of(self, keys: Sequence[str]) -> Mapping[str, Uploaded]:
        async with self.rt.transaction() as session:
            return await uploaded_as(session, keys)

    async def all(self) -> AsyncIterator[tuple[str, Uploaded]]:
        last: str | None = ""
        while last is not None:
            async with self.rt.transaction() as session:
                found = await uploaded_after(session, last, objects.BATCH)
            for each in found.items():
                yield each
            last = next(reversed(found), None)


def _seal(folder: Path, copied: dict[str, str]) -> int:
    """Writes the checksums of all files, of which those of objects are known; the bytes of all files."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    for name, path in files.items():
        if name not in copied:
            folders.sync(path)
    checksums.write(
        folder, copied | {name: checksums.sha256(path) for name, path in files.items() if name not in copied}
    )
    return sum(path.stat().st_size for path in files.values())
