"""What the legs found, fused into one score.

The hybrid score is a convex combination of both legs' scores, after Bruch, Gai and Ingber, 2023, "An Analysis of Fusion
Functions for Hybrid Retrieval": cosines between the least and the greatest of those found count from 0 to 1, BM25 as a
share of the greatest. Each chunk that either leg found is scored by both. Cosines of different embedding spaces do not
compare: each space has its own least and greatest, and without a keyword leg its ranks count (reciprocal rank fusion,
Cormack, Clarke and Büttcher, 2009, k = 60). VECTOR_WEIGHT was chosen on the development halves
of two test sets (docs/measurements.md), where the combination did better than reciprocal rank fusion.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from footnote.database.driver import array
from footnote.retrieval import two_spaces

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VECTOR_WEIGHT = 0.6  # of the cosine; the rest is BM25's
EXACT_MATCHES = 1.0  # weight of exact matches: all of them count as much as the best BM25 score

# Joined from the hits on: with few rows known of, Postgres would begin with all documents of the tenant.
HITS = """
SELECT f.version_id, f.position, f.score, f.similarity, f.coverage, c.document_id, v.filename, v.number AS version,
       c.page_start, c.page_end, c.char_start, c.char_end, c.heading, c.context AS subject, c.text,
       d.metadata, f.vector_rank, f.keyword_rank, f.bm25, f.exact_matches,
       CAST(c.language AS text) AS language,
       CASE WHEN :diverse THEN c.embedding::text END AS embedding, c.space_id
