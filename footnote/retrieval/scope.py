"""The condition that limits a question to the chunks in its scope."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import PLANNED_ONCE, driver, positional
from footnote.errors import TimedOut
from footnote.filters import Filter, sql
from footnote.retrieval import two_spaces

if TYPE_CHECKING:
    from asyncpg import Record

STATEMENT_SECONDS = 20  # of a search, which holds a connection meanwhile
_TOO_SLOW = "The search took too long. Ask a shorter question, or name fewer collections or documents."

# The tenant wall of retrieval: each leg reads chunks through this condition and no other. And through the views of a
# tenant's own rows: row-level security on the tables would cost the indexes on words and metadata, also where a table
# is joined to a view (ADR 21). What is shown of a hit comes from the tables.
WALL = "c.tenant_id = :tenant AND c.collection_id = ANY(CAST(:collections AS text[]))"
_NAMED = " AND c.document_id = ANY(CAST(:documents AS text[]))"
_FILTERED = """ AND c.document_id IN (
    SELECT document.id FROM document_of_tenant AS document
    WHERE document.tenant_id = :tenant AND document.collection_id = ANY(CAST(:collections AS text[])) AND {condition}
)"""
MOST_MATCHING = 5_000  # documents whose versions are looked up, which takes about 2 microseconds each
# The documents that match a filter and have chunks, and how many chunks; neither for more documents than MOST_MATCHING.
_MATCHING = """
WITH matching AS MATERIALIZED (
    SELECT c.document_id, c.active_version_id
    FROM (SELECT d.tenant_id, d.collection_id, d.id AS document_id, d.active_version_id FROM document_of_tenant d) AS c
    WHERE {scope} AND c.active_version_id IS NOT NULL LIMIT :most_matching + 1
)
SELECT coalesce(array_agg(matching.document_id), CAST('{{}}' AS text[])) AS documents,
       CAST(coalesce(sum(v.chunks), 0) AS bigint) AS chunks
FROM matching, LATERAL (
    SELECT v.chunks FROM version_of_tenant v WHERE v.id = matching.active_version_id AND v.chunks > 0 OFFSET 0
) AS v
HAVING (SELECT count(*) FROM matching) <= :most_matching
"""
# Chunks of documents that are named, counted up to `most` and one more.
_COUNTED = "SELECT count(*) FROM (SELECT FROM chunk_of_tenant c WHERE {scope} LIMIT :most + 1) AS counted"


@dataclass
class Scope:
    """A condition on the chunk `c`, and the parameters that a statement made with it names."""

    condition: str
    parameters: dict[str, Any] = field(default_factory=dict)
    is_filtered: bool = False
    chunks: int = 0  # of the whole collections
    size: int | None = None  # chunks in scope, once it is measured; None: more than were counted
    # Collections whose model is being swapped: the space that is searched.
    swapped: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether all of the collections is in scope."""
        return self.condition == WALL

    async def run(self, session: AsyncSession, statement: str, **parameters: Any) -> "list[Record]":
        """The rows, in a transaction of `limits()`. Raises TimedOut(search_too_slow)."""
        from asyncpg import QueryCanceledError

        written, values = positional(self._sized(statement), self.parameters | parameters)
        try:
            rows: list[Record] = await (await driver(session)).fetch(written, *values)
        except QueryCanceledError as error:
            raise TimedOut("search_too_slow", _TOO_SLOW) from error
        return rows

    def _sized(self, statement: str) -> str:
        """The statement of collections this large: one that has grown by four times is planned once more."""
        return f"/* chunks < 4^{(self.chunks.bit_length() + 1) // 2} */ {statement}"

    async def measure(self, session: AsyncSession, most: int) -> None:
        """Sets `size`. Up to `most` chunks, a filter is done with: its documents are named instead."""
        found: int | None = self.chunks
        if self.is_filtered:
            matching = await self.run(session, _MATCHING.format(scope=self.condition), most_matching=MOST_MATCHING)
            found = matching[0]["chunks"] if matching else None
            if found is not None and found <= most:
                self.condition = WALL + _NAMED
                self.parameters["documents"] = matching[0]["documents"]
        elif not self.is_whole:
            [[found]] = await self.run(session, _COUNTED.format(scope=self.condition), most=most)
        self.size = found if found is not None and found <= most else None


def limits(*, whole: bool = False) -> dict[str, str]:
    """Settings of a transaction in which a scope's statements run; `whole`: over collections, not some documents.

    To plan a search takes as long as to run it, so one plan of each connection serves all that look into whole
    collections, and goes by the index of the vectors instead of a sort. All of them see the same documents, though one
    is replaced meanwhile.

    Postgres would start parallel workers, each a process, before it knows that a branch of the plan reads nothing, such
    as the one for too few hits by the index: that took longer than the search.
    """
    settings = {
        "transaction_isolation": "repeatable read",
        "statement_timeout": f"{STATEMENT_SECONDS}s",
        "max_parallel_workers_per_gather": "0",
    }
    return settings | (PLANNED_ONCE | {"enable_sort": "off"} if whole else {})


def scope_of(
    tenant_id: str,
    collections: Sequence[str],
    document_ids: Sequence[str] | None,
    filter: Filter | None = None,
    *,
    chunks: int = 0,
    swapped: Mapping[str, int] | None = None,
) -> Scope:
    """The chunks of the tenant, in these collections (ids), of these documents only if any are named or filtered.

    `chunks` is the number of those in the collections, `swapped` as in `Scope`.
    """
    scope = Scope(WALL, {"tenant": tenant_id, "collections": list(collections)}, chunks=chunks, swapped=swapped or {})
    scope.parameters |= two_spaces.parameters(scope.swapped)
    if document_ids is not None:
        scope.condition += _NAMED
        scope.parameters["documents"] = list(document_ids)
    if filter is not None:
        condition, parameters = sql.condition(filter, tenant_id, sql.ACTIVE)
        scope.condition += _FILTERED.format(condition=condition)
        scope.parameters |= parameters
        scope.is_filtered = True
    return scope
