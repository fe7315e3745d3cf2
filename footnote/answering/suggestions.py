"""Questions that a collection may be asked first: made of headings of its newest documents, without a model."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import driver
from footnote.documents.listing import list_documents

DOCUMENTS = 5  # that are looked at: the newest
SHORTEST, LONGEST = 6, 60  # characters of a heading that makes a good question
_NUMBER = re.compile(r"^[\dIVXivx]+(?:\.\d+)*[.)]?\s+")

# The first chunks of versions: a few hundred rows at most.
_HEADINGS = """
SELECT v.place, c.heading, c.page_start
FROM unnest($1::text[]) WITH ORDINALITY AS v (id, place)
CROSS JOIN LATERAL (
    SELECT heading, page_start, position FROM chunk WHERE version_id = v.id ORDER BY position LIMIT 60
) AS c
WHERE c.heading <> '' ORDER BY v.place, c.position
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
    newest = await list_documents(session, limit=DOCUMENTS, collection=collection, states=["succeeded"])
    versions = [each.version.id for each in newest]
    rows = await (await driver(session)).fetch(_HEADINGS, versions)
    by_document: dict[str, dict[str, Suggestion]] = {}
    for place, path, page in rows:
        document_id, filename = newest[place - 1].document.id, newest[place - 1].version.filename
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
