"""Who holds a job, so that its end is noticed before the lease is over.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.add_column("job", sa.Column("holder", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("job", "holder")
