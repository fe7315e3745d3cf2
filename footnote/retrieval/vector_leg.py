"""The vector leg: the chunks whose vectors are nearest to the question's, by cosine."""

from typing import Any

from pgvector import HalfVector

from footnote.models import EmbeddingSpace
from footnote.retrieval.scope import Scope

EXACT_CHUNKS = 5000  # up to here an exact scan is faster than the index, and misses nothing
DEPTH = 100


def leg(scope: Scope, space: EmbeddingSpace, vector: Any, *, large: bool) -> str:
    """Exact for a small scope, by the space's HNSW index for a large one.

    The space's id and length stand in the SQL as literals, or the planner could not use the partial index.
    """
    scope.parameters |= {"vector": HalfVector(vector), "vector_depth": DEPTH}
    distance = f"(c.embedding::halfvec({space.dimensions})) <=> :vector"
    order = distance if large else f"({distance}) + 0"  # an expression no index can serve
    condition = f"{scope.condition} AND c.space_id = {space.id}"
    return _LEG.format(scope=condition, distance=distance, order=order)


_LEG = """
nearest AS (
    SELECT c.version_id, c.position, {distance} AS distance
    FROM chunk c WHERE {scope} ORDER BY {order} LIMIT :vector_depth
),
vector AS (
    SELECT version_id, position, 1 - distance AS similarity,
           row_number() OVER (ORDER BY distance, version_id, position) AS rank
    FROM nearest
)"""
