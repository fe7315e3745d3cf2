"""Chunks that are removed find their postings by their place in a version; due batches of questions have an index.

Each chunk was compared with every block of its version: for 20,000 chunks, twice a million rows. Indexes are built
beside the work, before the function that needs one; the old one goes last. It may be run again after an interruption.

Revision ID: 0043
Revises: 0041
"""

from alembic import op

revision: str = "0043"
down_revision: str | None = "0041"
branch_labels: None = None
depends_on: None = None

# As in 0034, but for the two statements about blocks.
FUNCTION = """
CREATE OR REPLACE FUNCTION chunk_removed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path FROM CURRENT AS $$
DECLARE versions text[];
BEGIN
    versions := ARRAY(SELECT DISTINCT version_id FROM removed);
    DELETE FROM posting p USING (
        SELECT DISTINCT posting_key(c.tenant_id, c.collection_id, l.lexeme) AS key, b.number
        FROM (
            SELECT version_id, tenant_id, collection_id, document_id, position, tsv FROM removed
            UNION ALL
            SELECT version_id, tenant_id, collection_id, document_id, position, tsv
            FROM chunk WHERE version_id = ANY (versions)
        ) AS c, {block}, unnest(c.tsv) AS l
    ) AS held WHERE p.key = held.key AND p.block = held.number;
    DELETE FROM posting_block b USING {removed} r
    WHERE b.document_id = r.document_id AND b.version_id = r.version_id;
    PERFORM post_versions(versions) WHERE EXISTS (SELECT FROM chunk WHERE version_id = ANY (versions));
    INSERT INTO vocabulary_removal (tenant_id, lexeme_keys)
    SELECT gone.tenant_id, array_agg(gone.key) FROM (
        SELECT DISTINCT c.tenant_id, posting_key(c.tenant_id, c.collection_id, l.lexeme) AS key
        FROM removed c, unnest(c.tsv) AS l
    ) AS gone WHERE (SELECT true FROM vocabulary WHERE lexeme_key = gone.key LIMIT 1) GROUP BY gone.tenant_id;
    RETURN NULL;
END $$
"""
# The last block that begins before the chunk.
BLOCK = """LATERAL (
            SELECT number FROM posting_block
            WHERE document_id = c.document_id AND version_id = c.version_id AND first_position <= c.position
            ORDER BY first_position DESC LIMIT 1
        ) AS b"""
BLOCK_BEFORE = """LATERAL (
            SELECT number FROM posting_block
            WHERE document_id = c.document_id AND version_id = c.version_id
              AND c.position BETWEEN first_position AND last_position
        ) AS b"""
DUE = {
    "ix_query_batch_due": "query_batch (next_attempt_at) WHERE state IN ('queued', 'waiting')",
    "ix_query_batch_lease_until": "query_batch (lease_until) WHERE state = 'running'",
}
INDEX, COLUMNS = "ix_posting_block_document_id_version_id_first_position", "document_id, version_id, first_position"
INDEX_BEFORE, COLUMNS_BEFORE = "ix_posting_block_document_id_version_id", "document_id, version_id"


def _change(function: str, name: str, columns: str, before: str) -> None:
    _index(name, f"posting_block ({columns})")
    op.execute(function)
    op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {before}")


def _index(name: str, on: str) -> None:
    op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")  # which an interrupted migration left unfinished
    op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {on}")


def upgrade() -> None:
    each_version = "(SELECT DISTINCT document_id, version_id FROM removed)"
    with op.get_context().autocommit_block():
        for name, on in DUE.items():
            _index(name, on)
        _change(FUNCTION.format(block=BLOCK, removed=each_version), INDEX, COLUMNS, INDEX_BEFORE)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        _change(FUNCTION.format(block=BLOCK_BEFORE, removed="removed"), INDEX_BEFORE, COLUMNS_BEFORE, INDEX)
        for name in DUE:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
