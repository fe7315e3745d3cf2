"""The passages that spell an abbreviation out, for a question what it stands for.

A search by words finds where it is used most. Of the chunks that hold it, a bounded number is looked through for it in
brackets, or before brackets.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import Written
from footnote.database.tenant_scope import tenant_of
from footnote.extracts.defining import spells_out
from footnote.extracts.question import abbreviation
from footnote.models import chunk_id
from footnote.retrieval.fusion import HITS
from footnote.retrieval.resolving import ResolvedScope
from footnote.retrieval.scope import scope_of

if TYPE_CHECKING:
    from footnote.retrieval import Hit, Query

CHUNKS = 1000  # with the abbreviation that are looked through
MATCHING = 20  # that may spell it out
SHOWN = 3
SURE = 0.9

_SHORT = re.compile(r"[A-Z][A-Za-z0-9&]{1,9}")
# In brackets behind its words, or before brackets with them, or explained in words.
_PATTERN = (
    r"[(\[][\"“'‘]?(the )?[\"“'‘]?{short}[\"”'’]?[)\]]|\m{short}[\"”'’]? ?\("
    r"|\m{short}[\"”'’]? (stands for|is short for|means|steht für|signifie|significa|sta per|staat voor)"
)
_HOLDING = f"""
WITH lexeme AS (
    SELECT DISTINCT l.lexeme
    FROM unnest(CAST(:languages AS text[])) AS language(name),
         unnest(to_tsvector(CAST(language.name AS regconfig), :short)) AS l
),
held AS (
    SELECT b.version_id, b.first_position + i.place AS position
    FROM unnest(CAST(:collections AS text[])) AS collection(id) CROSS JOIN lexeme CROSS JOIN LATERAL (
        SELECT p.block, p.chunks FROM posting p
        WHERE p.key = posting_key(:tenant, collection.id, lexeme.lexeme) ORDER BY p.block LIMIT :chunks
    ) AS p
    CROSS JOIN LATERAL (
        SELECT c.version_id, c.first_position FROM posting_block_of_tenant c
        WHERE c.number = p.block AND {{scope}} OFFSET 0
    ) AS b
    CROSS JOIN LATERAL (
        SELECT get_byte(p.chunks, at) AS place FROM generate_series(0, length(p.chunks) - 1, 3) AS at
    ) AS i
    LIMIT :chunks
),
fused AS (
    SELECT h.version_id, h.position, 1::float AS score, NULL::float AS similarity, NULL::float AS coverage,
           NULL::bigint AS vector_rank, NULL::bigint AS keyword_rank, NULL::float AS bm25, 1::bigint AS exact_matches
    FROM held h CROSS JOIN LATERAL (
        SELECT FROM chunk_of_tenant t
        WHERE t.version_id = h.version_id AND t.position = h.position AND t.text ~ :pattern OFFSET 0
    ) AS t
    LIMIT :matching
)
{HITS.replace("CASE WHEN :diverse THEN c.embedding::text END", "NULL::text")}"""


def wanted(query: "Query") -> str:
    """The abbreviation that the question asks the meaning of; empty for other questions."""
    if query.mode == "vector":
        return ""
    short = abbreviation(query.text)
    return short if _SHORT.fullmatch(short) else ""


async def spelled_out(session: AsyncSession, query: "Query", place: ResolvedScope, short: str) -> "Sequence[Hit]":
    """The hits that spell it out, the surest first."""
    from footnote.retrieval import Hit

    filled = [each.id for each in place.filled]
    if not filled:
        return ()
    scope = scope_of(tenant_of(session), filled, query.document_ids, query.filter, chunks=place.chunks)
    scope.parameters |= {
        "languages": sorted(place.languages),
        "short": short,
        "pattern": _PATTERN.replace("{short}", re.escape(short)),
        "chunks": Written(CHUNKS),
        "matching": Written(MATCHING),
    }
    rows = await scope.run(session, _HOLDING.format(scope=scope.condition))
    worth = [(spells_out(short, row["text"]), row) for row in rows]
    surest = sorted((pair for pair in worth if pair[0] >= SURE), key=lambda pair: -pair[0])[:SHOWN]
    return [
        Hit(chunk_id=chunk_id(row["version_id"], row["position"]), fused_rank=rank, **row)
        for rank, (_, row) in enumerate(surest, 1)
    ]
