"""Collections whose model is being swapped: their chunks have vectors in two spaces, of which one is searched (ADR 69).

A chunk is read with its vector in the searched space, from whichever table it is in. If it has none there, it is read
with its own: then its words find it, and the vector leg of no other space counts it.
"""

from collections.abc import Mapping
from typing import Any

from footnote.models import Chunk

VIEWS = "chunk_of_tenant", "chunk_vector_of_tenant"
TABLES = "chunk", "chunk_vector"

_OWN = "space_id", "embedding", "split"  # two of the vector that is chosen; the last no view of tenants has
_OTHERS = ", ".join(f"c.{each.name}" for each in Chunk.__table__.columns if each.name not in _OWN)
_SEEN = f"""(
    SELECT {_OTHERS}, coalesce(v.space_id, c.space_id) AS space_id, coalesce(v.embedding, c.embedding) AS embedding
    FROM {{chunks}} c
    LEFT JOIN unnest(CAST(:swapped AS text[]), CAST(:searched AS int[])) AS p(collection_id, space_id)
         ON p.collection_id = c.collection_id
    LEFT JOIN {{vectors}} v ON v.version_id = c.version_id AND v.position = c.position AND v.space_id = p.space_id
)"""


def parameters(searched: Mapping[str, int]) -> dict[str, Any]:
    """Of the collections (ids) which space is searched; for `seen`."""
    return {"swapped": list(searched), "searched": list(searched.values())} if searched else {}


def seen(searched: Mapping[str, int], names: tuple[str, str] = VIEWS) -> str:
    """What stands in FROM for the chunks: where no model is being swapped, the table or view itself."""
    return _SEEN.format(chunks=names[0], vectors=names[1]) if searched else names[0]
