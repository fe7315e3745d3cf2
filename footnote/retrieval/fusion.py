"""What the legs found, fused by reciprocal rank, with what a hit shows.

Reciprocal rank fusion is that of Cormack, Clarke and Büttcher, 2009, k = 60.
"""

HITS = """
SELECT f.version_id, f.position, f.score, f.similarity, f.coverage, c.document_id, v.filename, v.number AS version,
       c.page_start, c.page_end, c.char_start, c.char_end, c.heading, c.text, d.metadata,
       f.vector_rank, f.keyword_rank, f.bm25, f.needles, CASE WHEN :diverse THEN c.embedding::text END AS embedding
FROM fused f
JOIN chunk c ON c.version_id = f.version_id AND c.position = f.position
JOIN version v ON v.id = c.version_id
JOIN document d ON d.id = c.document_id
ORDER BY f.score DESC, f.version_id, f.position
"""

FUSED = {
    "hybrid": """,
fused AS (
    SELECT coalesce(v.version_id, k.version_id) AS version_id, coalesce(v.position, k.position) AS position,
           (coalesce(1.0 / (60 + v.rank), 0) + coalesce(1.0 / (60 + k.rank), 0)
            + CASE WHEN k.needles > 0 THEN 1.0 / 60 ELSE 0 END)::float AS score,
           v.similarity, k.coverage::float AS coverage, v.rank AS vector_rank, k.rank AS keyword_rank, k.bm25, k.needles
    FROM vector v FULL JOIN keyword k ON k.version_id = v.version_id AND k.position = v.position
    ORDER BY score DESC, 1, 2 LIMIT :candidates
)""",
    "vector": """,
fused AS (
    SELECT version_id, position, similarity AS score, similarity, NULL::float AS coverage, rank AS vector_rank,
           NULL::bigint AS keyword_rank, NULL::float AS bm25, NULL::bigint AS needles
    FROM vector ORDER BY rank LIMIT :candidates
)""",
    "keyword": """,
fused AS (
    SELECT version_id, position, (1.0 / (60 + rank))::float AS score, NULL::float AS similarity,
           coverage::float AS coverage, NULL::bigint AS vector_rank, rank AS keyword_rank, bm25, needles
    FROM keyword ORDER BY rank LIMIT :candidates
)""",
}
