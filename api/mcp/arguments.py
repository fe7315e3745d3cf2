"""Arguments of a tool: their JSON Schema as clients read it, and errors that a model can act on."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from api.hints import unknown
from api.schemas.common import In
from footnote.errors import Invalid
from footnote.text import clean

Json = dict[str, Any]


def schema(model: type[BaseModel], *, of_result: bool = False) -> Json:
    """The model's JSON Schema without references and titles, which not every client resolves or needs."""
    made = model.model_json_schema(mode="serialization" if of_result else "validation")
    return dict(_plain(made, made.pop("$defs", {})))


def _plain(value: Any, definitions: Mapping[str, Json]) -> Any:
    if isinstance(value, list):
        return [_plain(each, definitions) for each in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _plain(definitions[value["$ref"].rpartition("/")[2]], definitions)
    named = {name: each for name, each in value.items() if not (name == "title" and isinstance(each, str))}
    return {name: _plain(each, definitions) for name, each in named.items()}


def read(model: type[In], given: Json) -> Any:
    """The parsed arguments; null means absent.

    Raises Invalid with one sentence that names the argument.
    """
    try:
        return model.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise Invalid("invalid_request", _sentence(error, schema(model)["properties"])) from error


def _sentence(error: ValidationError, known: Mapping[str, Json]) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    path = [str(each) for each in first["loc"]]
    name = clean(".".join(path)[:64])
    ours = first["msg"].removeprefix("Value error, ")  # of a validator of our own
    match first["type"]:
        case "missing":
            return f"The argument `{name}` is missing."
        case "unknown_field":
            return f"The argument `{name}`: {unknown(name, known, 'argument')}"
        case "value_error":
            return f"The argument `{name}` {ours}." if path else f"The call {ours}."
    return f"The argument `{path[0]}` must be {_expected(known.get(path[0], {}))}."


def _expected(wanted: Json) -> str:
    """A description of the expected value."""
    if "enum" in wanted:
        return f"one of {', '.join(wanted['enum'])}"
    match wanted.get("type"):
        case "integer":
            return f"an integer from {wanted['minimum']} to {wanted['maximum']}"
        case "array":
            return f"a list of at most {wanted['maxItems']} strings"
        case "string" if "maxLength" in wanted:
            return f"a string of {wanted.get('minLength', 0)} to {wanted['maxLength']} characters"
        case "string":
            return "a string that is not empty"
    return "a JSON object"
