"""The keyword leg: BM25 over Postgres full text, and what must match to the letter.

BM25 is that of Robertson and Zaragoza, 2009, "The Probabilistic Relevance Framework: BM25 and Beyond", k1 = 1.2 and
b = 0.75. Any of the question's lexemes counts; only the rarest ones fetch candidates. Identifiers (error codes,
versions, part numbers, addresses) are lexemes of their own beside their parts: the SQL function `identifiers` says
which. A chunk with a rare one, or with a phrase that the question puts in quotes, ranks before those without.
"""

import re
from collections.abc import Collection

from footnote.retrieval.scope import WALL, Scope

CANDIDATES = 2000  # lexemes fetch candidates, the rarest first, until there are this many
NARROWED = 10  # times as many where a large scope leaves out documents, for they are fetched, too
MOST_CANDIDATES = 10_000  # a more frequent lexeme is counted, and fetched, no further
LEXEMES = 64  # of a question, the rarest
RARE_SHARE = 0.01  # an identifier in more of the chunks names nothing in particular
PHRASES = 8
NEEDLES = 1.0  # for holding all that must match to the letter: as much as the best of all words

_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|«([^»]+)»|„([^“”]+)[“”]")


def leg(scope: Scope, question: str, languages: Collection[str], *, large: bool, beside_vector: bool) -> str:
    phrases = ["".join(groups) for groups in _QUOTED.findall(question)]
    scope.parameters |= {
        "languages": sorted(set(languages)),
        "query": question,
        "phrases": phrases[:PHRASES],
        "rare_share": RARE_SHARE,
        "fetched": CANDIDATES * (NARROWED if scope.is_narrowed else 1),
        "most": MOST_CANDIDATES,
        "lexemes": LEXEMES,
    }
    pool, df = (_LARGE_POOL, _KNOWN_OR_COUNTED.format(wall=WALL)) if large else (_SMALL_POOL, _COUNTED)
    besides = _BESIDES if beside_vector else ""
    return pool.format(scope=scope.condition) + _LEG.format(df=df, besides=besides, needles=NEEDLES)


# Where the keyword leg looks, and how much there is. A small scope is read whole through the index on collections: the
# one on lexemes is shared by all tenants, and would fetch their rows only to drop them.
_SMALL_POOL = """
pool AS MATERIALIZED (SELECT c.version_id, c.position, c.words, c.tsv FROM chunk c WHERE {scope}),
whole AS (SELECT greatest(count(*), 1)::float AS size, avg(words) AS words FROM pool)"""
_COUNTED = "(SELECT count(*) FROM pool c WHERE c.tsv @@ tsq)"

# Collections are what a large scope is measured by, whatever it leaves out of them (see `corpus`).
_LARGE_POOL = """
pool AS NOT MATERIALIZED (SELECT c.version_id, c.position, c.words, c.tsv FROM chunk c WHERE {scope}),
whole AS (
    SELECT greatest(sum(coalesce(k.chunks, (
               SELECT sum(v.chunks) FROM document d JOIN version v ON v.id = d.active_version_id
               WHERE d.tenant_id = :tenant AND d.collection_id = chosen.id
           ))), 1)::float AS size,
           sum(k.chunks * k.words) / sum(k.chunks) AS words
    FROM unnest(CAST(:collections AS text[])) AS chosen(id)
    LEFT JOIN corpus k ON k.tenant_id = :tenant AND k.collection_id = chosen.id
)"""
_KNOWN_OR_COUNTED = """coalesce((
    SELECT sum(f.share * k.chunks) FROM frequent_lexeme f JOIN corpus k USING (collection_id)
    WHERE f.tenant_id = :tenant AND f.collection_id = ANY(CAST(:collections AS text[])) AND f.lexeme = lexeme.lexeme
), (SELECT count(*) FROM (SELECT 1 FROM chunk c WHERE {wall} AND c.tsv @@ tsq LIMIT :most) AS found))"""

_LEG = """,
named AS (
    SELECT l.lexeme, false AS exact
    FROM unnest(CAST(:languages AS text[])) AS language(name),
         unnest(to_tsvector(CAST(language.name AS regconfig), :query)) AS l
    UNION ALL
    SELECT word, true FROM unnest(identifiers(:query)) AS word
),
lexeme AS (
    SELECT n.lexeme, bool_or(n.exact) AS exact,
           ('''' || replace(replace(n.lexeme, '\\', '\\\\'), '''', '''''') || '''')::tsquery AS tsq
    FROM named n GROUP BY n.lexeme ORDER BY 2 DESC, 1 LIMIT 4 * :lexemes
),
counted AS MATERIALIZED (SELECT lexeme, tsq, exact, {df} AS df FROM lexeme),
weighted AS (
    SELECT lexeme, tsq, df, ln(1 + greatest(size - df + 0.5, 0.5) / (df + 0.5)) AS idf,
           exact AND df BETWEEN 1 AND greatest(1, size * :rare_share) AS is_needle,
           sum(df) OVER (ORDER BY df, lexeme) - df AS before
    FROM counted, whole ORDER BY df, lexeme LIMIT :lexemes
),
rarest AS (
    SELECT string_agg(tsq::text, ' | ')::tsquery AS tsq FROM weighted WHERE df > 0 AND before < :fetched
),
fetched AS (
    SELECT c.version_id, c.position, c.words, c.tsv FROM pool c, rarest WHERE c.tsv @@ rarest.tsq LIMIT :most
),
average AS (SELECT greatest(coalesce((SELECT words FROM whole), avg(words)), 1) AS words FROM fetched),
candidate AS (SELECT * FROM fetched{besides}),
scored AS (
    SELECT c.version_id, c.position, sum(w.idf) AS held,
           sum(w.idf * tf.n * 2.2 / (tf.n + 1.2 * (0.25 + 0.75 * c.words / average.words))) AS bm25
    FROM candidate c, average, unnest(c.tsv) AS t, weighted w,
         LATERAL (SELECT coalesce(cardinality(t.positions), 1) AS n) AS tf
    WHERE w.lexeme = t.lexeme
    GROUP BY c.version_id, c.position
),
needle AS (
    SELECT tsq FROM weighted WHERE is_needle
    UNION ALL
    SELECT phraseto_tsquery(CAST(language.name AS regconfig), phrase)
    FROM unnest(CAST(:languages AS text[])) AS language(name), unnest(CAST(:phrases AS text[])) AS phrase
),
exact AS (
    SELECT c.version_id, c.position, count(*) AS needles
    FROM needle, LATERAL (SELECT p.version_id, p.position FROM pool p WHERE p.tsv @@ needle.tsq LIMIT :most) AS c
    GROUP BY c.version_id, c.position
),
matched AS (
    SELECT version_id, position, coalesce(held, 0) / (SELECT sum(idf) FROM weighted) AS coverage,
           coalesce(needles, 0) AS needles, bm25, coalesce(bm25 / max(bm25) OVER (), 0) AS bm25_share,
           coalesce(needles, 0)::float / greatest(max(needles) OVER (), 1) AS needles_share
    FROM scored FULL JOIN exact USING (version_id, position)
),
keyword AS (
    SELECT *, row_number() OVER (
        ORDER BY bm25_share + {needles} * needles_share DESC, needles DESC, version_id, position
    ) AS rank
    FROM matched
)"""

# What the vector leg found is scored as well, if it was not fetched anyway.
_BESIDES = """
    UNION ALL
    SELECT c.version_id, c.position, c.words, c.tsv FROM pool c JOIN vector USING (version_id, position), rarest
    WHERE NOT c.tsv @@ rarest.tsq
"""
