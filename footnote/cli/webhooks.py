"""Webhook endpoints on the command line: `webhooks create`, `list`, `test`, `deliveries`, `redeliver`, `listen`, ..."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from footnote.cli.terminal import moment, one_line, say, say_json, table

PATH = "/v1/webhook_endpoints"
DESCRIPTION = 40

webhooks = typer.Typer(no_args_is_help=True, help="Who is told when documents are ready, and how that went.")

Id = Annotated[str, typer.Argument(metavar="ID")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's reply.")]
Events = Annotated[list[str] | None, typer.Option("--event", help="May be repeated. Default: all events.")]


def register(app: typer.Typer) -> None:
    app.add_typer(webhooks, name="webhooks", rich_help_panel="Operations")


def _call(method: str, *path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    from footnote.cli.client import open_api, segment

    place = "/".join((PATH, *map(segment, path)))
    with open_api() as api:
        if method == "GET":
            return api.get(place)
        if method == "DELETE":
            return api.delete(place)
        return api.patch(place, body or {}) if method == "PATCH" else api.post(place, body)


@webhooks.command("create")
def create(
    url: str,
    event: Events = None,
    description: Annotated[str | None, typer.Option(help="For people.")] = None,
    as_json: AsJson = False,
) -> None:
    """Register an endpoint; prints its id and its secret, which is not shown again."""
    made = _call("POST", body={"url": url, "events": event or ["*"], "description": description})
    if as_json:
        say_json(made)
    else:
        say(f"{made['id']}\n{made['secret']}")


@webhooks.command("list")
def list_endpoints(as_json: AsJson = False) -> None:
    """Endpoints, newest first."""
    from footnote.cli.client import open_api

    with open_api() as api:
        found = api.listed(PATH, 1000)
    if as_json:
        say_json(found)
    elif not found["data"]:
        say("No webhook endpoints yet: `footnote webhooks create https://...` makes one.")
    else:
        rows = [
            (each["id"], _state(each), ",".join(each["events"]), each["url"], each["description"])
            for each in found["data"]
        ]
        table(("ID", "STATE", "EVENTS", "URL", "DESCRIPTION"), rows)


def _state(endpoint: dict[str, Any]) -> str:
    if not endpoint["enabled"]:
        return f"disabled: {endpoint['disabled_reason']}"
    return f"failing since {moment(endpoint['failing_since'])}" if endpoint["failing_since"] else "enabled"


@webhooks.command("update")
def update(
    endpoint: Id,
    url: Annotated[str | None, typer.Option(help="What is waiting goes there, too.")] = None,
    event: Annotated[list[str] | None, typer.Option(help="May be repeated. Those given are all; `*`: any.")] = None,
    description: Annotated[str | None, typer.Option(help="For people.")] = None,
) -> None:
    """Change what is given of an endpoint."""
    given = {"url": url, "events": event, "description": description}
    changed = _call("PATCH", endpoint, body={name: value for name, value in given.items() if value is not None})
    say(f"{_state(changed)}  {','.join(changed['events'])}  {changed['url']}")


@webhooks.command("delete")
def delete(endpoint: Id, as_json: AsJson = False) -> None:
    """Delete an endpoint with its deliveries, sent or not."""
    receipt = _call("DELETE", endpoint)
    if as_json:
        say_json(receipt)
    else:
        say(f"deleted  {receipt['webhook_endpoint_id']}")


@webhooks.command("enable")
def enable(endpoint: Id) -> None:
    """Enable an endpoint, whatever it was disabled for."""
    say(_state(_call("PATCH", endpoint, body={"enabled": True})))


@webhooks.command("disable")
def disable(endpoint: Id) -> None:
    """Disable an endpoint; what waits for it fails, and can be redelivered."""
    say(_state(_call("PATCH", endpoint, body={"enabled": False})))


@webhooks.command("rotate")
def rotate(endpoint: Id) -> None:
    """Give an endpoint another secret, and print it; for 24 hours the one before signs, too."""
    say(_call("POST", endpoint, "rotate")["secret"])


@webhooks.command("test")
def send_test(endpoint: Id, as_json: AsJson = False) -> None:
    """Send `endpoint.test` now; exit code 1 if it is not taken."""
    sent = _call("POST", endpoint, "test")
    if as_json:
        say_json(sent)
    else:
        last = sent["history"][-1]
        say(f"{sent['state']}  {_answered(sent)}  {last['latency_ms']} ms  {one_line(last['excerpt'] or '', 200)}")
    sys.exit(0 if sent["state"] == "delivered" else 1)


def _answered(delivery: dict[str, Any]) -> str:
    return str(delivery["response_status"] or one_line(delivery["error"] or "", 80))


@webhooks.command("deliveries")
def deliveries(
    endpoint: Id,
    delivery: Annotated[str | None, typer.Argument(help="One of them, with all its attempts.")] = None,
    state: Annotated[str | None, typer.Option(help="pending, delivered or failed.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """What was sent to an endpoint, newest first."""
    from footnote.cli.client import open_api, segment

    if delivery:
        found = _call("GET", endpoint, "deliveries", delivery)
        header: tuple[str, ...] = ("ATTEMPT", "STARTED", "MS", "ANSWERED", "EXCERPT")
        rows = [
            (each["number"], moment(each["started_at"]), each["latency_ms"], _answered(each), each["excerpt"])
            for each in found["history"]
        ]
    else:
        with open_api() as api:
            found = api.listed(f"{PATH}/{segment(endpoint)}/deliveries", limit, **({"state": state} if state else {}))
        header = ("ID", "EVENT", "STATE", "ATTEMPTS", "ANSWERED", "NEXT ATTEMPT")
        rows = [
            (
                *(each[name] for name in ("id", "event", "state", "attempts")),
                _answered(each),
                moment(each["next_attempt_at"]),
            )
            for each in found["data"]
        ]
    if as_json:
        say_json(found)
    else:
        table(header, rows)


@webhooks.command("redeliver")
def redeliver(
    endpoint: Id,
    delivery: Annotated[str | None, typer.Argument(help="This one, whatever became of it.")] = None,
    hours: Annotated[float, typer.Option(min=0, help="Without DELIVERY: what failed of the last so many hours.")] = 24,
) -> None:
    """Send one delivery again, or all that failed."""
    if delivery:
        say(_call("POST", endpoint, "deliveries", delivery, "redeliver")["state"])
        return
    since = datetime.now(UTC) - timedelta(hours=hours)
    say(f"{_call('POST', endpoint, 'redeliver', body={'since': since.isoformat()})['redelivered']} redelivered")


@webhooks.command("listen")
def listen(
    port: Annotated[int, typer.Option(min=0, max=65535, help="On the loopback; 0: any that is free.")] = 0,
    event: Events = None,
    answer: Annotated[int, typer.Option(min=100, max=599, help="The status to answer with.")] = 200,
) -> None:
    """Print and verify what arrives, until Ctrl-C; the endpoint is made for it, and deleted at the end.

    The server must run with FOOTNOTE_WEBHOOK_ALLOW_PRIVATE=true, on this machine.
    """
    from footnote.cli.receiver import receiving

    with receiving(port, answer) as receiver:
        made = _call("POST", body={"url": receiver.url, "events": event or ["*"], "description": "footnote listen"})
        receiver.secret = made["secret"]
        say(f"{made['id']} at {receiver.url}", err=True)
        try:
            receiver.wait()
        finally:
            _call("DELETE", made["id"])
