"""An index of the documents of a collection that came without a file, for the files of a vector store.

Built beside the work: nothing is rewritten or locked.

Revision ID: 0047
Revises: 0046
"""

from alembic import op

revision: str = "0047"
down_revision: str | None = "0046"
branch_labels: None = None
depends_on: None = None

NAME = "ix_document_collection_id_id"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(
            f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {NAME} ON document (collection_id, id) WHERE file_id IS NULL"
        )


def downgrade() -> None:
    op.execute(f"DROP INDEX IF EXISTS {NAME}")
