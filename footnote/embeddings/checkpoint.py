"""Vectors that need not be requested again: embedding spaces and the embeddings made in them.

The `embedding` table is content-addressed by tenant, space and text, so it is both the checkpoint of the
embed step and the reason why an unchanged chunk is not paid for twice.
"""

import hashlib
from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import driver
from footnote.database.rows import affected
from footnote.database.tenant_scope import tenant_of
from footnote.errors import ProviderRejected
from footnote.models import EmbeddingSpace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_DIMENSIONS = 3800  # a longer halfvec leaves no room for the rest of its row on an 8 kB page


def text_hash(content: str) -> bytes:
    return hashlib.sha256(content.encode()).digest()


async def obtain_space(
    session: AsyncSession, provider: str, model: str, dimensions: int, requested: int | None = None
) -> EmbeddingSpace:
    """The space, made at first use; its index comes later (`vector_index`).

    `requested`: the length asked of the model, or 0.
    """
    if dimensions > MAX_DIMENSIONS:
        raise ProviderRejected(
            "too_many_dimensions",
            f"{provider}/{model} makes vectors of {dimensions} dimensions; {MAX_DIMENSIONS} is the most we index. "
            "Set FOOTNOTE_EMBEDDING_DIMENSIONS if the model can make shorter ones.",
        )
    key = {"provider": provider, "model": model, "dimensions": dimensions}
    query = select(EmbeddingSpace).filter_by(**key)
    space = await session.scalar(query)
    if space is None:
        values = key | {"requested_dimensions": requested}
        await session.execute(insert(EmbeddingSpace).values(**values).on_conflict_do_nothing())
        space = (await session.scalars(query)).one()
    return space


async def known(session: AsyncSession, space_id: int, hashes: Sequence[bytes]) -> dict[bytes, bool]:
    """Those of the texts that have a vector already, and whether it is a mean of the vectors of pieces."""
    found = await (await driver(session)).fetch(_KNOWN, tenant_of(session), space_id, hashes)
    return {row["text_sha256"]: row["split"] for row in found}


_KNOWN = """
SELECT text_sha256, split FROM embedding WHERE tenant_id = $1 AND space_id = $2 AND text_sha256 = ANY($3)
"""
# All vectors in one array: an array of them would need a codec on every connection.
_STORE = """
INSERT INTO embedding (tenant_id, space_id, text_sha256, document_id, embedding, split)
SELECT $1, $2, row.hash, (CAST($3 AS text[]))[least(row.place, cardinality(CAST($3 AS text[])))],
       CAST((CAST($6 AS real[]))[(row.place - 1) * $7 + 1 : row.place * $7] AS halfvec), row.split
FROM unnest(CAST($4 AS bytea[]), CAST($5 AS boolean[])) WITH ORDINALITY AS row(hash, split, place)
ON CONFLICT DO NOTHING
"""
# A removal of one of them waits for this transaction; those that were removed before are not counted.
_HOLD_KNOWN = """
SELECT count(*) FROM (
    SELECT FROM embedding WHERE tenant_id = $1 AND space_id = $2 AND text_sha256 = ANY($3)
    ORDER BY text_sha256 FOR KEY SHARE
) AS held
"""


async def store(
    session: AsyncSession,
    document_id: str | Sequence[str],
    space: EmbeddingSpace,
    hashes: Sequence[bytes],
    vectors: "NDArray[np.float32]",
    split: Set[int] = frozenset(),
) -> int:
    """Stores one vector a hash, made for the document, or for one document a hash.

    `vectors` has shape (len(hashes), space.dimensions). `split`: the places of those that are means of the vectors of
    pieces. Returns how many were not there before.
    """
    # All transactions insert in the same order: those that share texts could deadlock otherwise.
    order = sorted(range(len(hashes)), key=hashes.__getitem__)
    if not order:
        return 0
    rows = [hashes[place] for place in order], [place in split for place in order]
    numbers = vectors[order].ravel().tolist()
    documents = [document_id] if isinstance(document_id, str) else [document_id[place] for place in order]
    about = tenant_of(session), space.id, documents
    status = await (await driver(session)).execute(_STORE, *about, *rows, numbers, vectors.shape[1])
    return int(status.rpartition(" ")[2])


async def hold(session: AsyncSession, space_id: int, hashes: Sequence[bytes]) -> bool:
    """Whether all the texts still have a vector; if so, it stays until the transaction ends.

    Call it after the transaction has stored what it has to store: then the locks of all come in one order.
    """
    held = await (await driver(session)).fetchval(_HOLD_KNOWN, tenant_of(session), space_id, hashes)
    return bool(held == len(hashes))


