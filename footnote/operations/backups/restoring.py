"""A new data directory from a backup, checked before it is in its place."""

import asyncio
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from footnote.database.driver import driver
from footnote.errors import Conflict, Invalid, Unavailable
from footnote.local_stack.postgres import MAJOR
from footnote.local_stack.processes import environment_of_tools
from footnote.operations.backups import archive, checksums, folders, into_servers, objects, questions, record
from footnote.operations.backups.archive import Archive
from footnote.operations.backups.folders import API_KEY, WAL, Backup
from footnote.operations.backups.questions import CheckQuestion
from footnote.operations.backups.recovery import SOURCE, recovered
from footnote.operations.consistency import Finding, audit
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings
from migrations import fingerprint, newest

RESTORING = ".restoring"
# Objects that were stored after the database was read, and what is made again when it is missing.
EXPECTED = {"object_without_row", "artifact_missing"}
_COUNTS = """
SELECT (SELECT count(*) FROM document) AS documents, (SELECT count(*) FROM chunk) AS chunks,
       (SELECT count(*) FROM job WHERE state IN ('queued', 'running', 'waiting')) AS unfinished,
       pg_last_xact_replay_timestamp() AS last_commit
"""


@dataclass(frozen=True)
class Restored:
    """What was restored, and whether it is what was stored.

    `data_dir`: None if it went into servers. `last_commit`: of the newest transaction that was replayed from the log;
    None for a dump. `findings`: of the audit.
    `different`: questions whose hits are others, although their collection was not changed; `changed`: where it was.
    """

    backup: Backup
    data_dir: Path | None
    documents: int
    chunks: int
    unfinished: int
    last_commit: datetime | None
    findings: list[Finding]
    same: int
    changed: int
    different: int

    @property
    def is_clean(self) -> bool:
        return not self.findings and not self.different


def restore(settings: Settings, directory: Path, until: datetime | None) -> Restored:
    """Makes the data directory of the settings, which must not exist, with an embedded server and local objects.

    Call from the main thread. Every byte that is used is compared with its checksum before anything is started.
    Nothing is sent to anyone, since no worker and no dispatcher runs.

    Raises Conflict if the directory exists, or another restore makes it; Invalid if the backup is damaged, does not
    reach `until` or is of another Postgres or a newer release; StackFailed or Unavailable if the server does not start.
    Then nothing is left.
    """
    data_dir = settings.data_dir.expanduser().resolve()
    if data_dir.exists() and any(data_dir.iterdir()):
        raise Conflict("data_dir_exists", f"{data_dir} exists: set FOOTNOTE_DATA_DIR to a folder that does not.")
    if data_dir.is_mount():  # it gets its name by renaming
        raise Conflict("data_dir_exists", f"{data_dir} is a disk: set FOOTNOTE_DATA_DIR to a folder on it.")
    backup, log = _verified(directory, until)
    with _beside(data_dir) as place:
        restored = _fill(settings, place, data_dir, backup, log, until)
        if data_dir.exists():
            data_dir.rmdir()
        place.rename(data_dir)
    return restored


@contextmanager
def _beside(data_dir: Path) -> Iterator[Path]:
    """An empty folder to build in, which is gone when the block ends. Raises Conflict while another restore has it."""
    place = data_dir.with_name(data_dir.name + RESTORING)
    with ExitStack() as held:
        if place.exists():
            held.enter_context(_held(place))
            shutil.rmtree(place)  # of a restore that was killed
        place.mkdir(parents=True, mode=0o700)
        held.enter_context(_held(place))
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _held(place: Path) -> Iterator[None]:
    descriptor = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise Conflict("restore_runs", f"Another restore is making {place}.") from error
    finally:
        os.close(descriptor)


def restore_into_servers(settings: Settings, directory: Path, until: datetime | None) -> Restored:
    """Fills DATABASE_URL, which must be empty, and STORAGE_URL. Call from the main thread.

    Raises as `restore` does, and Conflict if the database has tables. What failed leaves at most objects, and may be
    repeated.
    """
    asyncio.run(into_servers.verify_empty(settings))
    backup, log = _verified(directory, until)
    data_dir = settings.data_dir.expanduser().resolve()
    with _beside(data_dir) as place:
        last_commit = into_servers.fill(settings, place, backup, log, until)
    if (key := backup.folder / API_KEY).exists() and not (data_dir / API_KEY).exists():
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copy2(key, data_dir / API_KEY)
    _migrate(data_dir, settings.database_url or "", settings.database_direct_url)
    return replace(asyncio.run(_checked(settings, None, backup, log)), last_commit=last_commit)


