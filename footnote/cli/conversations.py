"""Conversations on the command line: `conversations list`, `show`, `delete`."""

from typing import Annotated

import typer

from footnote.cli.terminal import counted, moment, one_line, say, say_json, table

TITLE = 60

conversations = typer.Typer(no_args_is_help=True, help="Questions and answers that are kept: `ask --begin` begins one.")

Id = Annotated[str, typer.Argument(metavar="ID")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's reply.")]


def register(app: typer.Typer) -> None:
    app.add_typer(conversations, name="conversations", rich_help_panel="Answers")


@conversations.command("list")
def list_conversations(
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50, as_json: AsJson = False
) -> None:
    """Conversations, newest first."""
    from footnote.cli.client import open_api

    with open_api() as api:
        found = api.listed("/v1/conversations", limit)
    if as_json:
        say_json(found)
    elif not found["data"]:
        say('No conversations yet: `footnote ask --begin "..."` begins one.')
    else:
        rows = [
            (each["id"], each["message_count"], moment(each["updated_at"]), one_line(each["title"] or "", TITLE))
            for each in found["data"]
        ]
        table(("ID", "MESSAGES", "CHANGED", "TITLE"), rows)
        if found["next_cursor"]:
            say(f"The newest {limit}; there are more.")


@conversations.command("show")
def show(conversation: Id, as_json: AsJson = False) -> None:
    """What was asked and answered."""
    from footnote.cli.client import open_api, segment

    path = f"/v1/conversations/{segment(conversation)}"
    with open_api() as api:
        found = api.get(path, limit=100)
        page = found["messages"]
        while page["next_cursor"]:
            page = api.get(path, limit=100, cursor=page["next_cursor"])["messages"]
            found["messages"]["data"] += page["data"]
        found["messages"]["next_cursor"] = None
    if as_json:
        say_json(found)
        return
    for message in found["messages"]["data"]:
        say(f"> {message['content']}" if message["role"] == "user" else f"{message['content']}\n")


@conversations.command("delete")
def delete(conversation: Id, as_json: AsJson = False) -> None:
    """Delete a conversation with its messages."""
    from footnote.cli.client import open_api, segment

    with open_api() as api:
        receipt = api.delete(f"/v1/conversations/{segment(conversation)}")
    if as_json:
        say_json(receipt)
    else:
        say(f"deleted  {receipt['conversation_id']}  {counted(receipt['messages'], 'message')}")
