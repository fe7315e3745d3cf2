"""The keyword leg: BM25 over Postgres full text, and what must match to the letter.

BM25 is that of Robertson and Zaragoza, 2009, "The Probabilistic Relevance Framework: BM25 and Beyond"; K1 was chosen on
the development halves of two test sets (docs/measurements.md). Any lexeme of the question counts; only the rarest ones
fetch candidates. Identifiers (error codes, versions, part numbers, addresses) are lexemes of their own beside their
parts: the SQL function `identifiers` says which. `FY2018` asks for 2018, too. A chunk with a rare identifier, or with a
phrase that the question puts in quotes, ranks before those without. How rare an identifier is, is told by the documents
that hold it: neighbouring chunks overlap, and a title stands in all chunks of its document. The question comes folded,
as the lexemes of the chunks are.
"""

import re
from collections.abc import Collection

from footnote.retrieval.scope import WALL, Scope
from footnote.text import searched

POSTINGS = 10_000  # lexemes fetch what holds them, the rarest first, until there is this much
MOST_POSTINGS = 10_000  # of one lexeme, in a large scope
SCORED = 300  # of what was fetched, by the weight of the lexemes held
K1, B = 1.8, 0.75
COUNTED = 2000  # lexemes of a question, of more than that any
LEXEMES = 64  # of a question: the rarest of those that there are
RARE_SHARE = 0.01  # an identifier in more documents than this share of the chunks names nothing in particular
COMMON_SHARE = 0.25  # nor does one in more of the chunks, however few documents they are of
IDENTIFIER_LENGTH = 4  # a shorter one, Q2 or 5G, stands in many a text that is about something else
PHRASES = 8
EXACT_MATCHES = 1.0  # for holding all that must match to the letter: as much as the best of all words

_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|«([^»]+)»|„([^“”]+)[“”]")


def leg(scope: Scope, question: str, languages: Collection[str], *, large: bool, beside_vector: bool) -> str:
    """The CTE `keyword`; what the CTE `vector` found is scored as well, if there is one."""
    question = searched(question)
    phrases = ["".join(groups) for groups in _QUOTED.findall(question)]
    scope.parameters |= {
        "languages": sorted(set(languages)),
        "query": question,
        "phrases": phrases[:PHRASES],
        "rare_share": RARE_SHARE,
        "common_share": COMMON_SHARE,
        "identifier_length": IDENTIFIER_LENGTH,
        "postings": POSTINGS,
        "most": MOST_POSTINGS,
        "scored": SCORED,
        "counted": COUNTED,
        "lexemes": LEXEMES,
    }
    besides = "UNION SELECT version_id, position FROM vector" if beside_vector else ""
    parts = (_LEXEMES, _LARGE if large else _SMALL, _RANKED)
    return "".join(parts).format(
        scope=scope.condition, wall=WALL, weighted=_WEIGHTED, besides=besides, exact_matches=EXACT_MATCHES, k1=K1, b=B
    )


_LEXEMES = """
named AS (
    SELECT l.lexeme, false AS exact
    FROM unnest(CAST(:languages AS text[])) AS language(name),
         unnest(to_tsvector(CAST(language.name AS regconfig), :query)) AS l
    UNION ALL
    SELECT word, true FROM unnest(identifiers(:query)) AS word
    UNION ALL
    SELECT year[1], false FROM regexp_matches(:query, '[[:alpha:]]([0-9]{{4}})(?![0-9])', 'g') AS year
),
lexeme AS MATERIALIZED (
    SELECT n.lexeme, bool_or(n.exact) AS exact,
           ('''' || replace(replace(n.lexeme, '\\', '\\\\'), '''', '''''') || '''')::tsquery AS tsq
    FROM named n GROUP BY n.lexeme
    ORDER BY row_number() OVER (PARTITION BY bool_or(n.exact) ORDER BY hashtext(n.lexeme)) LIMIT :counted
),"""

_WEIGHTED = """
weighted AS MATERIALIZED (
    SELECT lexeme, tsq, df, ln(1 + greatest(size - df + 0.5, 0.5) / (df + 0.5)) AS idf,
           exact AND length(lexeme) >= :identifier_length AND documents BETWEEN 1 AND greatest(1, size * :rare_share)
               AND df <= greatest(2, size * :common_share) AS is_rare,
           sum(df) OVER (ORDER BY df, lexeme) - df AS before
    FROM counted, whole ORDER BY df = 0, df, lexeme LIMIT :lexemes
)"""

# A small scope counts for itself. Each text is read once for all lexemes: the index on them is shared by all tenants,
# and where theirs are many, Postgres would read it again for each.
_SMALL = """
whole AS (
    SELECT greatest(count(*), 1)::float AS size, greatest(avg(c.words), 1) AS words FROM chunk_of_tenant c WHERE {scope}
),
posting AS MATERIALIZED (
    SELECT l.lexeme, c.version_id, c.position, c.words
    FROM chunk_of_tenant c CROSS JOIN LATERAL (SELECT strip(c.tsv) AS lexemes OFFSET 0) AS held
    JOIN lexeme l ON held.lexemes @@ l.tsq WHERE {scope}
),
counted AS (
    SELECT lexeme, l.tsq, l.exact, count(p.position) AS df, count(DISTINCT p.version_id) AS documents
    FROM lexeme l LEFT JOIN posting p USING (lexeme) GROUP BY lexeme, l.tsq, l.exact
),{weighted}"""

