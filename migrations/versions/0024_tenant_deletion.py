"""Tenants that are being deleted, and the receipts of those that were.

Revision ID: 0024
Revises: 0023
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0024"
down_revision: str | None = "0023"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.add_column("tenant", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "tenant_deletion",
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_tenant_deletion")),
    )


def downgrade() -> None:
    op.drop_table("tenant_deletion")
    op.drop_column("tenant", "deleted_at")
