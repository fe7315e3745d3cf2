"""When keys were used, and how often and for how much they may be.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.add_column("api_key", sa.Column("last_used_at", sa.DateTime(timezone=True)))
    op.add_column("api_key", sa.Column("rates", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False))
    op.add_column("api_key", sa.Column("budget_usd", sa.Numeric()))
    op.add_column("api_key", sa.Column("budget_tokens", sa.BigInteger()))


def downgrade() -> None:
    for name in ("budget_tokens", "budget_usd", "rates", "last_used_at"):
        op.drop_column("api_key", name)
