"""Retrieval: a vector leg and a keyword leg, fused by reciprocal rank in one SQL statement.

The keyword leg is BM25 (Robertson and Zaragoza, 2009, "The Probabilistic Relevance Framework: BM25 and Beyond",
k1 = 1.2, b = 0.75) over Postgres full text: any of the question's lexemes counts, and only the rarest ones fetch
candidates, over which the average length is taken. Fusion is reciprocal rank fusion (Cormack, Clarke and Büttcher,
2009, k = 60).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pgvector import HalfVector
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import cache, collections
from footnote.errors import Conflict
from footnote.models import Collection, EmbeddingSpace, chunk_id
from footnote.runtime import Runtime

Mode = Literal["hybrid", "vector", "keyword"]

DEPTH = 100  # of each leg
EXACT_CHUNKS = 5000  # up to here an exact scan is faster than the index, and misses nothing
CANDIDATES = 2000  # lexemes fetch candidates, the rarest first, until there are this many
MOST_CANDIDATES = 10_000  # a more frequent lexeme is counted, and fetched, no further
LEXEMES = 64  # of a question, the rarest


@dataclass(frozen=True)
class Query:
    """What to look for, and where."""

    tenant_id: str
    text: str
    collections: Sequence[str] | None = None
    document_ids: Sequence[str] | None = None
    mode: Mode = "hybrid"
    top_k: int = 10


@dataclass(frozen=True)
class Hit:
    """A chunk that was found. `text` is `page.text[char_start:char_end]` of the page `page_start`.

    `score` is the fused one; `similarity` is the cosine, `coverage` the share of the question's weight in lexemes
    that the chunk holds, both 0 to 1, None when their leg did not find the chunk.
    """

    chunk_id: str
    document_id: str
    version_id: str
    filename: str
    version: int
    position: int
    page_start: int
    page_end: int
    char_start: int
    char_end: int
    heading: str
    text: str
    score: float
    metadata: dict[str, Any]
    similarity: float | None
    coverage: float | None


async def search(rt: Runtime, query: Query) -> list[Hit]:
    """The best hits, best first. Raises NotFound for an unknown collection, Conflict after a change of model.

    No session is held while the provider embeds the question.
    """
    async with rt.transaction() as session:
        chosen = await collections.chosen(session, query.tenant_id, query.collections)
        filled = [each for each in chosen if each.space_id is not None]
        if not filled or not query.text.strip():
            return []
        space = await cache.find_space(session, rt.embedder.provider, rt.embedder.model)
        searchable = [each for each in filled if space is not None and each.space_id == space.id]
        if not searchable or (query.collections is not None and len(searchable) < len(filled)):
            for collection in filled:
                await collections.check_embedder(session, collection, rt.embedder)
    assert space is not None
    vector = None
    if query.mode != "keyword":
        vector = (await rt.embedder.embed([query.text])).vectors[0]
        if len(vector) != space.dimensions:
            raise Conflict("embedding_model_changed", f"The model now makes vectors of {len(vector)} dimensions.")
    async with rt.transaction() as session:
        return await _run(session, query, searchable, space, vector)


async def _run(
    session: AsyncSession, query: Query, chosen: Sequence[Collection], space: EmbeddingSpace, vector: Any
) -> list[Hit]:
    parameters: dict[str, Any] = {
        "tenant": query.tenant_id,
        "collections": [each.id for each in chosen],
        "languages": sorted({each.language for each in chosen}),
        "documents": list(query.document_ids or ()),
        "query": query.text,
        "depth": DEPTH,
        "candidates": CANDIDATES,
        "most": MOST_CANDIDATES,
        "lexemes": LEXEMES,
        "top_k": query.top_k,
        "exact": EXACT_CHUNKS,
    }
    scope = _SCOPE + (" AND c.document_id = ANY(CAST(:documents AS text[]))" if query.document_ids is not None else "")
    large = await session.scalar(*_with_used(f"SELECT 1 FROM chunk c WHERE {scope} OFFSET :exact LIMIT 1", parameters))
    legs = []
    if vector is not None:
        legs.append(_vector_leg(scope, space, large=bool(large)))
        parameters["vector"] = HalfVector(vector)
    if query.mode != "vector":
        legs.append((_LARGE_POOL if large else _SMALL_POOL).format(scope=scope) + _KEYWORD_LEG)
    statement = "WITH " + ",".join(legs) + _FUSION[query.mode]
    return [_hit(row) for row in (await session.execute(*_with_used(statement, parameters))).mappings()]


def _with_used(statement: str, parameters: dict[str, Any]) -> tuple[TextClause, dict[str, Any]]:
    """The statement, and those of the parameters that it names."""
    used = {name: value for name, value in parameters.items() if f":{name}" in statement}
    bound = text(statement)
    return (bound.bindparams(bindparam("vector", type_=HALFVEC())) if "vector" in used else bound), used


def _hit(row: Any) -> Hit:
    values = dict(row)
    values["chunk_id"] = chunk_id(values["version_id"], values["position"])
    return Hit(**values)


def _vector_leg(scope: str, space: EmbeddingSpace, *, large: bool) -> str:
    """Exact for a small scope, by the space's HNSW index for a large one.

    The space's id and length stand in the SQL as literals, or the planner could not use the partial index.
    """
    distance = f"(c.embedding::halfvec({space.dimensions})) <=> :vector"
    order = distance if large else f"({distance}) + 0"  # an expression no index can serve
    return _VECTOR_LEG.format(scope=f"{scope} AND c.space_id = {space.id}", distance=distance, order=order)


# The tenant wall of retrieval: each leg reads chunks through this condition and no other.
_SCOPE = "c.tenant_id = :tenant AND c.collection_id = ANY(CAST(:collections AS text[]))"

_VECTOR_LEG = """
nearest AS (
    SELECT c.version_id, c.position, {distance} AS distance
    FROM chunk c WHERE {scope} ORDER BY {order} LIMIT :depth
),
vector AS (
    SELECT version_id, position, 1 - distance AS similarity,
           row_number() OVER (ORDER BY distance, version_id, position) AS rank
    FROM nearest
)"""

# Where the keyword leg looks. A small scope is read whole through the index on collections: the one on lexemes is
# shared by all tenants, and would fetch their rows only to drop them.
_SMALL_POOL = """
pool AS MATERIALIZED (SELECT c.version_id, c.position, c.words, c.tsv FROM chunk c WHERE {scope}),
corpus AS (SELECT greatest(count(*), 1)::float AS size FROM pool)"""

_LARGE_POOL = """
pool AS NOT MATERIALIZED (SELECT c.version_id, c.position, c.words, c.tsv FROM chunk c WHERE {scope}),
corpus AS (
    SELECT greatest(coalesce(sum(v.chunks), 0), 1)::float AS size
    FROM (SELECT d.tenant_id, d.collection_id, d.id AS document_id, d.active_version_id FROM document d) AS c
    JOIN version v ON v.id = c.active_version_id WHERE {scope}
)"""

_KEYWORD_LEG = """,
lexeme AS (
    SELECT DISTINCT l.lexeme, ('''' || replace(replace(l.lexeme, '\\', '\\\\'), '''', '''''') || '''')::tsquery AS tsq
    FROM unnest(CAST(:languages AS text[])) AS language(name),
         unnest(to_tsvector(CAST(language.name AS regconfig), :query)) AS l
    ORDER BY l.lexeme LIMIT 4 * :lexemes
),
counted AS (
    SELECT lexeme, tsq, (SELECT count(*) FROM (SELECT 1 FROM pool c WHERE c.tsv @@ tsq LIMIT :most) AS found) AS df
    FROM lexeme
),
weighted AS (
    SELECT lexeme, tsq, df, ln(1 + greatest(size - df + 0.5, 0.5) / (df + 0.5)) AS idf,
           sum(df) OVER (ORDER BY df, lexeme) - df AS before
    FROM counted, corpus ORDER BY df, lexeme LIMIT :lexemes
),
rarest AS (
    SELECT string_agg(tsq::text, ' | ')::tsquery AS tsq FROM weighted WHERE df > 0 AND before < :candidates
),
candidate AS (
    SELECT c.version_id, c.position, c.words, c.tsv FROM pool c, rarest WHERE c.tsv @@ rarest.tsq LIMIT :most
),
average AS (SELECT greatest(avg(words), 1) AS words FROM candidate),
scored AS (
    SELECT c.version_id, c.position, sum(w.idf) AS held,
           sum(w.idf * tf.n * 2.2 / (tf.n + 1.2 * (0.25 + 0.75 * c.words / average.words))) AS bm25
    FROM candidate c, average, unnest(c.tsv) AS t, weighted w,
         LATERAL (SELECT coalesce(cardinality(t.positions), 1) AS n) AS tf
    WHERE w.lexeme = t.lexeme
    GROUP BY c.version_id, c.position
),
keyword AS (
    SELECT version_id, position, held / (SELECT sum(idf) FROM weighted) AS coverage,
           row_number() OVER (ORDER BY bm25 DESC, version_id, position) AS rank
    FROM scored ORDER BY rank LIMIT :depth
)"""

_HITS = """
SELECT f.version_id, f.position, f.score, f.similarity, f.coverage, c.document_id, v.filename, v.number AS version,
       c.page_start, c.page_end, c.char_start, c.char_end, c.heading, c.text, d.metadata
FROM fused f
JOIN chunk c ON c.version_id = f.version_id AND c.position = f.position
JOIN version v ON v.id = c.version_id
JOIN document d ON d.id = c.document_id
ORDER BY f.score DESC, f.version_id, f.position
"""

_FUSION = {
    "hybrid": """,
fused AS (
    SELECT coalesce(v.version_id, k.version_id) AS version_id, coalesce(v.position, k.position) AS position,
           (coalesce(1.0 / (60 + v.rank), 0) + coalesce(1.0 / (60 + k.rank), 0))::float AS score,
           v.similarity, k.coverage::float AS coverage
    FROM vector v FULL JOIN keyword k ON k.version_id = v.version_id AND k.position = v.position
    ORDER BY score DESC, 1, 2 LIMIT :top_k
)"""
    + _HITS,
    "vector": """,
fused AS (
    SELECT version_id, position, similarity AS score, similarity, NULL::float AS coverage
    FROM vector ORDER BY rank LIMIT :top_k
)"""
    + _HITS,
    "keyword": """,
fused AS (
    SELECT version_id, position, (1.0 / (60 + rank))::float AS score, NULL::float AS similarity,
           coverage::float AS coverage
    FROM keyword ORDER BY rank LIMIT :top_k
)"""
    + _HITS,
}
