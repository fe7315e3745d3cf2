"""`audit-log` on the command line: who did what."""

import json
from datetime import datetime
from typing import Annotated, Any

import typer

from footnote.cli.terminal import moment, say, say_json, table

PAGE = 1000

audit_log = typer.Typer(invoke_without_command=True)

Action = Annotated[list[str] | None, typer.Option(help="document.deleted, for example; may be given several times.")]
Actor = Annotated[str | None, typer.Option(metavar="ID", help="A key, `operator` or `system`.")]
Object = Annotated[str | None, typer.Option("--object", metavar="ID", help="What it was done to.")]
Since = Annotated[datetime | None, typer.Option(help="From then on, in this machine's time.")]
Until = Annotated[datetime | None, typer.Option(help="Before then, in this machine's time.")]


def register(app: typer.Typer) -> None:
    app.add_typer(audit_log, name="audit-log", rich_help_panel="Server")


def _wanted(
    action: list[str] | None, actor: str | None, object_id: str | None, since: datetime | None, until: datetime | None
) -> dict[str, Any]:
    """What was given, as the API names it."""
    times = {"since": since and since.astimezone().isoformat(), "until": until and until.astimezone().isoformat()}
    given = {"action": action, "actor": actor, "object_id": object_id, **times}
    return {name: value for name, value in given.items() if value}


@audit_log.callback()
def list_events(
    context: typer.Context,
    action: Action = None,
    actor: Actor = None,
    object_id: Object = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print the API's reply.")] = False,
) -> None:
    """Who did what to which document, key or collection, newest first. Needs a key with the scope `admin`."""
    if context.invoked_subcommand:
        return
    from footnote.cli.client import open_api

    with open_api() as api:
        found = api.listed("/v1/audit", limit, **_wanted(action, actor, object_id, since, until))
    if as_json:
        say_json(found)
        return
    rows = [
        [moment(event["at"]), event["actor"], event["action"], event["object_id"], json.dumps(event["details"])]
        for event in found["data"]
    ]
    table(["AT", "WHO", "DID", "TO", "DETAILS"], rows)


@audit_log.command()
def export(
    action: Action = None, actor: Actor = None, object_id: Object = None, since: Since = None, until: Until = None
) -> None:
    """Print every event, oldest first, one JSON object a line."""
    from footnote.cli.client import open_api

    wanted = _wanted(action, actor, object_id, since, until) | {"order": "oldest", "limit": PAGE}
    with open_api() as api:
        while True:
            page = api.get("/v1/audit", **wanted)
            for event in page["data"]:
                say(json.dumps(event, ensure_ascii=False))
            if page["next_cursor"] is None:
                break
            wanted["cursor"] = page["next_cursor"]
