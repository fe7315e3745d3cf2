"""Calls of providers whose tokens are estimated, for the providers do not count them.

Revision ID: 0030
Revises: 0029
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0030"
down_revision: str | None = "0029"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.add_column("usage", sa.Column("estimated_calls", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("usage", "estimated_calls")
