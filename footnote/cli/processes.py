"""The server half of the command line: start everything, or one process of it."""

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from footnote.errors import Invalid

if TYPE_CHECKING:
    from footnote.settings import Settings


def register(app: typer.Typer) -> None:
    for command in (up, api, worker, dispatcher, flower, migrate, pause, resume, audit, doctor):
        app.command(rich_help_panel="Server")(command)


def up() -> None:
    """Start everything on this machine and keep it running; Ctrl-C stops it.

    Exit codes: 0 stopped, 1 it could not start or continue, 3 it is already running.
    """
    from footnote.local_stack.stack import up as start
    from footnote.settings import Settings

    raise typer.Exit(start(Settings()))


def api() -> None:
    """Run the HTTP API."""
    _become("-m", "api")


def worker() -> None:
    """Run a Celery worker."""
    _become("-m", "worker")


def dispatcher() -> None:
    """Run the dispatcher: it sends due jobs to the workers, delivers webhooks and works in the background."""
    _become("-m", "worker.background")


def flower() -> None:
    """Run the Flower dashboard of the workers."""
    from footnote.local_stack.directories import stored_secret
    from footnote.settings import Settings

    settings = Settings()
    if not settings.redis_url:
        raise typer.BadParameter("REDIS_URL is not set; `footnote up` sets it for what it starts.")
    password = settings.flower_password or stored_secret(settings.data_dir / "flower_password")
    # By environment, not by argument: arguments can be read in the process list.
    os.environ["FLOWER_BASIC_AUTH"] = f"{settings.flower_user}:{password}"
    _become(
        *("-m", "celery", "--app=worker.flower", "flower"),
        *(f"--address={settings.flower_host}", f"--port={settings.flower_port}"),
        *("--read_only", "--persistent=False", "--logging=error"),
    )


def migrate(
    show_key: Annotated[
        bool, typer.Option(help="Print the first API key, or only store it in the data directory.")
    ] = True,
    wait: Annotated[
        float | None,
        typer.Option(help="Change nothing; wait up to this many seconds until the tables are ready.", min=0),
    ] = None,
) -> None:
    """Prepare the database: run migrations; for a new database, create the first API key.

    Exit codes with --wait: 0 the tables are those of this release or of a newer one, 1 they are not.
    """
    from footnote.operations import bootstrap
    from footnote.settings import Settings

    settings = Settings()
    asyncio.run(bootstrap.database_answers(settings))
    if wait is not None:
        return asyncio.run(bootstrap.migrated(settings, wait))
    bootstrap.migrate()
    secret = asyncio.run(bootstrap.ensure_first_tenant(settings))
    if secret and show_key:
        typer.echo(f"API key (stored in {settings.data_dir / 'api_key'}): {secret}")


def pause() -> None:
    """Stop workers from starting steps until `footnote resume`; uploads and questions still work.

    A running step finishes; a long embedding stops at its next checkpoint. Works on DATABASE_URL, or the running
    local stack.
    """
    asyncio.run(_pause(True))
    typer.echo("Paused. `footnote resume` lets the workers continue.")


def resume() -> None:
    """Let the workers continue after `footnote pause`."""
    asyncio.run(_pause(False))
    typer.echo("The workers continue.")


async def _pause(paused: bool) -> None:
    from footnote.jobs import scheduling
    from footnote.runtime import open_runtime

    async with open_runtime(with_database(), pool_size=1) as rt, rt.as_actor("operator").transaction() as session:
        await (scheduling.pause if paused else scheduling.resume)(session)


def audit(
    fix: Annotated[bool, typer.Option("--fix", help="Remove leftovers.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, one for each finding.")] = False,
) -> None:
    """Check that store and database agree, and that the database is consistent.

    Works on DATABASE_URL and STORAGE_URL, or the running local stack, while it is in use. Exit codes: 0 nothing found
    or all of it fixed, 1 some findings are left.
    """
    left = asyncio.run(_audit(with_database(), fix, as_json))
    raise typer.Exit(1 if left else 0)


async def _audit(settings: "Settings", fix: bool, as_json: bool) -> int:
    from footnote.operations.consistency import audit
    from footnote.runtime import open_runtime

    found = left = 0
    async with open_runtime(settings, pool_size=1) as rt:
        async for finding in audit(rt, fix=fix):
            found, left = found + 1, left + (not finding.fixed)
            words = f"{finding.kind}: {finding.what}" + (" (removed)" if finding.fixed else "")
            typer.echo(json.dumps(vars(finding)) if as_json else words)
    if not as_json:
        typer.echo(f"{found} found, {left} left.")
    return left


def doctor(
    providers: Annotated[
        bool, typer.Option("--providers", help="Also ask the model providers, which may cost a little.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object with all findings.")] = False,
) -> None:
    """Look for what is wrong with the installation, and show the remedy.

    Works on DATABASE_URL, REDIS_URL and STORAGE_URL, or the running local stack. Exit codes: 0 nothing is broken (there
    may be warnings), 1 something is.
    """
    from footnote.operations.doctor import examine
    from footnote.telemetry import configure_logging

    settings = with_stack()
    configure_logging(settings)  # to stderr
    found = asyncio.run(examine(settings, providers=providers))
    is_broken = any(each.is_broken for each in found)
    if as_json:
        typer.echo(json.dumps({"healthy": not is_broken, "findings": [vars(each) for each in found]}, indent=2))
    else:
        for each in found:
            mark = {"ok": "ok", "warning": "WARNING", "broken": "BROKEN"}[each.state]
            typer.echo(f"{mark:<8} {each.about}: {each.found}" + (f"\n{'':<9}{each.remedy}" if each.remedy else ""))
    raise typer.Exit(1 if is_broken else 0)


def with_stack() -> "Settings":
    """As `with_database`, with the stack's Redis, too."""
    from footnote.local_stack.valkey import Valkey

    settings = with_database()
    if settings.redis_url is None:
        found = Valkey.within(settings.data_dir.expanduser().resolve()).url
        settings = settings.model_copy(update={"redis_url": found})
    return settings


def with_database() -> "Settings":
    """The settings, with the database of the stack that runs on the data directory where none is configured."""
    from footnote.local_stack.lock import holder
    from footnote.settings import Settings

    settings = Settings()
    if settings.database_url is None:
        settings = settings.model_copy(update={"database_url": holder(settings.data_dir).get("database_url")})
    if settings.database_url is None:
        where = settings.data_dir.expanduser().resolve()
        raise Invalid("bad_setting", f"No stack runs on {where}: set FOOTNOTE_DATA_DIR to its folder, or DATABASE_URL.")
    return settings


def _become(*arguments: str) -> NoReturn:
    """Replaces this process, so that signals and exit codes need no forwarding. Wrong settings are named before."""
    from footnote.settings import Settings

    Settings()
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606  fixed arguments, no shell
