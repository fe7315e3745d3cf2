"""Backups: made, followed by the write-ahead log, restored."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from footnote.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from footnote.operations.backups.restoring import Restored
    from footnote.settings import Settings


def register(app: typer.Typer) -> None:
    for command in (backup, restore):
        app.command(rich_help_panel="Server")(command)


def backup(
    directory: Annotated[
        Path | None, typer.Argument(help="Folder of the backups; default: FOOTNOTE_BACKUP_DIR.")
    ] = None,
    wal: Annotated[
        bool,
        typer.Option("--wal", help="Keep running: store the write-ahead log, and make a backup whenever one is due."),
    ] = False,
) -> None:
    """Back up the database and the objects while everything runs.

    Works on DATABASE_URL and STORAGE_URL, or the running local stack. With --wal (embedded Postgres only) you can
    restore any moment; `footnote up` does that by itself when FOOTNOTE_BACKUP_DIR is set.
    """
    from footnote.cli.processes import with_database
    from footnote.operations.backups.following import follow
    from footnote.operations.backups.taking import back_up
    from footnote.telemetry import configure_logging

    settings = with_database()
    target = _directory(settings, directory)
    with _disks():
        if wal:
            configure_logging(settings)
            asyncio.run(follow(settings, target))
            return
        made = asyncio.run(back_up(settings, target))
    seconds = (made.manifest.finished_at - made.manifest.started_at).total_seconds()
    typer.echo(f"{made.folder} ({made.manifest.kind}, {seconds:.1f} s)")
    for owner in made.manifest.damaged:
        typer.echo(f"damaged or missing in the store: {owner}: delete it and upload it again", err=True)


def restore(
    directory: Annotated[Path, typer.Argument(help="Folder of the backups, or of one of them.")],
    until: Annotated[
        str | None, typer.Option(help="Time to restore, with its time zone: 2026-11-30T14:05:00Z. Default: the latest.")
    ] = None,
    servers: Annotated[
        bool, typer.Option("--into-servers", help="Fill DATABASE_URL, which must be empty, and STORAGE_URL instead.")
    ] = False,
) -> None:
    """Restore a backup into a new data directory (FOOTNOTE_DATA_DIR), or into servers, then check it.

    Checks every checksum before it starts anything, then runs the audit and asks the questions of the backup again.
    Exit codes: 0 restored and as it was, 1 refused, or restored with the differences that are shown.
    """
    from footnote.operations.backups import restoring
    from footnote.settings import Settings

    run = restoring.restore_into_servers if servers else restoring.restore
    with _disks():
        restored = run(Settings(), directory.expanduser().resolve(), _moment(until))
    for line in _summary(restored):
        typer.echo(line)
    raise typer.Exit(0 if restored.is_clean else 1)


@contextmanager
def _disks() -> Iterator[None]:
    """A full disk, or a folder that is not ours, is a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        raise Unavailable("disk_failed", f"{where}{os.strerror(error.errno)}. Nothing was kept.") from error


def _summary(restored: "Restored") -> list[str]:
    manifest = restored.backup.manifest
    moment = restored.last_commit or manifest.started_at
    where, how = restored.data_dir or "into the servers", "footnote api, worker and dispatcher"
    if restored.data_dir:
        how = f"FOOTNOTE_DATA_DIR={restored.data_dir} footnote up"
    lines = [
        f"Restored {where} from {restored.backup.folder.name}, as of {moment:%Y-%m-%dT%H:%M:%S%z}:",
        f"  {restored.documents} documents, {restored.chunks} chunks, {restored.unfinished} unfinished jobs",
        *(f"  audit: {finding.kind}: {finding.what}" for finding in restored.findings),
        f"  audit: {len(restored.findings)} left",
        f"  questions: {restored.same} with the same hits, {restored.changed} whose collection was changed since, "
        f"{restored.different} with other hits",
        f"Start it with {how}. Stop the original first: both would send webhooks.",
    ]
    return lines


def _directory(settings: "Settings", given: Path | None) -> Path:
    chosen = given or settings.backup_dir
    if chosen is None:
        raise Invalid("bad_setting", "Name the folder, or set FOOTNOTE_BACKUP_DIR.")
    return chosen.expanduser().resolve()


def _moment(given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        raise Invalid("bad_time", f"--until is like 2026-11-30T14:05:00Z, not {given!r}.") from error
    if moment.tzinfo is None:
        raise Invalid("bad_time", f"--until needs a zone: {given}Z is UTC, {given}+01:00 an hour before.")
    return moment
