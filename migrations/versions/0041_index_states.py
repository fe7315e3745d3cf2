"""What is known of the vector index of each embedding space.

The columns have constant defaults, and there are few spaces: nothing is rewritten. It may be run again.

Revision ID: 0041
Revises: 0040
"""

from alembic import op

revision: str = "0041"
down_revision: str | None = "0040"
branch_labels: None = None
depends_on: None = None

COLUMNS = (
    "ALTER TABLE embedding_space ADD COLUMN IF NOT EXISTS index_state text DEFAULT 'none' NOT NULL, "
    "ADD COLUMN IF NOT EXISTS index_since timestamptz, ADD COLUMN IF NOT EXISTS index_error text"
)
# Of the indexes that are there. Those that are being built meanwhile are noticed by the next look.
READY = """
UPDATE embedding_space AS s SET index_state = 'ready', index_since = now() FROM pg_index AS i
WHERE i.indexrelid = to_regclass('ix_chunk_embedding_space_' || s.id) AND i.indisvalid
"""


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute(READY)


def downgrade() -> None:
    op.execute("ALTER TABLE embedding_space DROP COLUMN index_state, DROP COLUMN index_since, DROP COLUMN index_error")
