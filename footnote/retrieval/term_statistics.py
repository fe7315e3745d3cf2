"""What BM25 must know of a collection: how many chunks hold a lexeme, how many there are, how long they are.

A question about a small scope counts for itself. A large collection is sampled now and then: its frequent lexemes are
stored, so that a question only counts the rare ones, for which the index is cheap.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.retrieval import vector_leg

SAMPLE = 20_000  # chunks
FREQUENT = 0.001  # share of the chunks; of a lexeme as rare the sample's share is right within a quarter or so
CHANGED = 0.2  # share of the chunks that came or went since they were counted

# Who finds another process at it leaves it to that one. The collection stays until it is counted.
_DUE = """
SELECT s.tenant_id AS tenant, s.collection_id AS collection, s.chunks
FROM (
    SELECT tenant_id, collection_id, CAST(sum(chunks) AS bigint) AS chunks
    FROM (SELECT tenant_id, collection_id, chunks FROM tally WHERE collection_id <> ''
          UNION ALL SELECT tenant_id, collection_id, chunks FROM tally_change) AS tallied
    GROUP BY 1, 2
) AS s JOIN collection k ON k.id = s.collection_id LEFT JOIN corpus USING (collection_id)
WHERE greatest(s.chunks, corpus.chunks) > :small AND abs(s.chunks - coalesce(corpus.chunks, 0)) > :changed * s.chunks
  AND k.deleted_at IS NULL AND pg_try_advisory_xact_lock(hashtext('footnote.corpus'))
ORDER BY s.collection_id LIMIT 1 FOR KEY SHARE OF k
"""
# Every n-th chunk by a hash of its key: some documents whole would be a sample of few subjects.
_SAMPLE = """
CREATE TEMPORARY TABLE sampled ON COMMIT DROP AS
SELECT words, tsv FROM chunk
WHERE tenant_id = '{tenant}' AND collection_id = '{collection}'
  AND (hashtext(version_id || position) & 2147483647) % {nth} = 0
"""
_FORGET = "DELETE FROM corpus WHERE collection_id = :collection"
_SIZE = """
INSERT INTO corpus (collection_id, tenant_id, chunks, words)
SELECT :collection, :tenant, :chunks, greatest(avg(words), 1) FROM sampled
"""
_LEXEMES = """
INSERT INTO frequent_lexeme (collection_id, tenant_id, lexeme, share)
SELECT :collection, :tenant, word, ndoc::real / size
FROM ts_stat('SELECT tsv FROM sampled'), (SELECT count(*) AS size FROM sampled) AS sample
WHERE ndoc > CAST(:frequent AS float) * size
"""


async def refresh(session: AsyncSession) -> bool:
    """Counts the next collection that is or was large and has changed much. False: there is none."""
    due = (await session.execute(text(_DUE), {"small": vector_leg.EXACT_CHUNKS, "changed": CHANGED})).mappings().first()
    if due is None:
        return False
    # A statement that makes a table takes no parameters; both ids are ours.
    await session.execute(text(_SAMPLE.format(**due, nth=max(1, due["chunks"] // SAMPLE))))
    for statement in (_FORGET, _SIZE, _LEXEMES):
        await session.execute(text(statement), dict(due) | {"frequent": FREQUENT})
    await session.execute(text("DROP TABLE sampled"))
    return True
