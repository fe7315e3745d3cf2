"""Second vectors: while a collection's model is swapped, each chunk has a vector in two spaces (ADR 69).

One is in `chunk`, the other in `chunk_vector`. They are written by transactions that hold the document.
"""

from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import driver

if TYPE_CHECKING:
    from collections.abc import Sequence

# The columns that tell where a chunk belongs, and the vector of its text.
_INSERT = """
INSERT INTO chunk_vector (version_id, position, tenant_id, collection_id, document_id, space_id, text_sha256, embedding)
SELECT c.version_id, c.position, c.tenant_id, c.collection_id, c.document_id, e.space_id, c.text_sha256, e.embedding
FROM chunk AS c JOIN embedding AS e ON e.tenant_id = c.tenant_id AND e.space_id = $2 AND e.text_sha256 = c.text_sha256
WHERE c.version_id = ANY($1::text[]) AND c.space_id <> $2
ON CONFLICT (version_id, position) DO NOTHING
"""
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


async def add(session: AsyncSession, version_ids: "Sequence[str]", space_id: int) -> int:
    """Gives the chunks of the versions their second vectors, as far as they are stored; how many it added.

    The caller holds the documents.
    """
    status = await (await driver(session)).execute(_INSERT, list(version_ids), space_id)
    return int(status.rpartition(" ")[2])


async def remove_chunks(session: AsyncSession, document_ids: "Sequence[str]") -> dict[str, int]:
    """Deletes the chunks of the documents, with their second vectors; the counts of both."""
    removed = await session.execute(_OF_DOCUMENTS, {"document_ids": list(document_ids)})
    return dict(removed.one()._mapping)


async def remove_older_chunks(session: AsyncSession, document_id: str, version_id: str) -> None:
    """The same for all versions of the document but this one."""
    await session.execute(_OF_OLDER_VERSIONS, {"document_id": document_id, "version_id": version_id})
