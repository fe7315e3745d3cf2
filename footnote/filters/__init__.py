"""Filters: conditions on the documents of a search, a question or a list.

The language is that of OpenAI's attribute filters, plus `not`, `exists` and a document's own fields;
docs/retrieval.md defines it. This module parses a filter into terms; `sql` writes them as SQL.
"""

import re
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from footnote.errors import Invalid
from footnote.text import clean

DEPTH = 8
CONDITIONS = 100
KEY_CHARACTERS = 64
VALUE_CHARACTERS = 1024
LISTED_VALUES = 1000

# The document's own fields. In front of a key of the metadata, a `$` is doubled.
TEXTS = {"$document_id", "$external_id", "$filename", "$media_type"}
TIMES = {"$created_at", "$updated_at"}
COLLECTION = "$collection"  # by name or id

# A date, or a time as RFC 3339 has it; without an offset it is UTC. Hours and offsets only as Postgres takes them, too.
MOMENT = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    "([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])?)?$"
)

Scalar = str | int | float | bool
Order = Literal["gt", "gte", "lt", "lte"]


@dataclass(frozen=True)
class Among:
    """The value, or an element of it, is one of these."""

    key: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class Ordered:
    key: str
    order: Order
    bound: str | int | float


@dataclass(frozen=True)
class Exists:
    key: str


@dataclass(frozen=True)
class Not:
    filter: "Filter"


@dataclass(frozen=True)
class Combined:
    word: Literal["and", "or"]
    filters: tuple["Filter", ...]


Filter = Among | Ordered | Exists | Not | Combined


def is_moment(value: str) -> bool:
    """Whether a string is a date or a time, and so compared as one."""
    if not re.fullmatch(MOMENT, value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def parse(given: Any, at: str = "filters") -> Filter:
    """The filter that a JSON value stands for. Raises Invalid, naming the field at fault from `at` on."""
    return _Parser().filter(given, at, 1)


_COMPARED = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "exists")
MEMBERS = {
    **{kind: {"type", "key", "value"} for kind in _COMPARED},
    "and": {"type", "filters"},
    "or": {"type", "filters"},
    "not": {"type", "filter"},
}


class _Parser:
    def __init__(self) -> None:
        self._conditions = 0

    def filter(self, given: Any, at: str, depth: int) -> Filter:
        if not isinstance(given, dict):
            raise _wrong(at, "must be an object")
        if depth > DEPTH:
            raise _wrong(at, f"is nested more than {DEPTH} deep")
        kind = given.get("type")
        if not isinstance(kind, str) or kind not in MEMBERS:
            raise _wrong(f"{at}.type", f"must be one of {', '.join(MEMBERS)}")
        for name in MEMBERS[kind] - given.keys():
            raise _wrong(f"{at}.{name}", f"is missing: {kind!r} needs it")
        for name in given.keys() - MEMBERS[kind]:
            raise _wrong(at, f"has the member {clean(name)[:KEY_CHARACTERS]!r}, which {kind!r} does not accept")
        if kind == "not":
            return Not(self.filter(given["filter"], f"{at}.filter", depth + 1))
        if kind in ("and", "or"):
            return Combined(
                "and" if kind == "and" else "or", self._several(given["filters"], f"{at}.filters", depth + 1)
            )
        self._conditions += 1
        if self._conditions > CONDITIONS:
            raise _wrong(at, f"exceeds the limit of {CONDITIONS} conditions")
        return _condition(kind, given["key"], given["value"], at)

    def _several(self, given: Any, at: str, depth: int) -> tuple[Filter, ...]:
        if not isinstance(given, list) or not given:
            raise _wrong(at, "must be a list of at least one filter")
        return tuple(self.filter(each, f"{at}.{number}", depth) for number, each in enumerate(given))


def _condition(kind: str, key: Any, value: Any, at: str) -> Filter:
    key = _key(key, f"{at}.key")
    at_value = f"{at}.value"
    match kind:
        case "exists":
            if not isinstance(value, bool):
                raise _wrong(at_value, "must be true or false")
            return Exists(key) if value else Not(Exists(key))
        case "eq" | "ne":
            found = Among(key, (_scalar(key, value, at_value),))
            return found if kind == "eq" else Not(found)
        case "in" | "nin":
            if not isinstance(value, list) or len(value) > LISTED_VALUES:
                raise _wrong(at_value, f"must be a list of at most {LISTED_VALUES} values")
            listed = tuple(_scalar(key, each, f"{at_value}.{number}") for number, each in enumerate(value))
            return Among(key, listed) if kind == "in" else Not(Among(key, listed))
        case "gt" | "gte" | "lt" | "lte" if key != COLLECTION:
            bound = _scalar(key, value, at_value)
            if isinstance(bound, bool):
                raise _wrong(at_value, "must be a number or a string: true and false cannot be ordered")
            return Ordered(key, kind, bound)
    raise _wrong(f"{at}.type", f"must be eq, ne, in, nin or exists for {COLLECTION}")


def _key(given: Any, at: str) -> str:
    if not isinstance(given, str) or not 1 <= len(given) <= KEY_CHARACTERS:
        raise _wrong(at, f"must be a string of 1 to {KEY_CHARACTERS} characters")
    own = {*TEXTS, *TIMES, COLLECTION}
    if given.startswith("$") and not given.startswith("$$") and given not in own:
        raise _wrong(
            at, f"is not one of a document's fields {', '.join(sorted(own))}; for a key of the metadata write $$"
        )
    return clean(given)


def _scalar(key: str, given: Any, at: str) -> Scalar:
    """The value, as it was cleaned when it was stored."""
    if key in TIMES and not (isinstance(given, str) and is_moment(given)):
        raise _wrong(at, "must be a date or an RFC 3339 time")
    if isinstance(given, str):
        if len(given) > VALUE_CHARACTERS:
            raise _wrong(at, f"must have at most {VALUE_CHARACTERS} characters")
        return clean(given)
    if key.startswith("$") and not key.startswith("$$"):
        raise _wrong(at, "must be a string")
    if isinstance(given, int | float) and abs(given) <= sys.float_info.max:  # False for NaN
        return given
    raise _wrong(at, "must be a string, a finite number, true or false")


def _wrong(at: str, what: str) -> Invalid:
    return Invalid("invalid_filter", f"{at} {what}.", fields=[{"field": at, "message": what}])
