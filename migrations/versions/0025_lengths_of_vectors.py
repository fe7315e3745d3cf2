"""What is known of the lengths of vectors, and which texts were embedded in pieces.

Of collections that have documents it was not noted whether their model was chosen or taken as configured: they count as
the latter, so that they take the configured one once they are empty.

Revision ID: 0025
Revises: 0024
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0025"
down_revision: str | None = "0024"
branch_labels: None = None
depends_on: None = None

SPACE: dict[str, Any] = {
    "requested_dimensions": sa.Integer(),
    "other_dimensions": sa.Integer(),
    "other_since": sa.DateTime(timezone=True),
}


def upgrade() -> None:
    for name, kind in SPACE.items():
        op.add_column("embedding_space", sa.Column(name, kind, nullable=True))
    op.add_column("embedding_space", sa.Column("other_seen", sa.Integer(), server_default="0", nullable=False))
    op.add_column("embedding", sa.Column("split", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("collection", sa.Column("embedding_chosen", sa.Boolean(), server_default="false", nullable=False))
    op.execute(
        "UPDATE collection SET embedding_chosen = true WHERE space_id IS NULL AND embedding_provider IS NOT NULL"
    )


def downgrade() -> None:
    op.drop_column("collection", "embedding_chosen")
    op.drop_column("embedding", "split")
    for name in ("other_seen", *SPACE):
        op.drop_column("embedding_space", name)
