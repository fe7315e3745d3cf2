"""What the legs found, fused into one score, with what a hit shows.

The hybrid score is a convex combination of both legs' scores, after Bruch, Gai and Ingber, 2023, "An Analysis of Fusion
Functions for Hybrid Retrieval": cosines between the least and the greatest of those found count from 0 to 1, BM25 as a
share of the greatest. Each chunk that either leg found is scored by both. Cosines of different embedding spaces do not
compare: each space has its own least and greatest, and without a keyword leg its ranks count (reciprocal rank fusion,
Cormack, Clarke and Büttcher, 2009, k = 60). MEANING was chosen on the development halves
of two test sets (docs/measurements.md), where the combination did better than reciprocal rank fusion.
"""

from collections.abc import Sequence

from footnote.retrieval import vector_leg
from footnote.retrieval.keyword_leg import EXACT_MATCHES
from footnote.retrieval.spaces import QueryVector

MEANING = 0.6  # the weight of the cosine; the rest is BM25's

HITS = """
SELECT f.version_id, f.position, f.score, f.similarity, f.coverage, c.document_id, v.filename, v.number AS version,
       c.page_start, c.page_end, c.char_start, c.char_end, c.heading, c.context AS subject, c.text,
       d.metadata, f.vector_rank, f.keyword_rank, f.bm25, f.exact_matches,
       CAST(c.language AS text) AS language,
       CASE WHEN :diverse THEN c.embedding::text END AS embedding, c.space_id
FROM fused f
JOIN chunk c ON c.version_id = f.version_id AND c.position = f.position
JOIN version v ON v.id = c.version_id
JOIN document d ON d.id = c.document_id
ORDER BY f.score DESC, f.version_id, f.position
"""

_HYBRID = f""",
beyond AS (
    SELECT version_id, position FROM keyword WHERE rank <= :depth EXCEPT SELECT version_id, position FROM vector
),
measured AS (
    SELECT version_id, position, space_id, similarity FROM vector
    UNION ALL
    SELECT version_id, position, c.space_id, {{similarity}}
    FROM beyond JOIN chunk_of_tenant c USING (version_id, position)
),
spread AS (
    SELECT space_id, min(similarity) AS least, nullif(max(similarity) - min(similarity), 0) AS width
    FROM measured GROUP BY space_id
),
fused AS (
    SELECT version_id, position,
           {MEANING} * CASE WHEN m.similarity IS NOT NULL
                            THEN coalesce((m.similarity - spread.least) / spread.width, 1) ELSE 0 END
           + {1 - MEANING} * coalesce(k.bm25_share, 0) + {EXACT_MATCHES} * coalesce(k.exact_share, 0) AS score,
           m.similarity, k.coverage, v.rank AS vector_rank, k.rank AS keyword_rank, k.bm25, k.exact_matches
    FROM measured m JOIN spread USING (space_id)
    LEFT JOIN vector v USING (version_id, position) LEFT JOIN keyword k USING (version_id, position)
    ORDER BY score DESC, 1, 2 LIMIT :candidates
)"""

_FUSED = {
    "hybrid": _HYBRID,
    "vector": """,
fused AS (
    SELECT version_id, position, {by_vector} AS score, similarity, NULL::float AS coverage, rank AS vector_rank,
           NULL::bigint AS keyword_rank, NULL::float AS bm25, NULL::bigint AS exact_matches
    FROM vector ORDER BY rank, version_id, position LIMIT :candidates
)""",
    "keyword": f""",
fused AS (
    SELECT version_id, position, bm25_share + {EXACT_MATCHES} * exact_share AS score, NULL::float AS similarity,
           coverage, NULL::bigint AS vector_rank, rank AS keyword_rank, bm25, exact_matches
    FROM keyword ORDER BY rank LIMIT :candidates
)""",
}


def fused(mode: str, query_vectors: Sequence[QueryVector]) -> str:
    """What the legs of the mode found becomes `fused`; the query_vectors are where the vector leg looked."""
    by_vector = "similarity" if len(query_vectors) == 1 else "(1.0 / (60 + rank))::float"
    return _FUSED[mode].format(similarity=vector_leg.similarity(query_vectors), by_vector=by_vector)
