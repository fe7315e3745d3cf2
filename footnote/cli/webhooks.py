"""`webhooks`: endpoints that are notified when documents are ready, and what was sent to them."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from footnote.cli.commands import (
    Columns,
    Command,
    Json,
    Resource,
    call,
    fetch_list,
    show_list,
    show_reply,
    show_table,
    time_of,
)
from footnote.cli.terminal import moment, one_line, say

PATH = "/v1/webhook_endpoints"
ONE = PATH + "/{}"
DELIVERY = ONE + "/deliveries/{}"

Id = Annotated[str, typer.Argument(metavar="ID")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's reply.")]
Events = Annotated[list[str] | None, typer.Option("--event", help="May be repeated. Default: all events.")]
Description = Annotated[str | None, typer.Option(help="A description for people.")]


def _create(url: str, event: Events = None, description: Description = None) -> Json:
    """Register an endpoint; prints its id and its secret, which is not shown again."""
    return call("POST", PATH, body={"url": url, "events": event or ["*"], "description": description})


def _list() -> Json:
    """List endpoints, newest first."""
    return fetch_list(PATH, 1000)


def _state(endpoint: Json) -> str:
    if not endpoint["enabled"]:
        return f"disabled: {endpoint['disabled_reason']}"
    return f"failing since {moment(endpoint['failing_since'])}" if endpoint["failing_since"] else "enabled"


def _update(
    endpoint: Id,
    url: Annotated[str | None, typer.Option(help="Pending deliveries are sent there, too.")] = None,
    event: Annotated[
        list[str] | None, typer.Option(help="May be repeated. Replaces the current events; `*`: any.")
    ] = None,
    description: Description = None,
) -> None:
    """Change the given fields of an endpoint."""
    given = {"url": url, "events": event, "description": description}
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise typer.BadParameter("Give at least one field to change.")
    changed = call("PATCH", ONE, endpoint, body=changes)
    say(f"{_state(changed)}  {','.join(changed['events'])}  {changed['url']}")


def _delete(endpoint: Id) -> Json:
    """Delete an endpoint with its deliveries, sent or not."""
    return call("DELETE", ONE, endpoint)


def _enable(endpoint: Id) -> None:
    """Enable a disabled endpoint."""
    say(_state(call("PATCH", ONE, endpoint, body={"enabled": True})))


def _disable(endpoint: Id) -> None:
    """Disable an endpoint; its pending deliveries fail and can be redelivered."""
    say(_state(call("PATCH", ONE, endpoint, body={"enabled": False})))


def _rotate(endpoint: Id) -> None:
    """Give an endpoint another secret, and print it; for 24 hours the previous one also signs."""
    say(call("POST", ONE + "/rotate", endpoint)["secret"])


def _test(endpoint: Id, as_json: AsJson = False) -> None:
    """Send `endpoint.test` now; exit code 1 if it is not accepted."""
    sent = call("POST", ONE + "/test", endpoint)
    show_reply(sent, as_json, _sent)
    raise typer.Exit(0 if sent["status"] == "delivered" else 1)


def _sent(delivery: Json) -> str:
    last = delivery["history"][-1]
    excerpt = one_line(last["excerpt"] or "", 200)
    return f"{delivery['status']}  {_answered(delivery)}  {last['latency_ms']} ms  {excerpt}"


def _answered(delivery: Json) -> str:
    return str(delivery["response_status"] or one_line(delivery["error"] or "", 80))


def _deliveries(
    endpoint: Id,
    delivery: Annotated[str | None, typer.Argument(help="One of them, with all its attempts.")] = None,
    status: Annotated[str | None, typer.Option("--status", "--state", help="pending, delivered or failed.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
) -> Json:
    """List the deliveries to an endpoint, newest first."""
    if delivery:
        return call("GET", DELIVERY, endpoint, delivery)
    return fetch_list(ONE + "/deliveries", limit, endpoint, **({"status": status} if status else {}))


def _show_deliveries(found: Json) -> None:
    """Those of an endpoint, or the attempts of one."""
    if "history" in found:
        show_table(ATTEMPTS, found["history"])
    else:
        show_table(DELIVERIES, found["data"])


def _redeliver(
    endpoint: Id,
    delivery: Annotated[str | None, typer.Argument(help="This delivery, whatever its status.")] = None,
    hours: Annotated[float, typer.Option(min=0, help="Without DELIVERY: the failed ones of this many hours.")] = 24,
) -> None:
    """Send one delivery again, or all that failed."""
    if delivery:
        say(call("POST", DELIVERY + "/redeliver", endpoint, delivery)["status"])
        return
    since = datetime.now(UTC) - timedelta(hours=hours)
    done = call("POST", ONE + "/redeliver", endpoint, body={"since": since.isoformat()})
    say(f"{done['redelivered']} redelivered")


def _listen(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on the loopback; 0: any free one.")] = 0,
    event: Events = None,
    answer: Annotated[int, typer.Option(min=100, max=599, help="The status to answer with.")] = 200,
) -> None:
    """Print and verify deliveries until Ctrl-C; creates an endpoint for them and deletes it at the end.

    The server must run with FOOTNOTE_WEBHOOK_ALLOW_PRIVATE=true, on this machine.
    """
    from footnote.cli.receiver import receiving

    with receiving(port, answer) as receiver:
        made = call(
            "POST", PATH, body={"url": receiver.url, "events": event or ["*"], "description": "footnote listen"}
        )
        receiver.secret = made["secret"]
        say(f"{made['id']} at {receiver.url}", err=True)
        try:
            receiver.wait()
        finally:
            call("DELETE", ONE, made["id"])


ENDPOINTS: Columns = {
    **{"ID": "id", "STATE": _state, "EVENTS": lambda each: ",".join(each["events"])},
    **{"URL": "url", "DESCRIPTION": "description"},
}
DELIVERIES: Columns = {
    **{"ID": "id", "EVENT": "event", "STATUS": "status", "ATTEMPTS": "attempts"},
    **{"ANSWERED": _answered, "NEXT ATTEMPT": time_of("next_attempt_at")},
}
ATTEMPTS: Columns = {
    **{"ATTEMPT": "number", "STARTED": time_of("started_at"), "MS": "latency_ms"},
    **{"ANSWERED": _answered, "EXCERPT": "excerpt"},
}
NONE_YET = "No webhook endpoints yet: `footnote webhooks create https://...` creates one."
WEBHOOKS = Resource(
    "webhooks",
    "Server",
    help="Endpoints that are notified when documents are ready, and what was sent to them.",
    commands=[
        Command("create", _create, lambda made: f"{made['id']}\n{made['secret']}"),
        Command("list", _list, show_list(ENDPOINTS, empty=NONE_YET)),
        Command("update", _update),
        Command("delete", _delete, lambda receipt: f"deleted  {receipt['webhook_endpoint_id']}"),
        Command("enable", _enable),
        Command("disable", _disable),
        Command("rotate", _rotate),
        Command("test", _test),
        Command("deliveries", _deliveries, _show_deliveries),
        Command("redeliver", _redeliver),
        Command("listen", _listen),
    ],
)
