"""Arguments that are checked before the API is called."""

import json
from typing import Any

import typer


def json_object(text: str, option: str) -> dict[str, Any]:
    """The object; the API checks what is in it. Raises BadParameter, which names the option."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint=option) from error
    if not isinstance(value, dict):
        raise typer.BadParameter("must be a JSON object", param_hint=option)
    return value
