"""Deliveries by receiver, jobs by the line they stand in, a pause.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: None = None
depends_on: None = None

UNCLAIMED = sa.text("state IN ('queued', 'waiting')")
PENDING = sa.text("state = 'pending'")


def upgrade() -> None:
    host = sa.Computed("lower(coalesce(substring(url from '://([^/?#]*)'), ''))", persisted=True)
    op.add_column("webhook_delivery", sa.Column("host", sa.Text(), host, nullable=False))
    op.drop_index("ix_webhook_delivery_due", "webhook_delivery")
    op.create_index(
        "ix_webhook_delivery_host_due", "webhook_delivery", ["host", "next_attempt_at"], postgresql_where=PENDING
    )


def downgrade() -> None:
    op.drop_index("ix_webhook_delivery_host_due", "webhook_delivery")
    op.create_index("ix_webhook_delivery_due", "webhook_delivery", ["next_attempt_at"], postgresql_where=PENDING)
    op.drop_column("webhook_delivery", "host")
