"""What a query looks into: its collections, read by one statement, and what they were when it was asked last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections
from footnote.collections import expiry
from footnote.database.driver import driver, positional
from footnote.database.rows import RowReader
from footnote.database.tenant_scope import tenant_of
from footnote.models import Collection, EmbeddingSpace
from footnote.retrieval import coverage, spaces
from footnote.retrieval.coverage import Searched
from footnote.runtime import Runtime
from footnote.tenancy import tallies

if TYPE_CHECKING:
    from footnote.retrieval import Query

MOST_REMEMBERED = 1_000

# One snapshot: whatever changes after it counts as later than the revisions. The languages are those of the chunks, by
# a loose index scan: what a collection says may not hold for all of its chunks yet.
_CHOSEN = """
WITH chosen AS MATERIALIZED (
    SELECT c.* FROM collection c
    WHERE c.tenant_id = :tenant AND c.deleted_at IS NULL
      AND (CAST(:named AS text[]) IS NULL OR c.name = ANY(CAST(:named AS text[])) OR c.id = ANY(CAST(:named AS text[])))
)
SELECT chosen.id, chosen.name, {space} AS space_id, chosen.standby_space_id,
       chosen.embedding_provider, chosen.embedding_model,
       s.provider, s.model, s.dimensions, s.requested_dimensions, s.other_dimensions, s.other_seen, s.other_since,
       s.noise, s.related,
       chosen.last_active_at < now() - interval '1 minute' AS is_idle,
       chosen.last_active_at + make_interval(days => chosen.expires_after_days) <= now() AS is_expired,
       coalesce(r.revision, 0) AS revision, {languages} AS languages,
       EXISTS (SELECT FROM chunk c WHERE c.tenant_id = :tenant AND c.collection_id = chosen.id) AS is_filled,
       ({documents}) AS documents, ({unfinished}) AS unfinished, ({chunks}) AS chunks
FROM chosen LEFT JOIN collection_revision r ON r.collection_id = chosen.id
LEFT JOIN embedding_space s ON s.id = {space}
ORDER BY chosen.id
"""
_LANGUAGES = """ARRAY(
    WITH RECURSIVE seen AS (
        (SELECT language FROM chunk_of_tenant WHERE tenant_id = :tenant AND collection_id = chosen.id
         ORDER BY language LIMIT 1)
        UNION ALL
        SELECT (SELECT language FROM chunk_of_tenant WHERE tenant_id = :tenant AND collection_id = chosen.id
                AND language > seen.language ORDER BY language LIMIT 1)
        FROM seen WHERE seen.language IS NOT NULL
    ) SELECT CAST(language AS text) FROM seen WHERE language IS NOT NULL
)"""
_MODEL = ("provider", "model", "dimensions", "requested_dimensions")
_OTHER_LENGTH = ("other_dimensions", "other_seen", "other_since")  # of the length of its vectors
_OF_SPACE = (*_MODEL, *_OTHER_LENGTH, "noise", "related")
_OF_COLLECTION = ("id", "name", "space_id", "embedding_provider", "embedding_model")
_COLLECTION, _SPACE = RowReader(Collection, names=_OF_COLLECTION), RowReader(EmbeddingSpace, names=("id", *_OF_SPACE))


@dataclass(frozen=True)
class ResolvedScope:
    """What a query looks into, as one statement found it.

    `revisions` are those of all its collections; `filled` are the collections that hold something it can find, with
    texts in these `languages`, which are read where words are looked for.
    """

    revisions: Mapping[str, int]
    filled: Sequence[Collection]
    spaces: Sequence[EmbeddingSpace]
    languages: frozenset[str]
    searched: Searched
    chunks: int = 0  # of the filled ones
    swapped: Mapping[str, int] = field(default_factory=dict)  # ids of those with a second space: the one searched

    def asks_as(self, other: "ResolvedScope") -> bool:
        """Whether the same models are asked for the question's vectors, whatever other lengths were seen meanwhile."""
        return [_model_and_lengths(each) for each in self.spaces] == [_model_and_lengths(each) for each in other.spaces]


