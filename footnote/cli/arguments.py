"""What a person typed, read before anything is asked of the API."""

import json
from typing import Any

import typer


def json_object(text: str, option: str) -> dict[str, Any]:
    """What it says is the API's to judge. Raises BadParameter, naming the option."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint=option) from error
    if not isinstance(value, dict):
        raise typer.BadParameter("must be a JSON object", param_hint=option)
    return value
