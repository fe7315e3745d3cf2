"""Compares the postings with the chunks."""

from sqlalchemy import text

from footnote.runtime import Runtime

_HELD = """
SELECT b.version_id, b.first_position + get_byte(p.chunks, i) AS position, p.key, get_byte(p.chunks, i + 1) AS times,
       get_byte(p.chunks, i + 2) AS length
FROM posting p LEFT JOIN posting_block b ON b.number = p.block, generate_series(0, length(p.chunks) - 1, 3) AS i
"""
_EXPECTED = """
SELECT c.version_id, c.position, posting_key(c.tenant_id, c.collection_id, l.lexeme) AS key,
       coalesce(cardinality(l.positions), 1) AS times, round(16 * log(2, greatest(c.words, 1))) AS length
FROM chunk c, unnest(c.tsv) AS l
"""
_OWNED = "SELECT version_id, tenant_id, collection_id, document_id, {counts} FROM {table} GROUP BY 1, 2, 3, 4"
_BLOCKS = _OWNED.format(counts="sum(chunks), sum(words)", table="posting_block")
_CHUNKS = _OWNED.format(counts="count(*), sum(words)", table="chunk")


async def posted(rt: Runtime) -> int:
    """How many postings there are. Fails if they, or their blocks, are not exactly what the chunks hold."""
    async with rt.operator.transaction() as session:
        found = sorted(map(tuple, await session.execute(text(_HELD))))
        assert found == sorted(map(tuple, await session.execute(text(_EXPECTED))))
        blocks = sorted(map(tuple, await session.execute(text(_BLOCKS))))
        assert blocks == sorted(map(tuple, await session.execute(text(_CHUNKS))))
    return len(found)