NOTHING = ResolvedScope({}, (), (), frozenset(), Searched())
_remembered: dict[tuple[Any, ...], ResolvedScope] = {}


def remembered(rt: Runtime, query: "Query") -> ResolvedScope | None:
    """What the same place was when this process looked into it last; None if it never did.

    It only says what to embed before the place is read. Where words alone are looked for, that is nothing.
    """
    return NOTHING if query.mode == "keyword" else _remembered.get(_place(rt.tenant, query))


async def of(session: AsyncSession, rt: Runtime, query: "Query") -> ResolvedScope:
    """Raises NotFound for an unknown collection, Invalid for an expired one, Conflict after a change of model."""
    rows = await _rows(session, query)
    _check_known(query.collections, rows)
    if query.collections is not None and any(row["is_expired"] for row in rows):
        raise expiry.is_over()
    if idle := [row["id"] for row in rows if row["is_idle"] and not row["is_expired"]]:
        await expiry.note_active(session, idle)
    filled = [_collection(row) for row in rows if row["is_filled"]]
    of_space = {row["space_id"]: row for row in rows}
    looked_into: list[EmbeddingSpace] = []
    if query.mode != "keyword" and filled:
        filled = spaces.searchable(rt, filled, named=query.collections is not None)
        ids = sorted({each.space_id for each in filled if each.space_id is not None})
        looked_into = [_space(of_space[each]) for each in ids]
    searched = {each.id for each in filled}
    documents = coverage.total(rt.tenant, query, {row["id"]: row["documents"] for row in rows}, searched)
    chunks = sum(row["chunks"] for row in rows if row["id"] in searched)
    resolved = Searched(
        documents,
        rows[0]["unfinished"] if rows else 0,
        chunks if query.is_whole else None,
        [row["name"] for row in rows if row["id"] in searched][: coverage.MOST_NAMES],
        filtered=not query.is_whole,
    )
    found = ResolvedScope(
        {row["id"]: row["revision"] for row in rows},
        filled,
        looked_into,
        frozenset(name for row in rows if row["id"] in searched for name in row["languages"]),
        resolved,
        chunks,
        {row["id"]: row["space_id"] for row in rows if row["standby_space_id"] is not None},
    )
    _remember(_place(rt.tenant, query), found)
    return found


async def _rows(session: AsyncSession, query: "Query") -> Sequence[Any]:
    tenant_id = tenant_of(session)
    documents, unfinished, parameters = coverage.counts(tenant_id, query)
    languages = "CAST('{}' AS text[])" if query.mode == "vector" else _LANGUAGES
    chunks = tallies.OF_CHOSEN.format(column="chunks")
    space = "coalesce(chosen.standby_space_id, chosen.space_id)" if query.standby else "chosen.space_id"
    counts = {"documents": documents, "unfinished": unfinished, "chunks": chunks}
    statement = _CHOSEN.format(space=space, languages=languages, **counts)
    named = None if query.collections is None else list(query.collections)
    written, values = positional(statement, parameters | {"tenant": tenant_id, "named": named})
    rows: list[Any] = await (await driver(session)).fetch(written, *values)
    return rows


def _check_known(named: Sequence[str] | None, rows: Sequence[Any]) -> None:
    known = {name for row in rows for name in (row["id"], row["name"])}
    for name in named or ():
        if name not in known:
            raise collections.unknown(name)


def _collection(row: Any) -> Collection:
    return _COLLECTION.read([row[name] for name in _OF_COLLECTION])


def _space(row: Any) -> EmbeddingSpace:
    return _SPACE.read([row["space_id"], *(row[name] for name in _OF_SPACE)])


def _model_and_lengths(space: EmbeddingSpace) -> tuple[Any, ...]:
    return space.id, *(getattr(space, name) for name in _MODEL)


def _place(tenant_id: str, query: "Query") -> tuple[Any, ...]:
    return tenant_id, query.standby, None if query.collections is None else tuple(query.collections)


def _remember(place: tuple[Any, ...], found: ResolvedScope) -> None:
    if len(_remembered) >= MOST_REMEMBERED and place not in _remembered:
        _remembered.clear()
    _remembered[place] = found
