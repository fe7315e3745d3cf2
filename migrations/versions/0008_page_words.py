"""Where the words stand on pages that were read from their pictures.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.add_column("page", sa.Column("words", JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("page", "words")