FROM fused f, LATERAL (
    SELECT * FROM chunk c WHERE c.version_id = f.version_id AND c.position = f.position OFFSET 0
) AS c, LATERAL (
    SELECT v.filename, v.number FROM version v WHERE v.id = c.version_id OFFSET 0
) AS v, LATERAL (
    SELECT d.metadata FROM document d WHERE d.id = c.document_id OFFSET 0
) AS d
ORDER BY f.score DESC, f.version_id, f.position
"""


def hits(swapped: Mapping[str, int], also: str = "") -> str:
    """HITS, also where chunks of collections have vectors in two spaces; `also`: one more column."""
    columns = HITS.replace("SELECT", f"SELECT {also},", 1) if also else HITS
    return columns.replace("FROM chunk c", f"FROM {two_spaces.seen(swapped, two_spaces.TABLES)} c")


# The only leg `vector`; {score}: the cosine or, of several spaces, by the rank.
_BY_VECTORS = """,
fused AS (
    SELECT version_id, position, {score} AS score, similarity, NULL::float AS coverage, rank AS vector_rank,
           NULL::bigint AS keyword_rank, NULL::float AS bm25, NULL::bigint AS exact_matches
    FROM vector ORDER BY rank, version_id, position LIMIT :candidates
)"""


@dataclass(frozen=True)
class Candidates:
    """Chunks that the legs found: each array has an element for each of them, in one order.

    `similarities` are NaN in a space in which the question has no vector, and where they were not asked for;
    `vector_ranks` are 0 for what the vector leg did not find. `held` is the share of the question's idf in the lexemes
    of a chunk. `has_unknown`: one of the question's is in none.
    """

    version_ids: "NDArray[np.str_]"
    positions: "NDArray[np.int64]"
    space_ids: "NDArray[np.int64]"
    similarities: "NDArray[np.float64]"
    vector_ranks: "NDArray[np.int64]"
    bm25: "NDArray[np.float64]"
    held: "NDArray[np.float64]"
    exact_matches: "NDArray[np.int64]"
    has_unknown: bool = False


@dataclass(frozen=True)
class Ranked:
    """The candidates in `order`, the best first. `keyword_ranks` are 0 for what holds no word of the question."""

    candidates: Candidates
    order: "NDArray[np.int64]"
    scores: "NDArray[np.float64]"
    keyword_ranks: "NDArray[np.int64]"


_WRITTEN = """
WITH fused AS (
    SELECT * FROM unnest(
        CAST(:version_ids AS text[]), CAST(:positions AS int[]), CAST(:scores AS float8[]),
        CAST(:similarities AS float8[]), CAST(:coverages AS float8[]), CAST(:vector_ranks AS bigint[]),
        CAST(:keyword_ranks AS bigint[]), CAST(:bm25s AS float8[]), CAST(:exact_matches AS bigint[])
    ) AS f(version_id, position, score, similarity, coverage, vector_rank, keyword_rank, bm25, exact_matches)
)"""


def written(ranked: Ranked, most: int) -> tuple[str, dict[str, str]]:
    """The best of them as the CTE `fused`, and its parameters."""
    found, best = ranked.candidates, ranked.order[:most]
    words = ranked.keyword_ranks[best] > 0
    columns = {
        "version_ids": found.version_ids[best].tolist(),
        "positions": found.positions[best].tolist(),
        "scores": ranked.scores[best].tolist(),
        "similarities": _known(found.similarities[best], found.similarities[best] == found.similarities[best]),
        "coverages": _known(found.held[best], words),
        "vector_ranks": _known(found.vector_ranks[best], found.vector_ranks[best] > 0),
        "keyword_ranks": _known(ranked.keyword_ranks[best], words),
        "bm25s": _known(found.bm25[best], found.held[best] > 0),
        "exact_matches": _known(found.exact_matches[best], words),
    }
    return _WRITTEN, {name: array(values) for name, values in columns.items()}


def _known(values: "NDArray[Any]", known: "NDArray[np.bool_]") -> list[Any]:
    return [value if is_known else None for value, is_known in zip(values.tolist(), known.tolist(), strict=True)]


def by_vectors(spaces: int) -> str:
    """The CTE `fused` of what the CTE `vector` found, in one space or several."""
    return _BY_VECTORS.format(score="similarity" if spaces == 1 else "(1.0 / (60 + rank))::float")


def by_words(found: Candidates) -> Ranked:
    """Those that hold a word of the question."""
    import numpy as np

    shares, exact = _scaled_keyword_scores(found)
    scores, worded = shares + EXACT_MATCHES * exact, (found.held > 0) | (found.exact_matches > 0)
    order = np.lexsort((found.positions, found.version_ids, -found.exact_matches, -scores))
    order = order[worded[order]]
    ranks = np.zeros(len(scores), np.int64)
    ranks[order] = np.arange(1, len(order) + 1)
    return Ranked(found, order, scores, ranks)


def by_both(found: Candidates, depth: int) -> Ranked:
    """The `depth` best by words and all that the vector leg found."""
    import numpy as np

    (shares, exact), ranks = _scaled_keyword_scores(found), by_words(found).keyword_ranks
    among = (found.vector_ranks > 0) | ((ranks > 0) & (ranks <= depth))
    scores = VECTOR_WEIGHT * _scaled_cosines(found, among) + (1 - VECTOR_WEIGHT) * shares + EXACT_MATCHES * exact
    order = np.lexsort((found.positions, found.version_ids, -scores))
    return Ranked(found, order[among[order]], scores, ranks)


def _scaled_keyword_scores(found: Candidates) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """BM25 as a share of the greatest, and exact matches of the most."""
    best, most = found.bm25.max(initial=0.0), found.exact_matches.max(initial=0)
    return found.bm25 / (best or 1.0), found.exact_matches / (most or 1)


def _scaled_cosines(found: Candidates, among: "NDArray[np.bool_]") -> "NDArray[np.float64]":
    """From 0 for the least cosine of its space to 1 for the greatest, or the only one; 0 if it is not known."""
    import numpy as np

    meanings = np.zeros(len(among))
    known = among & ~np.isnan(found.similarities)
    for space in np.unique(found.space_ids[known]):
        of_space = known & (found.space_ids == space)
        cosines = found.similarities[of_space]
        width = cosines.max() - cosines.min()
        meanings[of_space] = (cosines - cosines.min()) / width if width else 1.0
    return meanings
