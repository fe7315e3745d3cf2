"""The driver's connection, whose BEGIN takes further statements along."""

from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[Any]
else:
    _Connection = asyncpg.Connection


class OpeningConnection(_Connection):
    """`opening` goes out with the next BEGIN, in the same round trip."""

    opening = ""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109  asyncpg's
        if self.opening and query.startswith("BEGIN"):
            query, self.opening = query + self.opening, ""
        return await super().execute(query, *args, timeout=timeout)
