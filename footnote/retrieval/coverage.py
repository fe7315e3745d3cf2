"""Counts the documents that a question searches, and those that are still being ingested.

Whole collections are not counted: their tallies say how many documents they have.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from footnote.database.driver import Written
from footnote.filters import sql
from footnote.tenancy import tallies

if TYPE_CHECKING:
    from footnote.retrieval import Query

# A count of more documents than this takes milliseconds: it is remembered for a while, by each process for itself.
LARGE = 5_000
REMEMBERED_SECONDS = 60.0
MOST_REMEMBERED = 1_000
MOST_UNFINISHED = 1_000  # counted
MOST_NAMES = 100  # of collections that are listed
_LOOKED_AT = 2_000  # unfinished jobs of the tenant, at most, when those in scope are counted


@dataclass(frozen=True)
class Searched:
    """`documents` are looked into. `unfinished` of the scope are being ingested, for the first time or again.

    The second is counted to 1,000. A document that is being replaced is in both: its last version is searched.
    `passages` of these `collections` (names, the first 100) were searched; None if a filter or a list of documents left
    some out (`filtered`).
    """

    documents: int = 0
    unfinished: int = 0
    passages: int | None = None
    collections: Sequence[str] = ()
    filtered: bool = False


# Of one of the CTE `chosen`, and of all of them.
DOCUMENTS = """
SELECT count(*) FROM document_of_tenant AS document
WHERE document.tenant_id = :tenant AND document.collection_id = chosen.id
  AND document.active_version_id IS NOT NULL {also}
"""
UNFINISHED = """
SELECT count(*) FROM (
    SELECT FROM (
        SELECT job.document_id FROM job
        WHERE job.tenant_id = :tenant AND job.state IN ('queued', 'running', 'waiting') AND NOT job.reingestion
        LIMIT :looked_at
    ) AS unfinished, LATERAL (
        SELECT document.* FROM document_of_tenant AS document WHERE document.id = unfinished.document_id OFFSET 0
    ) AS document
    WHERE document.tenant_id = :tenant AND document.collection_id IN (SELECT id FROM chosen) {also}
    LIMIT :most_unfinished
) AS found
"""
_remembered: dict[tuple[Any, ...], tuple[float, dict[str, int]]] = {}


def counts(tenant_id: str, query: "Query") -> tuple[str, str, dict[str, Any]]:
    """Both as SQL for a query, the first as NULL if the numbers are remembered; and the parameters."""
    active, parameters = _condition(tenant_id, query, sql.ACTIVE)
    newest, its = _condition(tenant_id, query, sql.NEWEST)
    parameters |= its | {"looked_at": Written(_LOOKED_AT), "most_unfinished": Written(MOST_UNFINISHED)}
    if query.is_whole:
        documents = tallies.OF_CHOSEN.format(column="searchable")
    else:
        documents = "NULL" if _known(tenant_id, query) else DOCUMENTS.format(also=active)
    return documents, UNFINISHED.format(also=newest), parameters


def total(tenant_id: str, query: "Query", counted: Mapping[str, int | None], searched: Collection[str]) -> int:
    """The documents of the collections that are `searched`, by what was `counted` or is remembered."""
    numbers = _known(tenant_id, query) or {each: number or 0 for each, number in counted.items()}
    if sum(numbers.values()) > LARGE and not query.is_whole and not _known(tenant_id, query):
        if len(_remembered) >= MOST_REMEMBERED:
            _remembered.clear()
        _remembered[_key(tenant_id, query)] = time.monotonic(), numbers
    return sum(numbers.get(each, 0) for each in searched)


def _known(tenant_id: str, query: "Query") -> dict[str, int] | None:
    counted_at, numbers = _remembered.get(_key(tenant_id, query), (0.0, {}))
    recent = time.monotonic() - counted_at < REMEMBERED_SECONDS
    return numbers if numbers and recent else None


def _key(tenant_id: str, query: "Query") -> tuple[Any, ...]:
    collections, documents = (None if each is None else tuple(each) for each in (query.collections, query.document_ids))
    return tenant_id, collections, documents, repr(query.filter)


def _condition(tenant_id: str, query: "Query", version: str) -> tuple[str, dict[str, Any]]:
    """The conditions of a question on documents other than their collections, and the parameters of both."""
    also = ""
    parameters: dict[str, Any] = {"tenant": tenant_id}
    if query.document_ids is not None:
        also += " AND document.id = ANY(CAST(:documents AS text[]))"
        parameters["documents"] = list(query.document_ids)
    if query.filter is not None:
        condition, its = sql.condition(query.filter, tenant_id, version)
        also += f" AND {condition}"
        parameters |= its
    return also, parameters
