"""Questions that a collection may be asked first: made of headings of its newest documents, without a model."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections
from footnote.database.driver import driver
from footnote.database.tenant_scope import tenant_of

SHORTEST, LONGEST = 6, 60  # characters of a heading that makes a good question
_NUMBER = re.compile(r"^[\dIVXivx]+(?:\.\d+)*[.)]?\s+")

# The newest documents, and their first chunks: a few hundred rows at most.
_HEADINGS = """
SELECT d.id AS document_id, v.filename, c.heading, c.page_start AS page
FROM (
    SELECT id, active_version_id FROM document
    WHERE tenant_id = $1 AND collection_id = $2 AND active_version_id IS NOT NULL ORDER BY id DESC LIMIT 5
) AS d
JOIN version v ON v.id = d.active_version_id
CROSS JOIN LATERAL (
    SELECT heading, page_start, position FROM chunk WHERE version_id = d.active_version_id ORDER BY position LIMIT 60
) AS c
WHERE c.heading <> '' ORDER BY d.id DESC, c.position
"""


@dataclass(frozen=True)
class Suggestion:
    """A question about a heading, and where that stands."""

    question: str
    heading: str
    document_id: str
    filename: str
    page: int


async def suggestions(session: AsyncSession, collection: str, limit: int) -> list[Suggestion]:
    """`limit` at most, spread over the newest documents. Raises NotFound for an unknown collection."""
    collection_id = (await collections.find(session, collection)).id
    rows = await (await driver(session)).fetch(_HEADINGS, tenant_of(session), collection_id)
    by_document: dict[str, dict[str, Suggestion]] = {}
    for document_id, filename, path, page in rows:
        heading = _NUMBER.sub("", path.split(" > ")[-1]).strip()
        if SHORTEST <= len(heading) <= LONGEST:
            question = f"What does it say about “{heading}”?"
            made = Suggestion(question, heading, document_id, filename, page)
            by_document.setdefault(document_id, {}).setdefault(heading.lower(), made)
    return list(_in_turn([list(each.values()) for each in by_document.values()], limit))


def _in_turn(each: list[list[Suggestion]], limit: int) -> Iterator[Suggestion]:
    """One of each document in turn, from evenly spaced places in it; no heading twice."""
    if not each:
        return
    share = -(-limit // len(each))
    spaced = [found[:: max(1, len(found) // share)][:share] for found in each]
    seen: set[str] = set()
    for place in range(share):
        for found in spaced:
            if place < len(found) and found[place].heading.lower() not in seen and len(seen) < limit:
                seen.add(found[place].heading.lower())
                yield found[place]
