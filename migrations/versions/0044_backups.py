"""Runs of `footnote backup`.

The table is new: nothing is rewritten or locked.

Revision ID: 0044
Revises: 0043
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0044"
down_revision: str | None = "0043"
branch_labels: None = None
depends_on: None = None


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
    )
    op.create_index("ix_backup_objects_until", "backup", ["objects_until"])
    op.create_index("ix_backup_finished_at", "backup", ["finished_at"])


def downgrade() -> None:
    op.drop_table("backup")
