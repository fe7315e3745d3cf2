"""The driver's connection, whose BEGIN takes further statements along."""

from typing import Any

import asyncpg


class OpeningConnection(asyncpg.Connection):  # type: ignore[misc]
    """`opening` goes out with the next BEGIN, in the same round trip."""

    opening = ""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109  asyncpg's
        if self.opening and query.startswith("BEGIN"):
            query, self.opening = query + self.opening, ""
        status: str = await super().execute(query, *args, timeout=timeout)
        return status
