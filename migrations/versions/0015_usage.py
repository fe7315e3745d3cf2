"""What is used, by day and key.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.add_column("version", sa.Column("key_id", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "usage",
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("key_id", "kind", "provider", "model")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("calls", "prompt_tokens", "completion_tokens")),
        sa.Column("cost", sa.Numeric()),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_usage_tenant_id_tenant", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "day", "key_id", "kind", "provider", "model", name="pk_usage"),
    )


def downgrade() -> None:
    op.drop_table("usage")
    op.drop_column("version", "key_id")
