"""The keyword leg: where the lexemes of a question stand, and what must match to the letter.

Any lexeme of the question counts; only the rarest ones fetch candidates. Identifiers (error codes, versions, part
numbers, addresses) are complete lexemes in addition to their parts: the SQL function `identifiers` says which. `FY2018`
asks for 2018, too. A chunk with a rare identifier, or with a phrase that the question puts in quotes, ranks before
those without. How rare an identifier is, is counted in documents that hold it: neighbouring chunks overlap, and a
title stands in all chunks of its document. The question comes folded, as the lexemes of the chunks are. It is stemmed
in the languages of the chunks, without the stop words of its own language; what a word becomes in several of them
counts as one word of the question.

`posting` says which chunks hold a lexeme (ADR 44); `bm25` weighs them. A chunk's row is read only if the chunk is a
candidate. Numbers of blocks are spread evenly, so the first blocks of a lexeme are a fair sample of all, from which
frequent lexemes are counted.
"""

import re
from collections.abc import Collection

from footnote.database.driver import Written
from footnote.retrieval.scope import Scope
from footnote.text import searched
from footnote.text.languages import UNSTEMMED, USUAL, asked, configuration

FEW = 5000  # chunks of some documents, up to which each of their blocks is asked for each lexeme
POSTINGS = 10_000  # lexemes fetch what holds them, the rarest first, until there is this much
SAMPLE = 5000  # blocks: what is in fewer is counted, what is in more estimated from these, within about 3 percent
LANGUAGES = 8  # of texts, in which a question is stemmed
COUNTED = 2000  # lexemes of a question, of more than that any
LEXEMES = 64  # of a question: the rarest of those that there are
RARE_SHARE = 0.01  # an identifier in more documents than this share of the chunks names nothing in particular
COMMON_SHARE = 0.25  # nor does one in more of the chunks, however few documents they are of
FEW_CHUNKS = 4  # are no more than half of those there are: two places, each where two chunks overlap
IDENTIFIER_LENGTH = 4  # a shorter one, Q2 or 5G, stands in many a text that is about something else
PHRASES = 8
LITERAL = 10_000  # chunks that match to the letter, of each identifier or phrase
PHRASE_BLOCKS = 100_000  # that hold a phrase's rarest lexeme, and are looked into for the others

_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|«([^»]+)»|„([^“”]+)[“”]")


def leg(scope: Scope, question: str, languages: Collection[str]) -> str:
    """CTEs; `FOUND` selects what they found in a scope that was measured."""
    language, question = asked(searched(question), languages)
    asked_in = configuration(language)
    phrases = ["".join(groups) for groups in _QUOTED.findall(question)]
    scope.parameters |= {
        "languages": _spoken(languages, asked_in),
        "asked_in": asked_in or UNSTEMMED,
        "query": question,
        "phrases": phrases[:PHRASES],
        "rare_share": Written(RARE_SHARE),
        "common_share": Written(COMMON_SHARE),
        "few_chunks": Written(FEW_CHUNKS),
        "identifier_length": Written(IDENTIFIER_LENGTH),
        "postings": Written(POSTINGS),
        "sample": Written(SAMPLE),
        "counted": Written(COUNTED),
        "lexemes": Written(LEXEMES),
        "literal": Written(LITERAL),
        "phrase_blocks": Written(PHRASE_BLOCKS),
    }
    small = not scope.is_whole and scope.size is not None and scope.size <= FEW
    within = "" if scope.is_whole else "JOIN posting_block_of_tenant c ON c.number = p.block"
    return "".join((_LEXEMES, _SMALL if small else _LARGE, _EXACT)).format(
        scope=scope.condition,
        held_scope=scope.condition if within else "true",
        within=within,
        weighted=_WEIGHTED.format(documents="documents" if small else _DOCUMENTS),
        share=_SHARE,
        packed=PACKED,
    )


def _spoken(languages: Collection[str], asked_in: str) -> list[str]:
    """The languages in which the question's words are looked for: not all, where texts are in very many."""
    first = {asked_in: 0, USUAL: 1, UNSTEMMED: 2}
    return sorted(set(languages), key=lambda name: (first.get(name, 3), name))[:LANGUAGES]


