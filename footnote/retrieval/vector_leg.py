"""The vector leg: the chunks whose vectors are nearest to the question's, by cosine."""

from typing import Any

from pgvector import HalfVector

from footnote.models import EmbeddingSpace
from footnote.retrieval.scope import Scope

EXACT_CHUNKS = 5000  # up to here an exact scan is faster than the index, and misses nothing


def leg(scope: Scope, space: EmbeddingSpace, vector: Any, *, large: bool) -> str:
    """Exact for a small scope, by the space's HNSW index for a large one.

    The space's id and length stand in the SQL as literals, or the planner could not use the partial index.
    """
    scope.parameters["vector"] = HalfVector(vector)
    distance = f"(c.embedding::halfvec({space.dimensions})) <=> :vector"
    condition = f"{scope.condition} AND c.space_id = {space.id}"
    return ((_BY_INDEX if large else _EXACT) + _RANKED).format(scope=condition, distance=distance)


# Ordered by an expression that no index can serve.
_EXACT = """
nearest AS (
    SELECT c.version_id, c.position, {distance} AS distance
    FROM chunk c WHERE {scope} ORDER BY ({distance}) + 0 LIMIT :depth
)"""

# The index gives up after `hnsw.max_scan_tuples`, having found too few where little of what lies near the question is
# in scope. Then, and only then, the scope is read whole.
_BY_INDEX = """
indexed AS MATERIALIZED (
    SELECT c.version_id, c.position, {distance} AS distance
    FROM chunk c WHERE {scope} ORDER BY {distance} LIMIT :depth
),
nearest AS (
    SELECT * FROM indexed WHERE (SELECT count(*) FROM indexed) >= :depth
    UNION ALL (
        SELECT c.version_id, c.position, {distance} AS distance
        FROM chunk c WHERE {scope} AND (SELECT count(*) FROM indexed) < :depth ORDER BY ({distance}) + 0 LIMIT :depth
    )
)"""

_RANKED = """,
vector AS (
    SELECT version_id, position, 1 - distance AS similarity,
           row_number() OVER (ORDER BY distance, version_id, position) AS rank
    FROM nearest
)"""
