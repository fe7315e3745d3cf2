"""The driver's connection: its BEGIN takes further statements along, and it knows what other connections learned."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import asyncpg

# Postgres' own types have lower numbers, the same in every database.
_FIRST_OF_OTHERS = 16384
_types: dict[frozenset[int], Any] = {}  # what Postgres said of its own types
_NO_STATEMENT = SimpleNamespace(name="none")  # in place of the one that asked


class OpeningConnection(asyncpg.Connection):  # type: ignore[misc]
    """`opening` goes out with the next BEGIN, in the same round trip."""

    opening = ""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109  asyncpg's
        if self.opening and query.startswith("BEGIN"):
            query, self.opening = query + self.opening, ""
        status: str = await super().execute(query, *args, timeout=timeout)
        return status

    async def _introspect_types(self, typeoids: Iterable[int], timeout: float | None) -> tuple[Any, Any]:  # noqa: ASYNC109
        """Asks once in a process: the statement takes ten times as long as most others, for each kind of array."""
        asked = frozenset(typeoids)
        if asked in _types:
            return _types[asked], _NO_STATEMENT
        found, statement = await super()._introspect_types(typeoids, timeout)
        if max(asked) < _FIRST_OF_OTHERS:
            _types[asked] = found
        return found, statement
