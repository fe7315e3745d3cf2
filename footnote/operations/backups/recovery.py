"""A server on the database of a backup: its cluster with the write-ahead log replayed, or a dump that is loaded."""

import asyncio
import shlex
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from footnote.errors import Invalid, Unavailable
from footnote.local_stack.logs import last_lines
from footnote.local_stack.postgres import Postgres, started
from footnote.local_stack.processes import StackFailed, environment_of_tools
from footnote.operations.backups import tools
from footnote.operations.backups.archive import Archive
from footnote.operations.backups.folders import Backup
from footnote.operations.backups.taking import DUMP

RECOVERY_SECONDS = 24 * 3600.0
SOURCE = "recovery"
_NOT_REACHED = "recovery ended before configured recovery target was reached"


@contextmanager
def recovered(place: Path, backup: Backup, log: Archive | None, until: datetime | None) -> Iterator[Postgres]:
    """The server in a new data directory, until the block ends.

    Raises Invalid if the log does not reach `until`, Unavailable if a dump cannot be loaded, StackFailed.
    """
    if backup.manifest.kind == "dump":
        server = Postgres.within(place)
        with started(server):
            _load(server, backup.database / DUMP)
            asyncio.run(tools.analyze(server.url))
            yield server
        return
    server = _extracted(place, backup, log)
    options = {
        "restore_command": f"cp {shlex.quote(str(place / SOURCE)).replace('%', '%%')}/%f %p",
        # It gets a timeline of its own, so that its log is never taken for the original's.
        "recovery_target_timeline": "current",
        "recovery_target_action": "promote",
    }
    with _replayed(server, log, until, options):
        yield server


@contextmanager
def _replayed(server: Postgres, log: Archive | None, until: datetime | None, options: dict[str, str]) -> Iterator[None]:
    target = {"recovery_target_time": until.isoformat()} if until else {}
    recovering = started(server, RECOVERY_SECONDS, **options, **target)
    try:
        recovering.__enter__()
    except StackFailed as failed:
        if not (until and failed.log and _NOT_REACHED in last_lines(failed.log)):
            raise
        # Postgres stops at the first commit after the target: in a quiet time there may be none.
        if log is None or log.covered is None or log.covered < until:
            raise Invalid("log_ends", _ends(log)) from failed
        recovering = started(server, RECOVERY_SECONDS, **options)
        recovering.__enter__()
    try:
        yield
    finally:
        recovering.__exit__(None, None, None)


def _ends(log: Archive | None) -> str:
    if log is None or log.covered is None:
        return "There is no write-ahead log after the backup: `footnote backup --wal` stores it."
    return f"The write-ahead log ends at {log.covered.isoformat(timespec='seconds')}: restore to that time at most."


def _extracted(place: Path, backup: Backup, log: Archive | None) -> Postgres:
    """The files of a cluster that has not been started, and the log that it is to replay."""
    server = Postgres.within(place)
    source = place / SOURCE
    for folder in (server.pgdata, source):
        folder.mkdir(mode=0o700)
    _extract(backup.database / "base.tar.gz", server.pgdata)
    _extract(backup.database / "pg_wal.tar.gz", server.pgdata / "pg_wal")
    (server.pgdata / "recovery.signal").touch()
    if log is not None:
        log.write_to(source)
    for folder in (server.pgdata, source):
        server.user.give(folder)
        for path in folder.rglob("*"):
            server.user.give(path)
    return server


def _extract(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")
    target.chmod(0o700)


def _load(server: Postgres, dump: Path) -> None:
    command = [
        tools.tool("pg_restore"),
        "--dbname",
        server.url,
        "--no-owner",
        "--no-privileges",
        "--exit-on-error",
        str(dump),
    ]
    env = environment_of_tools()
    done = subprocess.run(command, capture_output=True, text=True, env=env)  # noqa: S603  our own binary
    if done.returncode != 0:
        raise Unavailable("tool_failed", f"pg_restore failed: {done.stderr.strip().splitlines()[-1]}")
