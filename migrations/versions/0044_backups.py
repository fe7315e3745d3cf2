"""Runs of `footnote backup`, and indexes by which old jobs, conversations and usage are found.

The table is new, and the indexes are built beside the work: nothing is rewritten or locked.

Revision ID: 0044
Revises: 0043
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0044"
down_revision: str | None = "0043"
branch_labels: None = None
depends_on: None = None

INDEXES = {
    "ix_job_finished_at": "job (finished_at) WHERE finished_at IS NOT NULL",
    "ix_conversation_updated_at": "conversation (updated_at)",
    "ix_usage_day": "usage (day)",
}


def upgrade() -> None:
    op.create_table(
        "backup",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("objects_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_backup"),
        if_not_exists=True,  # after an interruption
    )
    op.create_index("ix_backup_objects_until", "backup", ["objects_until"], if_not_exists=True)
    op.create_index("ix_backup_finished_at", "backup", ["finished_at"], if_not_exists=True)
    with op.get_context().autocommit_block():
        for name, where in INDEXES.items():
            op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {where}")


def downgrade() -> None:
    for name in INDEXES:
        op.execute(f"DROP INDEX IF EXISTS {name}")
    op.drop_table("backup")
