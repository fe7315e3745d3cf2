"""The driver's connection: its BEGIN takes further statements along, and it knows what other connections learned."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any

import asyncpg

from footnote.database.driver import settings_of

# Postgres' own types have lower numbers, the same in every database.
_FIRST_OF_OTHERS = 16384
_types: dict[frozenset[int], Any] = {}  # what Postgres said of its own types
_NO_STATEMENT = SimpleNamespace(name="none")  # in place of the one that asked


class OpeningConnection(asyncpg.Connection):  # type: ignore[misc]
    """Statements go out with each BEGIN, in the same round trip: `opening` once, else those that make `settings`.

    It is `alone` if its session of Postgres is its own; if a pooler lends it for a transaction, each has the settings.
    """

    alone = False
    settings: Mapping[str, str] = MappingProxyType({})
    opening = ""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109  asyncpg's
        if query.startswith("BEGIN"):
            query, self.opening = query + (self.opening or self._opening()), ""
        status: str = await super().execute(query, *args, timeout=timeout)
        return status

    def _opening(self) -> str:
        return f"SELECT {settings_of(self.settings)};" if self.settings else ""

    async def _introspect_types(self, typeoids: Iterable[int], timeout: float | None) -> tuple[Any, Any]:  # noqa: ASYNC109  asyncpg's
        """Asks once in a process: the statement takes ten times as long as most others, for each kind of array."""
        asked = frozenset(typeoids)
        if asked in _types:
            return _types[asked], _NO_STATEMENT
        found, statement = await super()._introspect_types(typeoids, timeout)
        if max(asked) < _FIRST_OF_OTHERS:
            _types[asked] = found
        return found, statement
