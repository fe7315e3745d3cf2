"""`audit-log`: who did what."""

import json
from datetime import datetime
from typing import Annotated

import typer

from footnote.cli.commands import Columns, Command, Json, Resource, fetch_list, show_list, time_of
from footnote.cli.terminal import say

PAGE = 1000


def _events(
    action: Annotated[
        list[str] | None, typer.Option(help="document.deleted, for example; may be given several times.")
    ] = None,
    actor: Annotated[str | None, typer.Option(metavar="ID", help="A key, `operator` or `system`.")] = None,
    object_id: Annotated[
        str | None, typer.Option("--object", metavar="ID", help="The object that was acted on.")
    ] = None,
    since: Annotated[datetime | None, typer.Option(help="From this time on, in this machine's time zone.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Before this time, in this machine's time zone.")] = None,
) -> Json:
    """The options that were given, with the API's names."""
    times = {"since": since and since.astimezone().isoformat(), "until": until and until.astimezone().isoformat()}
    given = {"action": action, "actor": actor, "object_id": object_id, **times}
    return {name: value for name, value in given.items() if value}


def _list(*, given: Json, limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50) -> Json:
    """Who did what to which document, key or collection, newest first. Needs a key with the scope `admin`."""
    return fetch_list("/v1/audit", limit, **given)


def _export(given: Json) -> None:
    """Print every event, oldest first, one JSON object a line."""
    from footnote.cli.connection import open_api

    with open_api() as api:
        for page in api.request_pages("/v1/audit", page_size=PAGE, params=given | {"order": "oldest"}):
            for event in page["data"]:
                say(json.dumps(event, ensure_ascii=False))


COLUMNS: Columns = {
    **{"AT": time_of("at"), "WHO": "actor", "DID": "action", "TO": "object_id"},
    "DETAILS": lambda event: json.dumps(event["details"]),
}
AUDIT_LOG = Resource(
    "audit-log",
    "Server",
    listing=Command("list", _list, show_list(COLUMNS), _events),
    commands=[Command("export", _export, options=_events)],
)
