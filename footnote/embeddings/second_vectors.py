"""Second vectors: while a collection's model is swapped, each chunk has a vector in two spaces (ADR 69).

One is in `chunk`, the other in `chunk_vector`. They are written by transactions that hold the document.
"""

from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import driver
from footnote.embeddings import checkpoint
from footnote.embeddings.checkpoint import NewVectors

if TYPE_CHECKING:
    from collections.abc import Sequence

# For transactions that move vectors: no word of a chunk changes, so its trigger need not post them again.
WITHOUT_WORDS = {"footnote.moving_vectors": "on"}
# The columns that say where a chunk belongs, and the vector of its text: just made ($3 to $6), or stored.
_INSERT = f"""
WITH made AS ({checkpoint.new_vectors_table(3)})
INSERT INTO chunk_vector (version_id, position, tenant_id, collection_id, document_id, space_id, text_sha256,
                          embedding, split)
SELECT c.version_id, c.position, c.tenant_id, c.collection_id, c.document_id, $2, c.text_sha256,
       found.embedding, found.split
FROM chunk AS c CROSS JOIN LATERAL (
    SELECT embedding, split FROM made WHERE made.hash = c.text_sha256
    UNION ALL {checkpoint.stored("c.tenant_id", "$2", "c.text_sha256")}
) AS found
WHERE c.version_id = ANY($1::text[]) AND c.space_id <> $2
  AND (cardinality(CAST($3 AS bytea[])) = 0 OR c.text_sha256 = ANY($3))
  AND NOT EXISTS (SELECT FROM chunk_vector AS v WHERE v.version_id = c.version_id AND v.position = c.position)
ON CONFLICT (version_id, position) DO NOTHING
"""  # noqa: S608  constants
# A chunk and its second vector go in one statement: a deletion costs no more than without one.
_REMOVE = """
WITH second AS (
    DELETE FROM chunk_vector WHERE {which} RETURNING 1
), removed AS (
    DELETE FROM chunk WHERE {which} RETURNING 1
)
SELECT (SELECT count(*) FROM removed) AS chunks, (SELECT count(*) FROM second) AS second_vectors
"""
_OF_DOCUMENTS = text(_REMOVE.format(which="document_id = ANY(:document_ids)"))
_OF_OLDER_VERSIONS = text(
    _REMOVE.format(
        which="version_id IN (SELECT id FROM version WHERE document_id = :document_id AND id <> :version_id)"
    )
)


async def add(session: AsyncSession, version_ids: "Sequence[str]", space_id: int, *made: NewVectors) -> int:
    """Gives the chunks of the versions their second vectors; how many it added. The caller holds the documents.

    Those that were just `made`, or else all that are stored for a text.
    """
    columns = checkpoint.columns(made)
    status = await (await driver(session)).execute(_INSERT, list(version_ids), space_id, *columns)
    return int(status.rpartition(" ")[2])


async def remove_chunks(session: AsyncSession, document_ids: "Sequence[str]") -> dict[str, int]:
    """Deletes the chunks of the documents, with their second vectors; the counts of both."""
    removed = await session.execute(_OF_DOCUMENTS, {"document_ids": list(document_ids)})
    return dict(removed.one()._mapping)


async def remove_older_chunks(session: AsyncSession, document_id: str, version_id: str) -> None:
    """The same for all versions of the document but this one."""
    await session.execute(_OF_OLDER_VERSIONS, {"document_id": document_id, "version_id": version_id})
