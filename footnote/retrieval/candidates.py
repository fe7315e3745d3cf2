"""The chunks that both legs of a search propose, each with all that is said of it by words and by meaning.

The legs are one statement, in which the vectors' nearest chunks are numbered as postings number them. A second one
reads what postings do not tell of the likely chunks: their exact lengths, their cosines, the other lexemes in them.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncSession

from footnote.retrieval import bm25, keyword_leg, vector_leg
from footnote.retrieval.bm25 import Lexeme, chunk_number
from footnote.retrieval.fusion import Candidate
from footnote.retrieval.scope import WALL, Scope
from footnote.retrieval.spaces import QueryVector

if TYPE_CHECKING:
    from asyncpg import Record

# In one chunk: what the vector leg says, and what must match to the letter. As the statements pack them.
_NEAR = [("block", ">i4"), ("place", ">i4"), ("rank", ">i4"), ("similarity", ">f8")]
_EXACT = [("block", ">i4"), ("place", ">i4"), ("exact_matches", ">i4")]


async def found(
    session: AsyncSession,
    scope: Scope,
    question: str,
    languages: Collection[str],
    query_vectors: Sequence[QueryVector],
    *,
    large: bool,
    depth: int,
) -> list[Candidate]:
    """By words the `depth` best are among them, by meaning they are `depth` in each space."""
    told = await _told(session, scope, question, languages, query_vectors, large=large)
    lexemes, words = [Lexeme(*each) for each in told["lexemes"]], told["words"]
    lacking = [each for each in lexemes if not each.is_whole]
    likely = bm25.likely(bm25.postings(lexemes), words, depth, lacking=sum(each.idf for each in lacking))
    near = {chunk: (rank, cosine) for chunk, rank, cosine in _unpacked(told["near"], _NEAR)}
    exact = dict(_unpacked(told["exact"], _EXACT))
    most_exact = sorted(exact, key=lambda chunk: (-exact[chunk], chunk))[: bm25.SCORED]
    chunks = list(dict.fromkeys([*near, *likely, *most_exact]))
    rows, others = await _read(session, scope, chunks, len(near), lacking, query_vectors)
    whole = bm25.postings([*(each for each in lexemes if each.is_whole), *others])
    scores = bm25.scored(whole, {chunk: row["words"] for chunk, row in rows.items()}, words)
    total = sum(each.idf for each in lexemes)
    return [
        _candidate(row, near.get(chunk), scores.get(chunk), total, exact.get(chunk, 0)) for chunk, row in rows.items()
    ]


async def _told(
    session: AsyncSession,
    scope: Scope,
    question: str,
    languages: Collection[str],
    query_vectors: Sequence[QueryVector],
    *,
    large: bool,
) -> "Record":
    legs, near = [keyword_leg.leg(scope, question, languages, large=large)], "NULL"
    if query_vectors:
        legs, near = [vector_leg.leg(scope, query_vectors, large=large), *legs], _PLACED
    [told] = await scope.run(session, f"WITH {','.join(legs)} SELECT {keyword_leg.FOUND}, {near} AS near")
    return told


def _unpacked(packed: bytes | None, form: list[tuple[str, str]]) -> list[tuple[Any, ...]]:
    """For each chunk its number, then what is said of it."""
    import numpy as np

    rows = np.frombuffer(packed or b"", form)
    numbers = chunk_number(rows["block"].astype(np.int64), rows["place"]).tolist()
    return list(zip(numbers, *(rows[name].tolist() for name, _ in form[2:]), strict=True))


async def _read(
    session: AsyncSession,
    scope: Scope,
    chunks: Sequence[int],
    near: int,
    lacking: Sequence[Lexeme],
    query_vectors: Sequence[QueryVector],
) -> tuple[dict[int, "Record"], list[Lexeme]]:
    """The rows of the chunks, of which the cosines of the first `near` are known; and the lacking lexemes in them."""
    statement = _CHUNKS.format(wall=WALL, similarity=vector_leg.similarity(query_vectors))
    places = [divmod(chunk, 256) for chunk in chunks]
    given: dict[str, Any] = {
        "blocks": [block for block, _ in places],
        "places": [place for _, place in places],
        "unmeasured": [number >= near for number in range(len(chunks))],
    }
    if lacking:
        statement += _LEXEMES.format(packed=keyword_leg.PACKED)
        given["lexemes"] = [each.lexeme for each in lacking]
    told = await scope.run(session, statement, **given)
    idf = {each.lexeme: each.idf for each in lacking}
    lexemes = [
        Lexeme(each["lexeme"], idf[each["lexeme"]], True, each["blocks"], each["sizes"], each["chunks"])
        for each in told
        if each["lexeme"] is not None
    ]
    return {chunk_number(each["block"], each["place"]): each for each in told if each["lexeme"] is None}, lexemes


def _candidate(
    row: "Record",
    near: tuple[int, float] | None,
    by_words: tuple[float, float] | None,
    total: float,
    exact_matches: int,
) -> Candidate:
    rank, similarity = near or (None, row["similarity"])
    found = Candidate(
        row["version_id"], row["position"], row["space_id"], similarity, rank, exact_matches=exact_matches
    )
    if by_words:
        found.bm25, found.coverage = by_words[0], by_words[1] / total
    return found


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
    SELECT f.*, c.version_id, c.first_position, c.collection_id
    FROM unnest(CAST(:blocks AS int[]), CAST(:places AS int[]), CAST(:unmeasured AS boolean[]))
         AS f(block, place, unmeasured),
         LATERAL (SELECT c.* FROM posting_block_of_tenant c WHERE c.number = f.block AND {wall} OFFSET 0) AS c
)
SELECT f.block, f.place, c.version_id, c.position, c.words, c.space_id,
       CASE WHEN f.unmeasured THEN {similarity} END AS similarity,
       CAST(NULL AS text) AS lexeme, CAST(NULL AS bytea) AS blocks, CAST(NULL AS bytea) AS sizes,
       CAST(NULL AS bytea) AS chunks
FROM candidate f, LATERAL (
    SELECT * FROM chunk_of_tenant c
    WHERE c.version_id = f.version_id AND c.position = f.first_position + f.place OFFSET 0
) AS c
"""

_LEXEMES = """
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, l.lexeme, p.*
FROM unnest(CAST(:lexemes AS text[])) AS l(lexeme), LATERAL (
    SELECT {packed} FROM (SELECT DISTINCT block, collection_id FROM candidate) AS b, LATERAL (
        SELECT p.block, p.chunks FROM posting p
        WHERE p.key = posting_key(:tenant, b.collection_id, l.lexeme) AND p.block = b.block OFFSET 0
    ) AS p
) AS p
"""
