"""Vectors that need not be requested again: embedding spaces, and where the vector of a text is (ADR 73).

The vectors of a visible version are in `chunk`; second ones, while a model is swapped, in `chunk_vector`. The table
`embedding` is the checkpoint of the embed step: it holds what was made for a document until its version is visible.
All three are asked by tenant, space and text, so an unchanged chunk is not paid for twice.
"""

import hashlib
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import driver
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


@dataclass(frozen=True)
class NewVectors:
    """One vector a text: `vectors` has shape (len(hashes), space.dimensions).

    `split`: the positions of those that are means of the vectors of pieces.
    """

    hashes: Sequence[bytes]
    vectors: "NDArray[np.float32]"
    split: Set[int] = frozenset()


Columns = tuple[list[bytes], list[bool], list[float], int]


def columns(made: Iterable[NewVectors]) -> Columns:
    """What `MADE` reads: hashes, whether split, all numbers in one list, and how many make a vector."""
    hashes: list[bytes] = []
    split: list[bool] = []
    numbers: list[float] = []
    dimensions = 1
    for each in made:
        hashes += each.hashes
        split += [index in each.split for index in range(len(each.hashes))]
        numbers += each.vectors.ravel().tolist()
        dimensions = each.vectors.shape[1]
    return hashes, split, numbers, dimensions


# The vectors of `columns`, whose first value has the number that is given. All are in one array: an array of them would
# need a codec on every connection.
def new_vectors_table(first: int) -> str:
    """A table expression `(hash, split, embedding, place)`."""
    hashes, split, numbers, dimensions = (f"${first + index}" for index in range(4))
    return f"""
    SELECT hash, split, place, CAST(
        (CAST({numbers} AS real[]))[(place - 1) * {dimensions} + 1 : place * {dimensions}] AS halfvec) AS embedding
    FROM unnest(CAST({hashes} AS bytea[]), CAST({split} AS boolean[])) WITH ORDINALITY AS given(hash, split, place)
    """  # noqa: S608  numbers of values


def stored(tenant: str, space: str, text: str, columns: str = "embedding, split") -> str:
    """A query for the stored vector of a text, wherever it is: one row or none. The names are SQL."""
    key = f"tenant_id = {tenant} AND space_id = {space} AND text_sha256 = {text}"
    tables = "embedding", "chunk", "chunk_vector"
    return " UNION ALL ".join(f"(SELECT {columns} FROM {each} WHERE {key} LIMIT 1)" for each in tables) + " LIMIT 1"  # noqa: S608  names


async def known(session: AsyncSession, space_id: int, hashes: Sequence[bytes]) -> dict[bytes, bool]:
    """Those of the texts that have a vector already, and whether it is a mean of the vectors of pieces."""
    found = await (await driver(session)).fetch(_KNOWN, tenant_of(session), space_id, hashes)
    return {row["hash"]: row["split"] for row in found}


_KNOWN = f"""
SELECT asked.hash, found.split
FROM unnest(CAST($3 AS bytea[])) AS asked(hash)
CROSS JOIN LATERAL ({stored("$1", "$2", "asked.hash", "split")}) AS found
"""  # noqa: S608  constants
_STORE = f"""
INSERT INTO embedding (tenant_id, space_id, text_sha256, document_id, embedding, split)
SELECT $1, $2, hash, $3, embedding, split FROM ({new_vectors_table(4)}) AS made
ON CONFLICT DO NOTHING
"""  # noqa: S608  constants


async def store(session: AsyncSession, document_id: str, space: EmbeddingSpace, made: NewVectors) -> None:
    """The checkpoint: stores what was made for the document, except texts that have a row already."""
    # All transactions insert in the same order: those that share texts could deadlock otherwise.
    order = sorted(range(len(made.hashes)), key=made.hashes.__getitem__)
    if not order:
        return
    split = {new for new, index in enumerate(order) if index in made.split}
    ordered = NewVectors([made.hashes[index] for index in order], made.vectors[order], split)
    about = tenant_of(session), space.id, document_id
    await (await driver(session)).execute(_STORE, *about, *columns([ordered]))


# -- what documents take from each other ---------------------------------------------------------------------

