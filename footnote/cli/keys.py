"""`keys`: the API's keys, and tokens for them."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer

from footnote.cli.commands import Columns, Command, Json, Resource, call, listing, time_of
from footnote.cli.terminal import moment, say


class KeyScope(StrEnum):
    read = "read"
    write = "write"
    admin = "admin"


def _create(
    name: str,
    scope: Annotated[
        list[KeyScope] | None, typer.Option(help="May be given several times; default: read and write.")
    ] = None,
    days: Annotated[float | None, typer.Option(help="The key expires after this many days.", min=0.0)] = None,
    rate: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS=N", help="Requests a minute: read, write, upload or query; fewer than configured."),
    ] = None,
    usd: Annotated[float | None, typer.Option(help="Budget a month, in US dollars.", min=0.0)] = None,
    tokens: Annotated[int | None, typer.Option(help="Budget a month, in tokens.", min=0)] = None,
) -> Json:
    """Create a key and print it; it is not shown again."""
    body: Json = {"name": name, "budget": {"usd": usd, "tokens": tokens}, "rates": _rates(rate or [])}
    if scope:
        body["scopes"] = [each.value for each in scope]
    if days is not None:
        body["expires_at"] = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    return call("POST", "/v1/keys", body=body)


def _rates(given: list[str]) -> dict[str, int]:
    rates = {}
    for each in given:
        name, _, number = each.partition("=")
        if not number.isdigit():
            raise typer.BadParameter(f"{each!r} is not CLASS=N.")
        rates[name] = int(number)
    return rates


def _token(
    scope: Annotated[
        list[KeyScope] | None, typer.Option(help="May be given several times; default: the key's.")
    ] = None,
) -> Json:
    """Create a token for the present key, whatever its scopes, and print it; it expires soon."""
    return call("POST", "/v1/tokens", body={"scopes": [each.value for each in scope]} if scope else {})


def _revoke(key_id: str) -> Json:
    """Revoke a key, immediately and permanently."""
    return call("DELETE", "/v1/keys/{}", key_id)


def _secret(about: str, secret: str) -> str:
    """The secret stands alone on stdout."""
    say(about, err=True)
    return secret


COLUMNS: Columns = {
    **{"ID": "id", "BEGINS": "prefix", "SCOPES": lambda key: " ".join(key["scopes"])},
    **{"LAST USED": time_of("last_used_at"), "EXPIRES": time_of("expires_at")},
    **{"REVOKED": time_of("revoked_at"), "NAME": "name"},
}
KEYS = Resource(
    "keys",
    "Server",
    help="API keys. Needs a key with the scope `admin`.",
    commands=[
        Command("create", _create, lambda made: _secret(made["id"], made["secret"])),
        listing(
            "/v1/keys", COLUMNS, "List keys, and when each was used last.", limit_help="Keys to show, the newest first."
        ),
        Command(
            "token",
            _token,
            lambda made: _secret(f"until {moment(made['expires_at'])}", made["access_token"]),
        ),
        Command("revoke", _revoke, lambda key: f"{key['id']} ({key['name']}) is revoked."),
    ],
)