# Locks each row once and in the same order, so that transactions that share texts cannot deadlock. Rows that stay are
# locked against removal only, which many transactions can do at once.
_HOLD = text(
    """
    WITH wanted AS (
        SELECT space_id, text_sha256, bool_or(stays) AS stays
        FROM (SELECT space_id, text_sha256, version_id = :kept_version_id AS stays
              FROM chunk WHERE document_id = ANY(:document_ids)
              UNION ALL
              SELECT space_id, text_sha256, version_id = :kept_version_id
              FROM chunk_vector WHERE document_id = ANY(:document_ids)
              UNION ALL
              SELECT space_id, text_sha256, false
              FROM embedding WHERE tenant_id = :tenant_id AND document_id = ANY(:document_ids)) AS used
        GROUP BY space_id, text_sha256 ORDER BY space_id, text_sha256
    ), held AS MATERIALIZED (
        SELECT stays, CASE
            WHEN stays THEN (SELECT 1 FROM embedding WHERE tenant_id = :tenant_id AND space_id = wanted.space_id
                             AND text_sha256 = wanted.text_sha256 FOR KEY SHARE)
            ELSE (SELECT 1 FROM embedding WHERE tenant_id = :tenant_id AND space_id = wanted.space_id
                  AND text_sha256 = wanted.text_sha256 FOR UPDATE) END AS found
        FROM wanted
    )
    SELECT count(*) FROM held WHERE stays AND found IS NULL
    """
)
# Three scans of indexes and two look-ups for each text found. Written as one condition with OR it would read all
# embeddings.
_DELETE_UNUSED = text(
    """
    WITH used AS MATERIALIZED (
        SELECT space_id, text_sha256 FROM chunk WHERE document_id = ANY(:document_ids)
        UNION
        SELECT space_id, text_sha256 FROM chunk_vector WHERE document_id = ANY(:document_ids)
        UNION
        SELECT space_id, text_sha256 FROM embedding WHERE tenant_id = :tenant_id AND document_id = ANY(:document_ids)
    ), unused AS MATERIALIZED (
        SELECT space_id, text_sha256 FROM used
        WHERE (SELECT 1 FROM chunk
               WHERE chunk.tenant_id = :tenant_id AND chunk.space_id = used.space_id
                 AND chunk.text_sha256 = used.text_sha256
                 AND (chunk.document_id <> ALL(:document_ids) OR chunk.version_id = :kept_version_id)
               LIMIT 1) IS NULL
          AND (SELECT 1 FROM chunk_vector
               WHERE chunk_vector.tenant_id = :tenant_id AND chunk_vector.space_id = used.space_id
                 AND chunk_vector.text_sha256 = used.text_sha256
                 AND (chunk_vector.document_id <> ALL(:document_ids) OR chunk_vector.version_id = :kept_version_id)
               LIMIT 1) IS NULL
    )
    DELETE FROM embedding USING unused
    WHERE embedding.tenant_id = :tenant_id AND embedding.space_id = unused.space_id
      AND embedding.text_sha256 = unused.text_sha256
    """
)


async def delete_unused(
    session: AsyncSession, document_ids: Sequence[str], kept_version_id: str = ""
) -> tuple[int, int]:
    """Deletes the documents' embeddings except those that the kept version or another document uses.

    Gives how many were deleted, and how many the kept version lacks: another transaction, which could not see its
    chunks yet, deleted them. Until the caller's transaction ends, no other one can. Call it before the documents'
    chunks are deleted, which tell which embeddings were used; once in a transaction, and late, because other
    transactions that share a text wait for its end.
    """
    values = {"tenant_id": tenant_of(session), "document_ids": list(document_ids), "kept_version_id": kept_version_id}
    lacking = await session.scalar(_HOLD, values)
    # In a statement of its own, which sees what the transactions that `_HOLD` waited for have written.
    return await affected(session, _DELETE_UNUSED, values), lacking or 0


# In the order of their hashes, as all do. The next statement then sees what was waited for.
_HOLD_EACH = """
SELECT FROM embedding WHERE tenant_id = $1 AND space_id = $2 AND text_sha256 = ANY($3)
ORDER BY text_sha256 FOR UPDATE
"""
_FORGET = """
DELETE FROM embedding AS e WHERE tenant_id = $1 AND space_id = $2 AND text_sha256 = ANY($3)
  AND NOT EXISTS (SELECT FROM document AS d WHERE d.id = e.document_id AND d.collection_id <> $4)
  AND NOT EXISTS (SELECT FROM chunk AS c
                  WHERE c.tenant_id = $1 AND c.space_id = $2 AND c.text_sha256 = e.text_sha256)
  AND NOT EXISTS (SELECT FROM chunk_vector AS v
                  WHERE v.tenant_id = $1 AND v.space_id = $2 AND v.text_sha256 = e.text_sha256)
"""


async def forget(session: AsyncSession, space_id: int, collection_id: str, hashes: Sequence[bytes]) -> None:
    """Deletes the texts' vectors in a space that the collection leaves, but those that others use."""
    connection, values = await driver(session), (tenant_of(session), space_id, sorted(set(hashes)))
    await connection.execute(_HOLD_EACH, *values)
    await connection.execute(_FORGET, *values, collection_id)
