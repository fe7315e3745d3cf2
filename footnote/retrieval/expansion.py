"""The text around a hit on its page: the neighbouring chunks, or the rest of its section."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.tenant_scope import tenant_of

Expand = Literal["none", "neighbours", "section"]

REACH = 4_000  # characters to each side, at most


@dataclass(frozen=True)
class Context:
    """The text of a page around a hit: `text == page.text[char_start:char_end]`."""

    text: str
    char_start: int
    char_end: int


async def around(
    session: AsyncSession, chunks: Sequence[tuple[str, int]], how: Expand
) -> dict[tuple[str, int], Context]:
    """The context of each chunk, named by version id and position; those deleted meanwhile have none.

    `neighbours` is the chunk with the ones before and behind it, `section` what has its heading on the page, within
    `REACH`. Whole chunks.
    """
    rows = await session.execute(
        text(_NEIGHBOURS if how == "neighbours" else _SECTION),
        {
            "tenant": tenant_of(session),
            "versions": [version_id for version_id, _ in chunks],
            "positions": [position for _, position in chunks],
            "reach": REACH,
        },
    )
    return {(row.version_id, row.position): Context(row.text, row.char_start, row.char_end) for row in rows}


_ASKED = """
WITH asked AS (
    SELECT c.version_id, c.position, c.tenant_id, c.page_start, c.heading, c.char_start, c.char_end
    FROM unnest(CAST(:versions AS text[]), CAST(:positions AS int[])) AS wanted(version_id, position)
    JOIN chunk c ON c.version_id = wanted.version_id AND c.position = wanted.position AND c.tenant_id = :tenant
),
span AS (
    SELECT a.version_id, a.position, a.page_start, min(n.char_start) AS char_start, max(n.char_end) AS char_end
    FROM asked a
    JOIN chunk n ON n.version_id = a.version_id AND n.page_start = a.page_start
     AND n.char_start >= a.char_start - :reach AND n.char_end <= a.char_end + :reach AND """
_SPAN = """
    GROUP BY a.version_id, a.position, a.page_start
)
SELECT s.version_id, s.position, s.char_start, s.char_end,
       substr(p.text, s.char_start + 1, s.char_end - s.char_start) AS text
FROM span s JOIN page p ON p.version_id = s.version_id AND p.number = s.page_start
"""
_NEIGHBOURS = f"{_ASKED}n.position BETWEEN a.position - 1 AND a.position + 1{_SPAN}"
_SECTION = f"{_ASKED}n.heading = a.heading{_SPAN}"
