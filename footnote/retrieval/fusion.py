"""What the legs found, fused into one score.

The hybrid score is a convex combination of both legs' scores, after Bruch, Gai and Ingber, 2023, "An Analysis of Fusion
Functions for Hybrid Retrieval": cosines between the least and the greatest of those found count from 0 to 1, BM25 as a
share of the greatest. Each chunk that either leg found is scored by both. Cosines of different embedding spaces do not
compare: each space has its own least and greatest, and without a keyword leg its ranks count (reciprocal rank fusion,
Cormack, Clarke and Büttcher, 2009, k = 60). MEANING was chosen on the development halves
of two test sets (docs/measurements.md), where the combination did better than reciprocal rank fusion.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MEANING = 0.6  # the weight of the cosine; the rest is BM25's
EXACT_MATCHES = 1.0  # for holding all that must match to the letter: as much as the best of all words

HITS = """
SELECT f.version_id, f.position, f.score, f.similarity, f.coverage, c.document_id, v.filename, v.number AS version,
       c.page_start, c.page_end, c.char_start, c.char_end, c.heading, c.context AS subject, c.text,
       d.metadata, f.vector_rank, f.keyword_rank, f.bm25, f.exact_matches,
       CASE WHEN :diverse THEN c.embedding::text END AS embedding, c.space_id
FROM fused f, LATERAL (
    SELECT * FROM chunk c WHERE c.version_id = f.version_id AND c.position = f.position OFFSET 0
) AS c
JOIN version v ON v.id = c.version_id
JOIN document d ON d.id = c.document_id
ORDER BY f.score DESC, f.version_id, f.position
"""

# The only leg `vector`; {score}: the cosine or, of several spaces, by the rank.
_BY_VECTORS = """,
fused AS (
    SELECT version_id, position, {score} AS score, similarity, NULL::float AS coverage, rank AS vector_rank,
           NULL::bigint AS keyword_rank, NULL::float AS bm25, NULL::bigint AS exact_matches
    FROM vector ORDER BY rank, version_id, position LIMIT :candidates
)"""


@dataclass(slots=True)
class Candidate:
    """A chunk that a leg found. `bm25` and `coverage` are None if it holds none of the question's lexemes.

    `similarity` is None in a space in which the question has no vector, and where it was not asked for.
    """

    version_id: str
    position: int
    space_id: int
    similarity: float | None = None
    vector_rank: int | None = None
    bm25: float | None = None
    coverage: float | None = None
    exact_matches: int = 0
    keyword_rank: int | None = None
    bm25_share: float = 0.0  # of the greatest
    exact_share: float = 0.0  # of the most exact matches
    score: float = 0.0


_WRITTEN = """
WITH fused AS (
    SELECT * FROM unnest(
        CAST(:version_ids AS text[]), CAST(:positions AS int[]), CAST(:scores AS float8[]),
        CAST(:similarities AS float8[]), CAST(:coverages AS float8[]), CAST(:vector_ranks AS bigint[]),
        CAST(:keyword_ranks AS bigint[]), CAST(:bm25s AS float8[]), CAST(:exact_matches AS bigint[])
    ) AS f(version_id, position, score, similarity, coverage, vector_rank, keyword_rank, bm25, exact_matches)
)"""


def written(best: Sequence["Candidate"]) -> tuple[str, dict[str, list[Any]]]:
    """The candidates as the CTE `fused`, and its parameters."""
    by_words = [each if each.keyword_rank else None for each in best]
    return _WRITTEN, {
        "version_ids": [each.version_id for each in best],
        "positions": [each.position for each in best],
        "scores": [each.score for each in best],
        "similarities": [each.similarity for each in best],
        "coverages": [each and (each.coverage or 0.0) for each in by_words],
        "vector_ranks": [each.vector_rank for each in best],
        "keyword_ranks": [each.keyword_rank for each in best],
        "bm25s": [each.bm25 for each in best],
        "exact_matches": [each and each.exact_matches for each in by_words],
    }


def by_vectors(spaces: int) -> str:
    """The CTE `fused` of what the CTE `vector` found, in one space or several."""
    return _BY_VECTORS.format(score="similarity" if spaces == 1 else "(1.0 / (60 + rank))::float")


def by_words(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that hold a word of the question, the best first, each with its score and rank."""
    found = [each for each in candidates if each.bm25 is not None or each.exact_matches]
    best = max((each.bm25 or 0.0 for each in found), default=0.0) or 1.0
    most = max((each.exact_matches for each in found), default=0) or 1
    for each in found:
        each.bm25_share, each.exact_share = (each.bm25 or 0.0) / best, each.exact_matches / most
        each.score = each.bm25_share + EXACT_MATCHES * each.exact_share
    found.sort(key=lambda each: (-each.score, -each.exact_matches, each.version_id, each.position))
    for rank, each in enumerate(found, 1):
        each.keyword_rank = rank
    return found


def by_both(candidates: Sequence[Candidate], depth: int) -> list[Candidate]:
    """The `depth` best by words and all that the vector leg found, the best first, each with its score."""
    best = by_words(candidates)[:depth]
    found = [each for each in candidates if each.vector_rank is not None]
    found += [each for each in best if each.vector_rank is None]
    for each, meaning in zip(found, _meanings(found), strict=True):
        each.score = MEANING * meaning + (1 - MEANING) * each.bm25_share + EXACT_MATCHES * each.exact_share
    return sorted(found, key=lambda each: (-each.score, each.version_id, each.position))


def _meanings(found: Sequence[Candidate]) -> list[float]:
    """From 0 for the least cosine of its space to 1 for the greatest, or the only one; 0 if it is not known."""
    cosines = defaultdict[int, list[float]](list)
    for each in found:
        if each.similarity is not None:
            cosines[each.space_id].append(each.similarity)
    spread = {space: (min(known), max(known) - min(known)) for space, known in cosines.items()}
    return [0.0 if each.similarity is None else _between(each.similarity, *spread[each.space_id]) for each in found]


def _between(cosine: float, least: float, width: float) -> float:
    return (cosine - least) / width if width else 1.0
