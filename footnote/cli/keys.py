"""`keys` on the command line."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer

from footnote.cli.terminal import moment, say, say_json, table

AsJson = Annotated[bool, typer.Option("--json", help="Print the API's reply.")]

keys = typer.Typer(help="API keys. Needs one with the scope `admin`.", no_args_is_help=True)


class Scope(StrEnum):
    read = "read"
    write = "write"
    admin = "admin"


def register(app: typer.Typer) -> None:
    app.add_typer(keys, name="keys", rich_help_panel="Server")


@keys.command()
def create(
    name: str,
    scope: Annotated[list[Scope] | None, typer.Option(help="May be given several times; default: read and write.")] = (
        None
    ),
    days: Annotated[float | None, typer.Option(help="The key ends after so many days.", min=0.0)] = None,
    rate: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS=N", help="Requests a minute: read, write, upload or query; fewer than configured."),
    ] = None,
    usd: Annotated[float | None, typer.Option(help="Budget a month, in US dollars.", min=0.0)] = None,
    tokens: Annotated[int | None, typer.Option(help="Budget a month, in tokens.", min=0)] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it; it is not shown again."""
    from footnote.cli.client import open_api

    body: dict[str, Any] = {"name": name, "budget": {"usd": usd, "tokens": tokens}, "rates": _rates(rate or [])}
    if scope:
        body["scopes"] = [each.value for each in scope]
    if days is not None:
        body["expires_at"] = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    with open_api() as api:
        made = api.post("/v1/keys", body)
    if as_json:
        say_json(made)
    else:
        say(made["id"], err=True)
        say(made["secret"])


def _rates(given: list[str]) -> dict[str, int]:
    rates = {}
    for each in given:
        name, _, number = each.partition("=")
        if not number.isdigit():
            raise typer.BadParameter(f"{each!r} is not CLASS=N.")
        rates[name] = int(number)
    return rates


@keys.command("list")
def list_keys(
    limit: Annotated[int, typer.Option(help="Keys to show, the newest first.", min=1)] = 50, as_json: AsJson = False
) -> None:
    """List keys, and when each was used last."""
    from footnote.cli.client import open_api

    with open_api() as api:
        found = api.listed("/v1/keys", limit)
    if as_json:
        say_json(found)
        return
    rows = [
        [
            *(
                key["id"],
                key["prefix"],
                " ".join(key["scopes"]),
                moment(key["last_used_at"]),
                moment(key["expires_at"]),
            ),
            *(moment(key["revoked_at"]), key["name"]),
        ]
        for key in found["data"]
    ]
    table(["ID", "BEGINS", "SCOPES", "LAST USED", "EXPIRES", "REVOKED", "NAME"], rows)


@keys.command()
def token(
    scope: Annotated[list[Scope] | None, typer.Option(help="May be given several times; default: the key's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token for the key in use, whatever its scopes, and print it; it soon ends by itself."""
    from footnote.cli.client import open_api

    with open_api() as api:
        made = api.post("/v1/tokens", {"scopes": [each.value for each in scope]} if scope else {})
    if as_json:
        say_json(made)
    else:
        say(f"until {moment(made['expires_at'])}", err=True)
        say(made["access_token"])


@keys.command()
def revoke(key_id: str, as_json: AsJson = False) -> None:
    """End a key, at once and for good."""
    from footnote.cli.client import open_api, segment

    with open_api() as api:
        ended = api.delete(f"/v1/keys/{segment(key_id)}")
    if as_json:
        say_json(ended)
    else:
        say(f"{ended['id']} ({ended['name']}) is revoked.")
