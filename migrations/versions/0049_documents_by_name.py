"""An index of documents by their names, for lists in that order.

Built beside the work: nothing is rewritten or locked.

Revision ID: 0049
Revises: 0048
"""

from alembic import op

revision: str = "0049"
down_revision: str | None = "0048"
branch_labels: None = None
depends_on: None = None

NAME = "ix_document_named"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {NAME} ON document (tenant_id, lower(filename), id)")


def downgrade() -> None:
    op.execute(f"DROP INDEX IF EXISTS {NAME}")
