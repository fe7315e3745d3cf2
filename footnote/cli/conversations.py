"""`conversations`: questions and answers that are stored."""

from typing import Annotated

import typer

from footnote.cli.commands import Command, Json, Resource, call, listing, time_of
from footnote.cli.terminal import counted, one_line, say

TITLE = 60
ONE = "/v1/conversations/{}"
Id = Annotated[str, typer.Argument(metavar="ID")]


def _show(conversation: Id) -> Json:
    """Show the questions and answers of a conversation."""
    from footnote.cli.connection import open_api

    wanted: Json = {"limit": 100}
    with open_api() as api:
        found = page = api.request("GET", ONE, conversation, params=wanted)
        while cursor := page["messages"]["next_cursor"]:
            page = api.request("GET", ONE, conversation, params=wanted | {"cursor": cursor})
            found["messages"]["data"] += page["messages"]["data"]
    found["messages"]["next_cursor"] = None
    return found


def _print_messages(conversation: Json) -> None:
    for message in conversation["messages"]["data"]:
        say(f"> {message['content']}" if message["role"] == "user" else f"{message['content']}\n")


def _delete(conversation: Id) -> Json:
    """Delete a conversation with its messages."""
    return call("DELETE", ONE, conversation)


def _deletion(receipt: Json) -> str:
    return f"deleted  {receipt['conversation_id']}  {counted(receipt['messages'], 'message')}"


CONVERSATIONS = Resource(
    "conversations",
    "Answers",
    help="Stored questions and answers: `ask --begin` starts a conversation.",
    commands=[
        listing(
            "/v1/conversations",
            {"ID": "id", "MESSAGES": "message_count", "CHANGED": time_of("updated_at")}
            | {"TITLE": lambda each: one_line(each["title"] or "", TITLE)},
            "List conversations, newest first.",
            empty='No conversations yet: `footnote ask --begin "..."` starts one.',
            say_more=True,
        ),
        Command("show", _show, _print_messages),
        Command("delete", _delete, _deletion),
    ],
)
