"""The chunks that both legs of a search propose, each with all that is said of it by words and by meaning.

The legs are one statement, in which the vectors' nearest chunks are numbered as postings number them. A second one
reads what postings do not hold of the likely chunks: their exact lengths, their cosines, the other lexemes in them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import array
from footnote.retrieval import bm25, keyword_leg, two_spaces, vector_leg
from footnote.retrieval.bm25 import Lexeme, chunk_number
from footnote.retrieval.fusion import Candidates
from footnote.retrieval.scope import WALL, Scope
from footnote.retrieval.spaces import QueryVector
from footnote.telemetry.metrics import timed, vector_searches_total

if TYPE_CHECKING:
    import numpy as np
    from asyncpg import Record
    from numpy.typing import NDArray

# In one chunk, as the statements pack them: what the vector leg says, what must match to the letter, what its row says.
_PLACE = [("block", ">i4"), ("place", ">i4")]
_NEAR = [*_PLACE, ("rank", ">i4"), ("similarity", ">f8")]
_EXACT = [*_PLACE, ("matches", ">i4")]
_ROW = [*_PLACE, ("position", ">i4"), ("words", ">i4"), ("space", ">i4"), ("similarity", ">f8")]


@timed("legs")
async def found(
    session: AsyncSession,
    scope: Scope,
    question: str,
    languages: Collection[str],
    query_vectors: Sequence[QueryVector],
    *,
    depth: int,
) -> Candidates:
    """By words the `depth` best are among them, by meaning they are `depth` in each space."""
    import numpy as np

    row = await _run_legs(session, scope, question, languages, query_vectors)
    if query_vectors:
        vector_searches_total.labels(
            "fallback" if row["fell_back"] else "index" if scope.size is None else "exact"
        ).inc()
    near, exact = _Chunks.unpacked(row["near"], _NEAR), _Chunks.unpacked(row["exact"], _EXACT)
    lexemes, mean_words = [Lexeme(*each) for each in row["lexemes"]], row["words"]
    not_fetched = [each for each in lexemes if not each.is_whole]
    likely = bm25.likely(bm25.postings(lexemes), mean_words, depth, not_fetched=sum(each.idf for each in not_fetched))
    most_exact = exact.numbers[np.lexsort((exact.numbers, -exact.of("matches")))[: bm25.SCORED]]
    beside = np.setdiff1d(np.concatenate([likely, most_exact]), near.numbers)
    read = await _read(session, scope, near.numbers, beside, not_fetched, query_vectors)
    chunks = _Chunks.unpacked(read["rows"], _ROW)
    whole = bm25.postings([*(each for each in lexemes if each.is_whole), *(Lexeme(*each) for each in read["lexemes"])])
    scores, idf = bm25.scored(whole, chunks.numbers, chunks.of("words") / mean_words)
    cosines = np.where(np.isin(chunks.numbers, near.numbers), near.at(chunks, "similarity"), chunks.of("similarity"))
    return Candidates(
        version_ids=np.array(read["version_ids"], np.str_),
        positions=chunks.of("position"),
        space_ids=chunks.of("space"),
        similarities=cosines,
        vector_ranks=near.at(chunks, "rank"),
        bm25=scores,
        held=np.minimum(idf / (row["whole_idf"] or 1.0), 1.0),
        exact_matches=exact.at(chunks, "matches"),
        has_unknown=row["has_unknown"],
    )


@dataclass(frozen=True)
class _Chunks:
    """Chunks by their numbers, and what is said of each."""

    numbers: "NDArray[np.int64]"
    rows: "NDArray[Any]"

    @classmethod
    def unpacked(cls, packed: bytes | None, form: list[tuple[str, str]]) -> Self:
        import numpy as np

        rows = np.frombuffer(packed or b"", form)
        return cls(chunk_number(rows["block"].astype(np.int64), rows["place"]), rows)

    def of(self, name: str) -> "NDArray[Any]":
        values = self.rows[name]
        return values.astype(values.dtype.newbyteorder("=").str.replace("i4", "i8"))

    def at(self, others: Self, name: str) -> "NDArray[Any]":
        """What is said of the others; 0 of those that are none of these."""
        import numpy as np

        said = np.zeros(len(others.numbers), self.of(name).dtype)
        _, ours, theirs = np.intersect1d(self.numbers, others.numbers, assume_unique=True, return_indices=True)
        said[theirs] = self.of(name)[ours]
        return said


async def _run_legs(
    session: AsyncSession,
    scope: Scope,
    question: str,
    languages: Collection[str],
    query_vectors: Sequence[QueryVector],
) -> "Record":
    legs, near, fell_back = [keyword_leg.leg(scope, question, languages)], "NULL", "false"
    if query_vectors:
        legs, near = [vector_leg.leg(scope, query_vectors), *legs], _PLACED
        fell_back = vector_leg.fell_back(scope, query_vectors)
    shown = f"{keyword_leg.FOUND}, {near} AS near, {fell_back} AS fell_back"
    [row] = await scope.run(session, f"WITH {','.join(legs)} SELECT {shown}")
    return row


async def _read(
    session: AsyncSession,
    scope: Scope,
    near: "NDArray[np.int64]",
    beside: "NDArray[np.int64]",
    not_fetched: Sequence[Lexeme],
    query_vectors: Sequence[QueryVector],
) -> "Record":
    """What the rows of the chunks hold, the cosines of those `beside`, and in all the lexemes that were not fetched."""
    lexemes = _NOT_FETCHED.format(packed=keyword_leg.PACKED) if not_fetched else "CAST('{}' AS record[])"
    chunks, similarity = two_spaces.seen(scope.swapped), vector_leg.similarity(query_vectors)
    statement = _CHUNKS.format(wall=WALL, chunks=chunks, similarity=similarity, lexemes=lexemes)
    given: dict[str, Any] = {"chunks": array([*near.tolist(), *beside.tolist()]), "near": len(near)}
    given |= {"lexemes": [each.lexeme for each in not_fetched], "idf": [each.idf for each in not_fetched]}
    [read] = await scope.run(session, statement, **given)
    return read


_PLACED = """(
    SELECT string_agg(
        int4send(b.number) || int4send(b.place) || int4send(CAST(v.rank AS integer)) || float8send(v.similarity), ''
    )
    FROM vector v, LATERAL (
        SELECT b.number, v.position - b.first_position AS place FROM posting_block_of_tenant b
        WHERE b.document_id = v.document_id AND b.version_id = v.version_id
          AND v.position BETWEEN b.first_position AND b.last_position OFFSET 0
    ) AS b
)"""

_CHUNKS = """
WITH candidate AS MATERIALIZED (
    SELECT f.number, f.chunk & 255 AS place, c.number AS block, c.version_id, c.first_position, c.collection_id
    FROM unnest(CAST(:chunks AS bigint[])) WITH ORDINALITY AS f(chunk, number), LATERAL (
        SELECT c.* FROM posting_block_of_tenant c WHERE c.number = CAST(f.chunk >> 8 AS integer) AND {wall} OFFSET 0
    ) AS c
),
read AS MATERIALIZED (
    SELECT f.block, f.place, c.version_id, c.position, c.words, c.space_id, c.similarity
    FROM candidate f, LATERAL (
        SELECT c.version_id, c.position, c.words, c.space_id,
               coalesce(CASE WHEN f.number > :near THEN {similarity} END, 'NaN') AS similarity
        FROM {chunks} c
        WHERE c.version_id = f.version_id AND c.position = f.first_position + CAST(f.place AS integer) OFFSET 0
    ) AS c
)
SELECT ARRAY(SELECT version_id FROM read) AS version_ids, {lexemes} AS lexemes, (
    SELECT string_agg(int4send(block) || int4send(CAST(place AS integer)) || int4send(position) || int4send(words)
                      || int4send(CAST(space_id AS integer)) || float8send(similarity), '') FROM read
) AS rows
"""

_NOT_FETCHED = """ARRAY(
    SELECT ROW(l.lexeme, l.idf, true, p.blocks, p.sizes, p.chunks)
    FROM unnest(CAST(:lexemes AS text[]), CAST(:idf AS float8[])) AS l(lexeme, idf), LATERAL (
        SELECT {packed} FROM (SELECT DISTINCT block, collection_id FROM candidate) AS b, LATERAL (
            SELECT b.block, p.chunks FROM posting p
            WHERE p.key = posting_key(:tenant, b.collection_id, l.lexeme) AND p.block = b.block OFFSET 0
        ) AS p
    ) AS p
)"""
