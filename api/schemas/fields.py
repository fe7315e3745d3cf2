"""Types of fields that several bodies and parameters have."""

import json
import math
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StringConstraints

from footnote import text

METADATA_DEPTH = 32
OLD_STATE = Field(deprecated=True, description="The old name of `status`, for one more version.")


def optional(description: str | None = None) -> Any:
    """A field that may be left out, but is not null."""
    return Field(default=None, description=description, json_schema_extra=lambda schema: schema.pop("default", None))


def _plain(value: str) -> str:
    """Cleaned like stored names. NUL is refused: Postgres cannot store it, so no name has it."""
    if "\x00" in value:
        raise ValueError("must not contain NUL")
    return text.clean(value)


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is outside the calendar") from error


def _not_a_number(value: Any) -> Any:
    """Pydantic would read a bare number as seconds since 1970."""
    if isinstance(value, int | float) or (isinstance(value, str) and value.strip().lstrip("+-").isdecimal()):
        raise ValueError("must be an RFC 3339 time: 2026-01-31T12:00:00Z")
    return value


def _json_object(given: Any) -> Any:
    try:
        return _storable(given, METADATA_DEPTH)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


def _storable(value: Any, depth: int) -> Any:
    """`value` as Postgres stores it in jsonb. What it cannot store, or we could not send back, is refused."""
    if depth < 0:
        raise ValueError("is nested too deeply")
    match value:
        case str():
            return text.clean(value)
        case float() if not math.isfinite(value):
            raise ValueError("contains a number that is too large")
        case list():
            return [_storable(each, depth - 1) for each in value]
        case dict():
            return {text.clean(name): _storable(each, depth - 1) for name, each in value.items()}
    return value


def from_text(given: Any) -> Any:
    """The value of a form field or query parameter that holds JSON. Raises ValueError."""
    try:
        return json.loads(given, parse_constant=_refuse_constant) if isinstance(given, str) else given
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error}") from error


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _cleaned(value: Any) -> Any:
    return text.clean(value) if isinstance(value, str) else value


# Names and ids by which you look something up.
Plain = Annotated[str, AfterValidator(_plain)]
# JSON and query parameters can only give a time as a string, so this field is not strict.
Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_not_a_number), AfterValidator(_utc)]
Name = Annotated[str, BeforeValidator(_cleaned), StringConstraints(min_length=1, max_length=63)]
Reference = Annotated[str, BeforeValidator(_cleaned), StringConstraints(min_length=1, max_length=512)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(_json_object)]
STORABLE = BeforeValidator(_json_object)  # of a type that is not Any
Storable = Annotated[Any, STORABLE]
Url = Annotated[str, BeforeValidator(_cleaned), StringConstraints(max_length=2048)]
