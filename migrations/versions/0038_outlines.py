"""The headings of a page's text and where they stand. Documents that are there get them when they are ingested again.

A column without a default: nothing is rewritten, and the table is locked for a moment.

Revision ID: 0038
Revises: 0037
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0038"
down_revision: str | None = "0037"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.add_column("page", sa.Column("outline", postgresql.JSONB(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("page", "outline")
