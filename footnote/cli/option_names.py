"""What is wrong with a request, said with the names that the command's options have."""

import sys
from collections.abc import Sequence
from typing import Any

from typer.main import get_command

from footnote.client import WrongField

# Fields of the API whose options are called otherwise.
OPTIONS = {
    "collections": "--collection",
    "conversation_id": "--conversation",
    "created_after": "--after",
    "created_before": "--before",
    "document_id": "--document",
    "embedding": "--model",
    "error_code": "--code",
    "events": "--event",
    "expires_at": "--days",
    "filters": "--filter",
    "group": "--by",
    "object_id": "--object",
    "q": "--find",
    "rates": "--rate",
    "scopes": "--scope",
}


def with_options(message: str, fields: Sequence[WrongField]) -> str:
    """`--top-k: ...` instead of `body.top_k: ...`, where the command that runs has such an option."""
    parameters = _command(sys.argv[1:]).params if fields else []
    for each in fields:
        if name := _option(each.field, parameters):
            message = message.replace(f"{each.field}:", f"{name}:", 1)
    return message


def _command(words: Sequence[str]) -> Any:
    from footnote.cli import app

    found: Any = get_command(app)
    for word in words:
        commands = getattr(found, "commands", {})
        if word not in commands:
            break
        found = commands[word]
    return found


def _option(field: str, parameters: Sequence[Any]) -> str | None:
    """The first part of the field after its location (body, query, ...) that a parameter is named for."""
    names: dict[str, str] = {option: option for each in parameters for option in each.opts if option.startswith("--")}
    names |= {each.name: each.metavar or each.name.upper() for each in parameters if each.param_type_name == "argument"}
    for part in field.split(".")[1:]:
        for name in (part, "--" + part.replace("_", "-"), OPTIONS.get(part, "")):
            if name in names:
                return names[name]
    return None
