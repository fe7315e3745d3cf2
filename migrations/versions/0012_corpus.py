"""What the keyword leg knows of large collections.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.create_table(
        "corpus",
        sa.Column("collection_id", sa.String(40), nullable=False),
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("chunks", sa.BigInteger(), nullable=False),
        sa.Column("words", sa.Float(), nullable=False),
        sa.Column("counted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collection.id"], name=op.f("fk_corpus_collection_id_collection"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_corpus_tenant_id_tenant"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("collection_id", name=op.f("pk_corpus")),
    )
    op.create_table(
        "frequent_lexeme",
        sa.Column("collection_id", sa.String(40), nullable=False),
        sa.Column("lexeme", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("share", sa.REAL(), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["corpus.collection_id"],
            name=op.f("fk_frequent_lexeme_collection_id_corpus"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_frequent_lexeme_tenant_id_tenant"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("collection_id", "lexeme", name=op.f("pk_frequent_lexeme")),
    )


def downgrade() -> None:
    op.drop_table("frequent_lexeme")
    op.drop_table("corpus")