# What the version has from other documents: neither made for its own, nor in an older version of it, nor just now ($4).
_TAKEN = """
    SELECT space_id, text_sha256 FROM chunk WHERE version_id = $3 AND text_sha256 <> ALL(CAST($4 AS bytea[]))
    UNION SELECT space_id, text_sha256 FROM chunk_vector WHERE version_id = $3
    EXCEPT SELECT space_id, text_sha256 FROM embedding WHERE tenant_id = $1 AND document_id = $2
    EXCEPT SELECT space_id, text_sha256 FROM chunk WHERE document_id = $2 AND version_id <> $3
    EXCEPT SELECT space_id, text_sha256 FROM chunk_vector WHERE document_id = $2 AND version_id <> $3
"""
_ITS_TEXT = "tenant_id = $1 AND space_id = taken.space_id AND text_sha256 = taken.text_sha256 AND document_id <> $2"
# Locked in one order. A deletion holds its documents first, before it looks who else has their texts.
_HOLD = f"""
WITH taken AS MATERIALIZED ({_TAKEN}), source AS MATERIALIZED (
    SELECT coalesce((SELECT document_id FROM chunk WHERE {_ITS_TEXT} LIMIT 1),
                    (SELECT document_id FROM chunk_vector WHERE {_ITS_TEXT} LIMIT 1),
                    (SELECT document_id FROM embedding WHERE {_ITS_TEXT} LIMIT 1), '') AS document_id
    FROM taken
), held AS MATERIALIZED (
    SELECT id FROM document WHERE id = ANY(ARRAY(SELECT DISTINCT document_id FROM source)) ORDER BY id FOR KEY SHARE
)
SELECT count(*) FROM source WHERE document_id NOT IN (SELECT id FROM held)
"""  # noqa: S608  constants


async def hold(session: AsyncSession, document_id: str, version_id: str, just_made: Sequence[bytes] = ()) -> bool:
    """Whether the documents still exist whose vectors the version's chunks were given; then they stay until the end.

    A deletion of one of them waits, and then finds its text used: its receipt is right. `just_made`: texts whose
    vectors this transaction brought. Call it late: a deletion that is under way is waited for.
    """
    values = tenant_of(session), document_id, version_id, list(just_made)
    return not await (await driver(session)).fetchval(_HOLD, *values)


# A row whose document is gone goes with the last who has its text: a release before this one left such rows to others.
_RELEASE = """
WITH texts AS MATERIALIZED (
    SELECT space_id, text_sha256 FROM chunk WHERE document_id = ANY($2)
    UNION SELECT space_id, text_sha256 FROM chunk_vector WHERE document_id = ANY($2)
), own AS (
    DELETE FROM embedding WHERE tenant_id = $1 AND document_id = ANY($2)
)
DELETE FROM embedding AS e USING texts
WHERE e.tenant_id = $1 AND e.space_id = texts.space_id AND e.text_sha256 = texts.text_sha256
  AND NOT EXISTS (SELECT FROM document AS d WHERE d.id = e.document_id)
"""


async def release(session: AsyncSession, document_ids: Sequence[str]) -> None:
    """Deletes what was made for the documents: their chunks have their vectors now, or they go.

    Call it before chunks of theirs are deleted, which show which texts they had.
    """
    await (await driver(session)).execute(_RELEASE, tenant_of(session), list(document_ids))


_ELSEWHERE = "tenant_id = $1 AND space_id = used.space_id AND text_sha256 = used.text_sha256 AND {} <> ALL($2)"
# As scalar subqueries: of EXISTS in a condition with OR, Postgres may read the tables whole.
_COUNT = f"""
WITH used AS MATERIALIZED (
    SELECT space_id, text_sha256 FROM chunk WHERE document_id = ANY($2)
    UNION SELECT space_id, text_sha256 FROM chunk_vector WHERE document_id = ANY($2)
    UNION SELECT space_id, text_sha256 FROM embedding WHERE tenant_id = $1 AND document_id = ANY($2)
)
SELECT count(*) AS texts, count(coalesce(
    (SELECT 1 FROM chunk WHERE {_ELSEWHERE.format("document_id")} LIMIT 1),
    (SELECT 1 FROM chunk_vector WHERE {_ELSEWHERE.format("document_id")} LIMIT 1),
    (SELECT 1 FROM embedding AS e JOIN document AS d ON d.id = e.document_id
     WHERE e.{_ELSEWHERE.format("d.id")} LIMIT 1))) AS shared
FROM used
"""  # noqa: S608  constants
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('shared texts', hashtextextended($1, 0)))"


async def delete_unused(session: AsyncSession, document_ids: Sequence[str]) -> int:
    """How many texts lose their vectors with the documents, which the caller holds and whose chunks it deletes next.

    Those that another document has, too, do not. Two deletions could leave a text to each other, so those that share
    texts with others count one after the other, until their transactions end: call it late.
    """
    connection, values = await driver(session), (tenant_of(session), list(document_ids))
    counted = await connection.fetchrow(_COUNT, *values)
    assert counted is not None
    if counted["shared"]:
        await connection.execute(_ALONE, tenant_of(session))
        counted = await connection.fetchrow(_COUNT, *values)
        assert counted is not None
    await release(session, document_ids)
    return int(counted["texts"] - counted["shared"])
