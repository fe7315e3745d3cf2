"""`usage`: documents, queries, tokens and cost."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from footnote.cli.terminal import say, say_json, table


class UsageGroup(StrEnum):
    day = "day"
    key = "key"
    model = "model"


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Server")(usage)


def usage(
    since: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="The first day, in UTC; default: 30 days ago.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="The last day, included; default: today.")
    ] = None,
    by: Annotated[
        list[UsageGroup] | None, typer.Option(help="What each line counts; may be given several times.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the API's reply.")] = False,
) -> None:
    """Show documents, queries, tokens and their cost in US dollars. Needs a key with the scope `admin`."""
    from footnote.cli.connection import open_api

    groups = list(dict.fromkeys(each.value for each in by or [UsageGroup.day, UsageGroup.key]))
    asked: dict[str, Any] = {"from": since, "to": until, "group": groups}
    with open_api() as api:
        report = api.request("GET", "/v1/usage", params={name: value for name, value in asked.items() if value})
    if as_json:
        say_json(report)
        return
    shown = {"day": ("day",), "key": ("key_name",), "model": ("provider", "model")}
    names = [name for group in groups for name in shown[group]]
    counts = ("documents", "queries", "embedding_tokens", "prompt_tokens", "completion_tokens")
    found = [
        row | {"key_name": row.get("key_name") or row.get("key_id")} for row in report["data"]
    ]  # people have no name
    rows = [[*(row[name] or "" for name in names), *(row[name] for name in counts), row["cost"]] for row in found]
    total = report["total"]
    rows.append(["TOTAL", *[""] * (len(names) - 1), *(total[name] for name in counts), total["cost"]])
    titles = (*names, "documents", "queries", "embedded", "prompt", "completion", "cost")
    table(
        [title.removesuffix("_name").upper() for title in titles],
        [[*cells, "" if cost is None else f"{cost:.4f}"] for *cells, cost in rows],
    )
    if total.get("estimated"):
        say("Estimated in part: a provider did not count all tokens.")
    if total["cost"] is None:
        say("No prices are known: set FOOTNOTE_PRICES.")