_LEXEMES = """
named AS (
    SELECT l.lexeme, false AS exact, l.positions[1] AS place
    FROM unnest(CAST(:languages AS text[])) AS language(name),
         unnest(to_tsvector(CAST(language.name AS regconfig), :query)) AS l
    WHERE l.positions && ARRAY(
        SELECT unnest(positions) FROM unnest(to_tsvector(CAST(CAST(:asked_in AS text) AS regconfig), :query))
    )
    UNION ALL
    SELECT word, true, NULL FROM unnest(identifiers(:query)) AS word
    UNION ALL
    SELECT year[1], false, NULL FROM regexp_matches(:query, '[[:alpha:]]([0-9]{{4}})(?![0-9])', 'g') AS year
),
lexeme AS MATERIALIZED (
    SELECT n.lexeme, bool_or(n.exact) AS exact, min(n.place) AS place FROM named n GROUP BY n.lexeme
    ORDER BY row_number() OVER (PARTITION BY bool_or(n.exact) ORDER BY hashtext(n.lexeme)) LIMIT :counted
),
chosen AS MATERIALIZED (SELECT unnest(CAST(:collections AS text[])) AS collection_id),"""

_WEIGHTED = """
weighted AS MATERIALIZED (
    SELECT lexeme, place, df, blocks, ln(1 + greatest(size - df + 0.5, 0.5) / (df + 0.5)) AS idf,
           CASE WHEN exact AND length(lexeme) >= :identifier_length
                     AND df <= greatest(size * :common_share, least(:few_chunks, greatest(2, size / 2)))
                THEN {documents} BETWEEN 1 AND greatest(1, size * :rare_share, least(2, size / 3))
                ELSE false END AS is_rare,
           sum(df) OVER (ORDER BY df, lexeme) - df AS before
    FROM counted, whole ORDER BY df = 0, df, lexeme LIMIT :lexemes
)"""

# Of blocks `p`: their numbers, how many chunks each lists, and their records (ADR 44), one after the other.
PACKED = """string_agg(int4send(p.block), '') AS blocks,
    string_agg(int2send(CAST(length(p.chunks) / 3 AS smallint)), '') AS sizes, string_agg(p.chunks, '') AS chunks"""

# For a sample of blocks that is full: those up to its last number are (number + 2^31 + 1) / 2^32 of all.
_SHARE = "CASE WHEN count(*) < :sample THEN 1 ELSE 4294967296 / (max(number) + CAST(2147483649 AS float8)) END"

_DOCUMENTS = """(
                    SELECT count(DISTINCT b.version_id) * greatest(1, blocks / :sample) FROM chosen, LATERAL (
                        SELECT p.block FROM posting p
                        WHERE p.key = posting_key(:tenant, chosen.collection_id, lexeme) ORDER BY p.block LIMIT :sample
                    ) AS p JOIN posting_block_of_tenant b ON b.number = p.block
                )"""

# Whole collections, or most of them, which are measured by all that is in them.
_LARGE = """
whole AS (
    SELECT CAST(greatest(sum(s.chunks), 1) AS float8) AS size, greatest(sum(s.words) / sum(s.chunks), 1) AS words
    FROM chosen, LATERAL (
        SELECT sum(first.chunks) * {share} AS chunks, sum(first.words) * {share} AS words
        FROM (
            SELECT b.number, b.chunks, b.words FROM posting_block_of_tenant b
            WHERE b.tenant_id = :tenant AND b.collection_id = chosen.collection_id ORDER BY b.number LIMIT :sample
        ) AS first
    ) AS s
),
counted AS MATERIALIZED (
    SELECT lexeme, exact, place, sum(held.df) AS df, sum(held.blocks) AS blocks
    FROM lexeme l, chosen, LATERAL (
        SELECT coalesce(sum(length(first.chunks)) / 3, 0) * {share} AS df, count(*) * {share} AS blocks
        FROM (
            SELECT p.block AS number, p.chunks FROM posting p
            WHERE p.key = posting_key(:tenant, chosen.collection_id, l.lexeme) ORDER BY p.block LIMIT :sample
        ) AS first
    ) AS held
    GROUP BY lexeme, exact, place
),{weighted},
held AS (
    SELECT w.lexeme, w.idf, w.df <= :postings AND w.blocks < :sample AND w.before < :postings AS is_whole, p.*
    FROM weighted w, LATERAL (
        SELECT {packed} FROM chosen, LATERAL (
            SELECT p.block, p.chunks FROM posting p {within}
            WHERE p.key = posting_key(:tenant, chosen.collection_id, w.lexeme) AND {held_scope}
            ORDER BY p.block LIMIT CAST(ceil(:postings * w.blocks / greatest(w.df, 1)) AS bigint)
        ) AS p
        WHERE w.df > 0 AND w.before < :postings
    ) AS p
)"""

