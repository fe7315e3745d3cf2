"""Documents found in others, and documents fetched from an address.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.add_column("document", sa.Column("parent_id", sa.String(length=40), nullable=True))
    op.create_foreign_key(
        "fk_document_parent_id_document", "document", "document", ["parent_id"], ["id"], ondelete="CASCADE"
    )
    op.create_index(
        "ix_document_parent_id", "document", ["parent_id"], postgresql_where=sa.text("parent_id IS NOT NULL")
    )
    op.add_column("version", sa.Column("source_url", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("version", "source_url")
    op.drop_index("ix_document_parent_id", "document")
    op.drop_column("document", "parent_id")
