"""Filters in requests. Their language has its own parser, so that an error names the condition."""

import json
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from footnote import filters
from footnote.errors import Invalid

FILTER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Filter",
    "description": "A condition on documents: `eq, ne, gt, gte, lt, lte, in, nin, exists` with `key` and `value`; "
    "`and, or` with `filters`; `not` with `filter`. A key is one of the metadata, or a field of the document: "
    + ", ".join(sorted({*filters.TEXTS, *filters.TIMES, filters.COLLECTION})),
    "required": ["type"],
    "properties": {
        "type": {"enum": list(filters.MEMBERS)},
        "key": {"type": "string", "maxLength": filters.KEY_CHARACTERS},
        "value": {"description": "A string, number or boolean; a list of them for `in` and `nin`."},
        "filters": {"type": "array", "items": {"type": "object"}},
        "filter": {"type": "object"},
    },
    "additionalProperties": False,
    "examples": [{"type": "eq", "key": "department", "value": "legal"}],
}


def _parsed(given: Any) -> filters.Filter:
    return filters.parse(given, "body.filters")


FilterIn = Annotated[filters.Filter, PlainValidator(_parsed), WithJsonSchema(FILTER_SCHEMA)]


def filter_of(given: str | None) -> filters.Filter | None:
    """Raises Invalid."""
    if given is None:
        return None
    try:
        value = json.loads(given)
    except (ValueError, RecursionError) as error:
        problem = {"field": "query.filter", "message": "is not JSON"}
        raise Invalid("invalid_filter", "query.filter is not JSON.", fields=[problem]) from error
    return filters.parse(value, "query.filter")
