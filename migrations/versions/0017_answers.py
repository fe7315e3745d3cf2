"""Answers that are given again, and the revisions of collections.

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy.dialects import postgresql

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.create_table(
        "collection_revision",
        sa.Column("collection_id", sa.String(40), nullable=False),
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["collection.id"],
            name=op.f("fk_collection_revision_collection_id_collection"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_collection_revision_tenant_id_tenant"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("collection_id", name=op.f("pk_collection_revision")),
    )
    op.create_table(
        "cached_answer",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("scope", sa.LargeBinary(), nullable=False),
        sa.Column("collection_ids", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("space_id", sa.SmallInteger()),
        sa.Column("embedding", HALFVEC()),
        sa.Column("answer", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["space_id"], ["embedding_space.id"], name=op.f("fk_cached_answer_space_id_embedding_space")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_cached_answer_tenant_id_tenant"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cached_answer")),
    )
    op.create_index(
        "ix_cached_answer_tenant_id_scope_created_at", "cached_answer", ["tenant_id", "scope", "created_at"]
    )
    op.create_index("ix_cached_answer_collection_ids", "cached_answer", ["collection_ids"], postgresql_using="gin")


def downgrade() -> None:
    op.drop_table("cached_answer")
    op.drop_table("collection_revision")
