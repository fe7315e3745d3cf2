"""Counts the documents that a question searches, and those that are still being ingested."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.tenant_scope import tenant_of
from footnote.filters import sql
from footnote.models import Collection

if TYPE_CHECKING:
    from footnote.retrieval import Query

# A count of more documents than this takes milliseconds: it is remembered for a while, by each process for itself.
LARGE = 5_000
REMEMBERED_SECONDS = 60.0
MOST_REMEMBERED = 1_000
MOST_UNFINISHED = 1_000  # counted
_LOOKED_AT = 2_000  # unfinished jobs of the tenant, at most, when those in scope are counted


@dataclass(frozen=True)
class Searched:
    """`documents` are looked into. `unfinished` of the scope are being ingested, for the first time or again.

    The second is counted to 1,000. A document that is being replaced is in both: its last version is searched.
    """

    documents: int = 0
    unfinished: int = 0


_DOCUMENTS = """
SELECT count(*) FROM document_of_tenant AS document
WHERE document.tenant_id = :tenant AND document.collection_id = ANY(CAST(:collections AS text[]))
  AND document.active_version_id IS NOT NULL {also}
"""
_UNFINISHED = """
SELECT count(*) FROM (
    SELECT FROM (
        SELECT job.document_id FROM job
        WHERE job.tenant_id = :tenant AND job.state IN ('queued', 'running', 'waiting') AND NOT job.reingestion
        LIMIT :looked_at
    ) AS unfinished JOIN document_of_tenant AS document ON document.id = unfinished.document_id
    WHERE document.tenant_id = :tenant AND document.collection_id = ANY(CAST(:collections AS text[])) {also}
    LIMIT :most
) AS found
"""
_remembered: dict[tuple[Any, ...], tuple[float, int]] = {}


async def of(
    session: AsyncSession, query: "Query", chosen: Sequence[Collection], searched: Sequence[Collection]
) -> Searched:
    """`searched` are those of the `chosen` collections that are looked into: not the empty ones."""
    ids = sorted(each.id for each in searched)
    documents = await _documents(session, query, ids) if ids else 0
    also, parameters = _condition(session, query, sql.NEWEST)
    parameters |= {"collections": [each.id for each in chosen], "looked_at": _LOOKED_AT, "most": MOST_UNFINISHED}
    unfinished = await session.scalar(text(_UNFINISHED.format(also=also)), parameters)
    return Searched(documents, int(unfinished or 0))


async def _documents(session: AsyncSession, query: "Query", collection_ids: list[str]) -> int:
    named = None if query.document_ids is None else tuple(query.document_ids)
    key = (tenant_of(session), tuple(collection_ids), named, repr(query.filter))
    counted_at, number = _remembered.get(key, (0.0, 0))
    if number > LARGE and time.monotonic() - counted_at < REMEMBERED_SECONDS:
        return number
    also, parameters = _condition(session, query, sql.ACTIVE)
    counted = await session.scalar(text(_DOCUMENTS.format(also=also)), parameters | {"collections": collection_ids})
    number = int(counted or 0)
    if number > LARGE:
        if len(_remembered) >= MOST_REMEMBERED:
            _remembered.clear()
        _remembered[key] = time.monotonic(), number
    return number


def _condition(session: AsyncSession, query: "Query", version: str) -> tuple[str, dict[str, Any]]:
    """What a question says of documents beside their collections, and the parameters of both."""
    also, tenant_id = "", tenant_of(session)
    parameters: dict[str, Any] = {"tenant": tenant_id}
    if query.document_ids is not None:
        also += " AND document.id = ANY(CAST(:documents AS text[]))"
        parameters["documents"] = list(query.document_ids)
    if query.filter is not None:
        condition, its = sql.condition(query.filter, tenant_id, version)
        also += f" AND {condition}"
        parameters |= its
    return also, parameters
