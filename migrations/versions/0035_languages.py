"""What the cosines of a model are worth.

Revision ID: 0035
Revises: 0033
"""

from alembic import op

revision: str = "0035"
down_revision: str | None = "0033"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.execute("ALTER TABLE embedding_space ADD COLUMN noise real, ADD COLUMN related real")


def downgrade() -> None:
    op.execute("ALTER TABLE embedding_space DROP COLUMN noise, DROP COLUMN related")
