"""A filter as a condition in SQL. Keys and values are bound, never written into it."""

import json
from collections.abc import Sequence
from typing import Any

from footnote import filters
from footnote.filters import Among, Combined, Exists, Filter, Not, Ordered, Scalar

# Which version of the document `$filename` and `$media_type` are of: the one that queries see, or the newest.
ACTIVE = "v.id = document.active_version_id"
NEWEST = "v.document_id = document.id AND v.number = document.newest_version"

# Up to this many values are looked for through the index on metadata; more are compared with each document's.
PROBED_VALUES = 16
_ORDERS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_COLUMNS = {
    "$document_id": "document.id",
    "$external_id": "document.external_id",
    "$created_at": "document.created_at",
    "$updated_at": "document.updated_at",
    "$collection": "document.collection_id",
    "$filename": "(SELECT v.filename FROM version v WHERE {version})",
    "$media_type": "(SELECT v.media_type FROM version v WHERE {version})",
}


def condition(filter: Filter, tenant_id: str, version: str) -> tuple[str, dict[str, Any]]:
    """SQL about the table `document`, true where the filter matches and else false or NULL, and its parameters."""
    writer = _Writer(tenant_id, version)
    return writer.write(filter), writer.parameters


class _Writer:
    def __init__(self, tenant_id: str, version: str) -> None:
        self.parameters: dict[str, Any] = {}
        self._tenant_id = tenant_id
        self._columns = {key: column.format(version=version) for key, column in _COLUMNS.items()}

    def write(self, filter: Filter) -> str:
        match filter:
            case Combined(word, parts):
                return "(" + f" {word.upper()} ".join(map(self.write, parts)) + ")"
            case Not(negated):
                return f"({self.write(negated)} IS NOT TRUE)"
            case Exists(key) if key in self._columns:
                return f"({self._columns[key]} IS NOT NULL)"
            case Exists(key):
                return f"(jsonb_typeof({self._member(key)}) <> 'null')"
            case Among(key, values):
                return f"({self._among(key, values)})"
            case Ordered(key, order, bound):
                return f"({self._ordered(key, _ORDERS[order], bound)})"

    def _bound(self, value: Any, sql_type: str) -> str:
        name = f"filter_{len(self.parameters)}"
        self.parameters[name] = value
        return f"CAST(:{name} AS {sql_type})"

    def _member(self, key: str, arrow: str = "->") -> str:
        """The value of a key of the metadata."""
        return f"(document.metadata {arrow} {self._bound(_name(key), 'text')})"

    def _moment(self, value: Sequence[str] | str, sql_type: str = "timestamptz") -> str:
        """A time is bound as text, so that Postgres reads it as it reads the stored ones."""
        return f"CAST({self._bound(value, sql_type.replace('timestamptz', 'text'))} AS {sql_type})"

    def _among(self, key: str, values: tuple[Scalar, ...]) -> str:
        if key == filters.COLLECTION:
            named, tenant = self._bound(list(values), "text[]"), self._bound(self._tenant_id, "text")
            found = f"SELECT k.id FROM collection k WHERE k.tenant_id = {tenant} AND k.deleted_at IS NULL"
            return f"document.collection_id IN ({found} AND (k.id = ANY({named}) OR k.name = ANY({named})))"
        if key in filters.TIMES:
            return f"{self._columns[key]} = ANY({self._moment([str(each) for each in values], 'timestamptz[]')})"
        if key in self._columns:
            return f"{self._columns[key]} = ANY({self._bound(list(values), 'text[]')})"
        if len(values) <= PROBED_VALUES:
            held = [json.dumps({_name(key): each}) for value in values for each in (value, [value])]
            return f"document.metadata @> ANY({self._bound(held, 'jsonb[]')})"
        wanted = f"SELECT unnest({self._bound([json.dumps(value) for value in values], 'jsonb[]')})"
        member = self._member(key)
        return (
            f"CASE jsonb_typeof({member}) WHEN 'array' THEN EXISTS ("
            f"SELECT FROM jsonb_array_elements({member}) AS element WHERE element.value IN ({wanted}))"
            f" ELSE {member} IN ({wanted}) END"
        )

    def _ordered(self, key: str, operator: str, bound: str | int | float) -> str:
        if key in filters.TIMES:
            return f"{self._columns[key]} {operator} {self._moment(str(bound))}"
        if key in self._columns:
            return f'{self._columns[key]} COLLATE "C" {operator} {self._bound(bound, "text")}'
        member = self._member(key)
        if not isinstance(bound, str):
            # As jsonb, which compares values of any type: Postgres may compare the values before it checks their types.
            value = self._bound(json.dumps(bound), "jsonb")
            return f"jsonb_typeof({member}) = 'number' AND {member} {operator} {value}"
        words = self._member(key, "->>")
        if not filters.is_moment(bound):
            return (
                f"jsonb_typeof({member}) = 'string' AND {words} COLLATE \"C\" {operator} {self._bound(bound, 'text')}"
            )
        shape = f"{words} ~ {self._bound(filters.MOMENT, 'text')} AND pg_input_is_valid({words}, 'timestamptz')"
        return (
            f"CASE WHEN jsonb_typeof({member}) = 'string' AND {shape}"
            f" THEN CAST({words} AS timestamptz) {operator} {self._moment(bound)} END"
        )


def _name(key: str) -> str:
    """A key of the metadata, without the `$` that doubles its first one."""
    return key[1:] if key.startswith("$$") else key
