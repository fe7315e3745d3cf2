"""The command line. Commands import their libraries themselves, so that `--help` is fast."""

import io
import sys
from typing import Annotated

import typer

from footnote import __version__
from footnote.cli import asking, backups, documents, login, mcp, processes, sync, tenants, usage
from footnote.cli.audit_log import AUDIT_LOG
from footnote.cli.collections import COLLECTIONS
from footnote.cli.conversations import CONVERSATIONS
from footnote.cli.jobs import JOBS
from footnote.cli.keys import KEYS
from footnote.cli.model_swaps import MODEL_SWAP
from footnote.cli.webhooks import WEBHOOKS
from footnote.errors import DatabaseUnfit, FootnoteError

app = typer.Typer(
    name="footnote",
    epilog="Exit codes: 0 done, 1 an error, 2 wrong usage, 3 already running (up), 4 no answer in the documents (ask), "
    "130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
RESOURCES = (COLLECTIONS, MODEL_SWAP, JOBS, CONVERSATIONS, WEBHOOKS, KEYS, AUDIT_LOG)
for each in (documents, sync, asking, usage, login, mcp, processes, backups, *RESOURCES, tenants):
    each.register(app)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"footnote {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Documents in, cited answers out."""


def main() -> None:
    """Runs the command of `sys.argv`. An expected error is one sentence on stderr and exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that lacks a character shows a substitute; it is no reason to fail.
            stream.reconfigure(errors="replace")
    try:
        app()
    except DatabaseUnfit as unfit:
        sys.exit(unfit.explanation)
    except FootnoteError as error:
        sys.exit(error.message)
    except ValueError as error:
        from pydantic import ValidationError

        if not isinstance(error, ValidationError) or error.title != "Settings":
            raise
        sys.exit("\n".join(_wrong_setting(each["loc"], each["msg"]) for each in error.errors()))


def _wrong_setting(location: tuple[int | str, ...], message: str) -> str:
    """`location`: the setting; empty where settings contradict each other."""
    from footnote.settings import variable

    said = message.removeprefix("Value error, ")
    return f"{variable(str(location[0]))}: {said}" if location else said