# A large one is measured by its collections, whatever it leaves out of them (see `corpus`).
_LARGE = """
known AS (
    SELECT sum(coalesce(k.chunks, (
               SELECT sum(v.chunks) FROM document d JOIN version v ON v.id = d.active_version_id
               WHERE d.tenant_id = :tenant AND d.collection_id = chosen.id
           ))) AS size,
           sum(k.chunks * k.words) / sum(k.chunks) AS words
    FROM unnest(CAST(:collections AS text[])) AS chosen(id)
    LEFT JOIN corpus k ON k.tenant_id = :tenant AND k.collection_id = chosen.id
),
whole AS (
    SELECT greatest(size, 1)::float AS size,
           coalesce(words, (
               SELECT avg(s.words) FROM (SELECT c.words FROM chunk_of_tenant c WHERE {wall} LIMIT :most) s
           )) AS words
    FROM known
),
counted AS MATERIALIZED (
    SELECT lexeme, tsq, exact, coalesce(often.df, found.df) AS df, coalesce(often.df, found.documents) AS documents
    FROM lexeme l, LATERAL (
        SELECT sum(f.share * k.chunks) AS df FROM frequent_lexeme f JOIN corpus k USING (collection_id)
        WHERE f.tenant_id = :tenant AND f.collection_id = ANY(CAST(:collections AS text[])) AND f.lexeme = l.lexeme
    ) AS often, LATERAL (
        SELECT count(*) AS df, count(DISTINCT held.version_id) AS documents FROM (
            SELECT c.version_id FROM chunk_of_tenant c
            WHERE often.df IS NULL AND {wall} AND c.tsv @@ tsq LIMIT :most
        ) AS held
    ) AS found
),{weighted},
posting AS (
    SELECT w.lexeme, p.* FROM weighted w, LATERAL (
        SELECT c.version_id, c.position, c.words FROM chunk_of_tenant c WHERE {scope} AND c.tsv @@ w.tsq LIMIT :most
    ) AS p WHERE w.df > 0 AND w.before < :postings
)"""

# First by the weight of the lexemes that a chunk is known to hold, for which its text need not be read; then in full.
# How often a chunk holds a lexeme is told by `ts_rank`, which is far faster than `unnest` of all that the chunk holds:
# of n places, all of weight 1, it makes (1 + 1/4 + ... + 1/n^2) / (pi^2 / 6), which lacks about 1 / (n + 1/2) of the
# whole. `setweight` has the lexemes unpacked once, not for each lexeme of the question.
_RANKED = """,
fetched AS (
    SELECT version_id, position FROM posting JOIN weighted USING (lexeme)
    GROUP BY version_id, position ORDER BY sum(idf) DESC, min(words), version_id, position LIMIT :scored
),
scored AS (
    SELECT version_id, position, sum(w.idf) AS held,
           sum(w.idf * tf.n * (1 + {k1}) / (tf.n + {k1} * (1 - {b} + {b} * c.words / whole.words))) AS bm25
    FROM (SELECT version_id, position FROM fetched {besides}) AS candidate
    JOIN chunk_of_tenant c USING (version_id, position), whole, weighted w,
         LATERAL (SELECT setweight(c.tsv, 'A') AS once OFFSET 0) AS read,
         LATERAL (SELECT ts_rank('{{1, 1, 1, 1}}', read.once, w.tsq)::float AS rank OFFSET 0) AS one,
         LATERAL (SELECT round(1 / ((1 - one.rank) * pi() ^ 2 / 6) - 0.5) AS n) AS tf
    WHERE one.rank > 0
    GROUP BY version_id, position
),
literal AS (
    SELECT tsq FROM weighted WHERE is_rare
    UNION ALL
    SELECT phraseto_tsquery(CAST(language.name AS regconfig), phrase)
    FROM unnest(CAST(:languages AS text[])) AS language(name), unnest(CAST(:phrases AS text[])) AS phrase
),
exact AS (
    SELECT version_id, position, count(*) AS exact_matches
    FROM literal, LATERAL (
        SELECT c.version_id, c.position FROM chunk_of_tenant c WHERE {scope} AND c.tsv @@ literal.tsq LIMIT :most
    ) AS p
    GROUP BY version_id, position
),
matched AS (
    SELECT version_id, position, coalesce(held, 0) / (SELECT sum(idf) FROM weighted) AS coverage,
           coalesce(exact_matches, 0) AS exact_matches, bm25, coalesce(bm25 / max(bm25) OVER (), 0) AS bm25_share,
           coalesce(exact_matches, 0)::float / greatest(max(exact_matches) OVER (), 1) AS exact_share
    FROM scored FULL JOIN exact USING (version_id, position)
),
keyword AS (
    SELECT *, row_number() OVER (
        ORDER BY bm25_share + {exact_matches} * exact_share DESC, exact_matches DESC, version_id, position
    ) AS rank
    FROM matched
)"""