# A few documents count for themselves: each of their blocks is asked for each lexeme.
_SMALL = """
inside AS MATERIALIZED (
    SELECT c.number, c.version_id, c.collection_id, c.chunks, c.words FROM posting_block_of_tenant c WHERE {scope}
),
whole AS (
    SELECT CAST(greatest(sum(chunks), 1) AS float8) AS size,
           greatest(sum(words) / CAST(sum(chunks) AS float8), 1) AS words
    FROM inside
),
asked AS MATERIALIZED (
    SELECT l.lexeme, i.number AS block, i.version_id, p.chunks FROM inside i, lexeme l, LATERAL (
        SELECT p.chunks FROM posting p
        WHERE p.key = posting_key(:tenant, i.collection_id, l.lexeme) AND p.block = i.number OFFSET 0
    ) AS p
),
counted AS MATERIALIZED (
    SELECT lexeme, exact, place, CAST(coalesce(sum(length(chunks)) / 3, 0) AS float8) AS df,
           CAST(count(block) AS float8) AS blocks, count(DISTINCT version_id) AS documents
    FROM lexeme LEFT JOIN asked USING (lexeme) GROUP BY lexeme, exact, place
),{weighted},
held AS (
    SELECT lexeme, idf, true AS is_whole, {packed} FROM weighted LEFT JOIN asked p USING (lexeme) GROUP BY 1, 2
)"""

_EXACT = """,
phrase AS (
    SELECT phraseto_tsquery(CAST(language.name AS regconfig), phrase) AS tsq,
           tsvector_to_array(to_tsvector(CAST(language.name AS regconfig), phrase)) AS lexemes
    FROM unnest(CAST(:languages AS text[])) AS language(name), unnest(CAST(:phrases AS text[])) AS phrase
),
literal AS (
    SELECT CAST(NULL AS tsquery) AS tsq, lexeme, CAST('{{}}' AS text[]) AS others, CAST(:literal AS bigint) AS most
    FROM weighted WHERE is_rare
    UNION ALL
    SELECT tsq, rarest.lexeme, array_remove(lexemes, rarest.lexeme), :phrase_blocks FROM phrase, LATERAL (
        SELECT lexeme FROM counted WHERE lexeme = ANY (lexemes) ORDER BY df, lexeme LIMIT 1
    ) AS rarest
),
exact AS (
    SELECT block, place, count(*) AS exact_matches
    FROM literal, LATERAL (
        SELECT p.block, i.place
        FROM chosen CROSS JOIN LATERAL (
            SELECT p.block, p.chunks FROM posting p
            WHERE p.key = posting_key(:tenant, chosen.collection_id, literal.lexeme) ORDER BY p.block LIMIT literal.most
        ) AS p
        CROSS JOIN LATERAL (
            SELECT c.version_id, c.first_position FROM posting_block_of_tenant c
            WHERE c.number = p.block AND {scope} OFFSET 0
        ) AS c
        CROSS JOIN LATERAL (
            SELECT get_byte(p.chunks, i) AS place FROM generate_series(0, length(p.chunks) - 1, 3) AS i
        ) AS i
        WHERE EXISTS (
            SELECT FROM chunk_of_tenant t WHERE t.version_id = c.version_id AND t.position = c.first_position + i.place
                AND (literal.tsq IS NULL OR t.tsv @@ literal.tsq) OFFSET 0
        ) AND NOT EXISTS (
            SELECT FROM unnest(literal.others) AS other WHERE NOT EXISTS (
                SELECT FROM posting o
                WHERE o.key = posting_key(:tenant, chosen.collection_id, other) AND o.block = p.block OFFSET 0
            )
        )
        LIMIT :literal
    ) AS p
    GROUP BY 1, 2
)"""

# One row: the mean words of a chunk, the lexemes by `bm25.Lexeme`, and what matches to the letter, packed. What a word
# of the question becomes in several languages stands at one place in it: it is known if any of that is, and weighs as
# the most frequent.
FOUND = """
(SELECT words FROM whole) AS words,
EXISTS (
    SELECT FROM counted WHERE NOT exact GROUP BY coalesce(CAST(place AS text), lexeme) HAVING max(df) = 0
) AS has_unknown,
(SELECT sum(idf) FROM (
    SELECT min(idf) AS idf FROM weighted GROUP BY coalesce(CAST(place AS text), lexeme)
) AS word) AS whole_idf,
ARRAY(SELECT ROW(lexeme, idf, is_whole, blocks, sizes, chunks) FROM held ORDER BY lexeme) AS lexemes,
(SELECT string_agg(int4send(block) || int4send(place) || int4send(CAST(exact_matches AS integer)), '') FROM exact)
    AS exact"""
