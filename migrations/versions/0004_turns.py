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
    level = sa.Computed("progress_done / 1000", persisted=True)
    op.add_column("job", sa.Column("level", sa.Integer(), level, nullable=False))
    op.drop_index("ix_job_due", "job")
    line = ["large", "tenant_id", "level", "id", "next_attempt_at"]
    op.create_index("ix_job_line", "job", line, postgresql_where=UNCLAIMED)
    op.create_index("ix_job_dispatched_at", "job", ["dispatched_at"], postgresql_where=UNCLAIMED)
    op.create_table(
        "pause",
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("since", name=op.f("pk_pause")),
    )


def downgrade() -> None:
    op.drop_table("pause")
    op.drop_index("ix_job_dispatched_at", "job")
    op.drop_index("ix_job_line", "job")
    op.create_index("ix_job_due", "job", ["next_attempt_at"], postgresql_where=UNCLAIMED)
    op.drop_column("job", "level")
    op.drop_index("ix_webhook_delivery_host_due", "webhook_delivery")
    op.create_index("ix_webhook_delivery_due", "webhook_delivery", ["next_attempt_at"], postgresql_where=PENDING)
    op.drop_column("webhook_delivery", "host")