def _verified(directory: Path, until: datetime | None) -> tuple[Backup, Archive | None]:
    """The newest backup from before the moment, and the log that follows it; every byte compared with its sum."""
    backup = folders.newest(directory, until)
    checksums.verify_complete(backup.folder)
    _check_version(backup)
    parent = directory if (directory / WAL).is_dir() else directory.parent
    manifest = backup.manifest
    log = archive.open_archive(parent, manifest.system, manifest.first_segment) if manifest.system else None
    return backup, log


def _check_version(backup: Backup) -> None:
    manifest = backup.manifest
    major, what = manifest.postgres.split(".")[0], None
    if manifest.kind == "base" and major != MAJOR:
        what = f"The backup is of Postgres {major}, and this release embeds {MAJOR}"
    elif manifest.revision > newest():
        what = f"The backup is of a newer release (tables {manifest.revision}, here {newest()})"
    if what:
        raise Invalid("bad_backup", f"{what}: restore it with Footnote {manifest.footnote}.")


def _fill(
    settings: Settings, place: Path, data_dir: Path, backup: Backup, log: Archive | None, until: datetime | None
) -> Restored:
    with ExitStack() as running:
        server = running.enter_context(recovered(place, backup, log, until))
        if (backup.folder / API_KEY).exists():
            shutil.copy2(backup.folder / API_KEY, place / API_KEY)
        role = settings.tenant_role
        if not server.is_migrated(fingerprint(role), role):
            _migrate(place, server.url)
        there = {"data_dir": place, "database_url": server.url, "storage_url": None}
        restored = asyncio.run(_checked(settings.model_copy(update=there), data_dir, backup, log))
    for left in ("run", SOURCE, f"{server.pgdata.name}.log"):
        path = place / left
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return restored


def _migrate(place: Path, url: str, direct_url: str | None = None) -> None:
    """Brings the tables to this release, and the role of tenants to a new server."""
    urls = {"DATABASE_URL": url, "DATABASE_DIRECT_URL": direct_url or ""}
    files = {"DATABASE_URL_FILE": "", "DATABASE_DIRECT_URL_FILE": ""}  # name the database that was lost
    env = environment_of_tools() | urls | files | {"FOOTNOTE_DATA_DIR": str(place)}
    command = [sys.executable, "-m", "footnote", "migrate", "--no-show-key"]
    done = subprocess.run(command, capture_output=True, text=True, env=env)  # noqa: S603  our own program
    if done.returncode != 0:
        raise Unavailable("migration_failed", (done.stderr.strip().splitlines() or ["The migration failed."])[-1])


async def _checked(settings: Settings, data_dir: Path | None, backup: Backup, log: Archive | None) -> Restored:
    async with open_runtime(settings, pool_size=2) as rt:
        for folder in (backup.folder, *([log.folder] if log else [])):
            await objects.put_back(rt.store, folder)
        await record.after_restore(rt, backup.manifest.id, backup.manifest.finished_at)
        findings = await _audited(rt)
        outcomes = [await _outcome(rt, each) for each in backup.manifest.questions]
        async with rt.transaction() as session:
            counts = dict(await (await driver(session)).fetchrow(_COUNTS))
    told: dict[str, Any] = {name: outcomes.count(name) for name in ("same", "changed", "different")}
    return Restored(backup=backup, data_dir=data_dir, findings=findings, **counts, **told)


async def _audited(rt: Runtime) -> list[Finding]:
    """What the audit finds after it has put right what is expected."""
    found = [each async for each in audit(rt, fix=False)]
    if found and all(each.kind in EXPECTED for each in found):
        return [each async for each in audit(rt, fix=True) if not each.fixed]
    return found


async def _outcome(rt: Runtime, before: CheckQuestion) -> str:
    now = await questions.ask(rt, before)
    if now.hits == before.hits:
        return "same"
    return "different" if now.revision == before.revision else "changed"
