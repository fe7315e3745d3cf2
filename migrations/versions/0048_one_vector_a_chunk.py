"""A chunk says itself whether its vector is a mean of pieces: the checkpoint gives it back once the chunk has it.

Columns with a constant default: nothing is rewritten, and each table is locked for a moment only.

Revision ID: 0048
Revises: 0047
"""

from alembic import op

revision: str = "0048"
down_revision: str | None = "0047"
branch_labels: None = None
depends_on: None = None

TABLES = "chunk_vector", "chunk"


def upgrade() -> None:
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS split boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    """What was embedded since is found in chunks only: the release before embeds it again where it is needed."""
    for table in TABLES:
        op.drop_column(table, "split")
