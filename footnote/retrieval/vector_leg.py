"""The vector leg: the chunks whose vectors are nearest to the question's, by cosine."""

from collections.abc import Sequence

from footnote.models import EmbeddingSpace
from footnote.retrieval import two_spaces
from footnote.retrieval.scope import Scope
from footnote.retrieval.spaces import QueryVector

EXACT_CHUNKS = 5000  # up to here an exact scan is faster than the index, and misses nothing
OF_SOME = 4  # times as many, where documents are named or filtered: the index passes many chunks for each in scope


def most_exact(scope: Scope) -> int:
    """Up to how many chunks the scope is read without the index."""
    return EXACT_CHUNKS * (1 if scope.is_whole else OF_SOME)


def leg(scope: Scope, query_vectors: Sequence[QueryVector]) -> str:
    """Exact for a scope that was measured, by the space's HNSW index for a larger one.

    The ranks are those within a space.
    """
    nearest = [_nearest(scope, query_vector) for query_vector in query_vectors]
    ranked = " UNION ALL ".join(_RANKED.format(space=query_vector.space.id) for query_vector in query_vectors)
    return ",".join(nearest) + f",\nvector AS ({ranked})"


def fell_back(scope: Scope, query_vectors: Sequence[QueryVector]) -> str:
    """Whether the complete scope was read because an index found too few; SQL for use with `leg`."""
    if scope.size is not None:
        return "false"
    return " OR ".join(f"(SELECT count(*) FROM indexed_{each.space.id}) < :depth" for each in query_vectors)


def similarity(query_vectors: Sequence[QueryVector]) -> str:
    """The cosine of the chunk `c` to the question in SQL; NULL in a space in which the question has no vector."""
    if not query_vectors:
        return "CAST(NULL AS float8)"
    spaces = [each.space for each in query_vectors]
    cases = " ".join(f"WHEN {space.id} THEN 1 - ({_distance(space)})" for space in spaces)
    return f"CASE c.space_id {cases} END"


def _distance(space: EmbeddingSpace) -> str:
    """The space's id and length stand in the SQL as literals, or the planner could not use the partial index.

    The vector is read once, not for each row: hence SELECT.
    """
    return f"(c.embedding::halfvec({space.dimensions})) <=> (SELECT CAST(:vector_{space.id} AS halfvec))"


def _nearest(scope: Scope, query_vector: QueryVector) -> str:
    space = query_vector.space
    scope.parameters[f"vector_{space.id}"] = str(query_vector.vector.astype("f2").tolist())
    condition, chunks = f"{scope.condition} AND c.space_id = {space.id}", two_spaces.seen(scope.swapped)
    parts = {"scope": condition, "distance": _distance(space), "space": space.id, "chunks": chunks}
    if scope.size is not None:
        return _EXACT.format(**parts)
    if not scope.swapped:
        return _INDEXED.format(**parts) + _BY_INDEX.format(**parts)
    elsewhere = [each for each, searched in scope.swapped.items() if searched != space.id]
    scope.parameters[f"elsewhere_{space.id}"] = elsewhere
    here = f"{condition} AND c.collection_id <> ALL(CAST(:elsewhere_{space.id} AS text[]))"
    return _INDEXED_IN_BOTH.format(**parts | {"scope": here}) + _BY_INDEX.format(**parts)


# Ordered by an expression that no index can serve.
_EXACT = """
nearest_{space} AS (
    SELECT c.version_id, c.position, c.document_id, {distance} AS distance
    FROM {chunks} c WHERE {scope} ORDER BY ({distance}) + 0 LIMIT :depth
)"""

# The index gives up after `hnsw.max_scan_tuples`, having found too few where little of what lies near the question is
# in scope. Then, and only then, the scope is read whole.
_INDEXED = """
indexed_{space} AS MATERIALIZED (
    SELECT c.version_id, c.position, c.document_id, {distance} AS distance
    FROM chunk_of_tenant c WHERE {scope} ORDER BY {distance} LIMIT :depth
),"""
# Of a space whose vectors are in two tables, each with an index of its own.
_INDEXED_IN_BOTH = """
own_{space} AS MATERIALIZED (
    SELECT c.version_id, c.position, c.document_id, {distance} AS distance
    FROM chunk_of_tenant c WHERE {scope} ORDER BY {distance} LIMIT :depth
),
second_{space} AS MATERIALIZED (
    SELECT c.version_id, c.position, c.document_id, {distance} AS distance
    FROM chunk_vector_of_tenant c WHERE {scope} ORDER BY {distance} LIMIT :depth
),
indexed_{space} AS MATERIALIZED (
    SELECT * FROM (SELECT * FROM own_{space} UNION ALL SELECT * FROM second_{space}) AS c ORDER BY distance LIMIT :depth
),"""
_BY_INDEX = """
nearest_{space} AS (
    SELECT * FROM indexed_{space} WHERE (SELECT count(*) FROM indexed_{space}) >= :depth
    UNION ALL (
        SELECT c.version_id, c.position, c.document_id, {distance} AS distance
        FROM {chunks} c WHERE {scope} AND (SELECT count(*) FROM indexed_{space}) < :depth
        ORDER BY ({distance}) + 0 LIMIT :depth
    )
)"""

_RANKED = """
    SELECT version_id, position, document_id, {space} AS space_id, 1 - distance AS similarity,
           row_number() OVER (ORDER BY distance, version_id, position) AS rank
    FROM nearest_{space}
"""
