"""The trace that a job belongs to.

A column without a default: nothing is rewritten, and the table is locked for a moment only.

Revision ID: 0046
Revises: 0045
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0046"
down_revision: str | None = "0045"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.add_column("job", sa.Column("traceparent", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("job", "traceparent")
