"""Idempotency keys, deletions with receipts, objects nobody owns, lanes.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: None = None
depends_on: None = None

NOW = sa.text("now()")


def upgrade() -> None:
    _new_tables()
    _embeddings()
    op.alter_column("version", "object_key", nullable=True)
    op.create_index("ix_version_object_key", "version", ["object_key"])
    op.create_index(
        "ix_version_artifact_key", "version", ["artifact_key"], postgresql_where=sa.text("artifact_key IS NOT NULL")
    )
    op.add_column("job", sa.Column("large", sa.Boolean(), server_default="false", nullable=False))
    op.create_index("ix_job_version_id", "job", ["version_id"])
    op.drop_column("webhook_delivery", "dispatched_at")
    op.drop_constraint("fk_webhook_delivery_job_id_job", "webhook_delivery")


def _new_tables() -> None:
    op.create_table(
        "unowned_object",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("delete_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleting", sa.Boolean(), server_default="false", nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_unowned_object")),
    )
    op.create_index("ix_unowned_object_delete_at", "unowned_object", ["delete_at"])
    op.create_table(
        "idempotency_key",
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("holder", sa.String(length=40), nullable=False),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("reply", postgresql.JSONB(), nullable=True),
        sa.Column("document_id", sa.String(length=40), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "key", name=op.f("pk_idempotency_key")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_idempotency_key_tenant_id_tenant"), ondelete="CASCADE"
        ),
    )
    op.create_index("ix_idempotency_key_created_at", "idempotency_key", ["created_at"])
    op.create_index("ix_idempotency_key_document_id", "idempotency_key", ["document_id"])
    op.create_table(
        "deletion",
        sa.Column("document_id", sa.String(length=40), nullable=False),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("document_id", name=op.f("pk_deletion")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_deletion_tenant_id_tenant"), ondelete="CASCADE"
        ),
    )
    op.create_index("ix_deletion_tenant_id_deleted_at", "deletion", ["tenant_id", "deleted_at"])


def _embeddings() -> None:
    """Which embedding a chunk has, and for which document each was made; exact but for headings that repeat a name."""
    op.add_column("chunk", sa.Column("text_sha256", sa.LargeBinary(), nullable=True))
    op.execute("UPDATE chunk SET text_sha256 = sha256(convert_to(context || E'\\n\\n' || text, 'UTF8'))")
    op.alter_column("chunk", "text_sha256", nullable=False)
    op.create_index("ix_chunk_tenant_id_space_id_text_sha256", "chunk", ["tenant_id", "space_id", "text_sha256"])
    op.add_column("embedding", sa.Column("document_id", sa.String(length=40), nullable=True))
    op.execute(
        "UPDATE embedding SET document_id = chunk.document_id FROM chunk WHERE chunk.tenant_id = embedding.tenant_id "
        "AND chunk.space_id = embedding.space_id AND chunk.text_sha256 = embedding.text_sha256"
    )
    op.create_index("ix_embedding_document_id", "embedding", ["document_id"])


def downgrade() -> None:
    op.drop_index("ix_embedding_document_id", "embedding")
    op.drop_column("embedding", "document_id")
    op.drop_index("ix_chunk_tenant_id_space_id_text_sha256", "chunk")
    op.drop_column("chunk", "text_sha256")
    op.drop_table("deletion")
    op.drop_table("idempotency_key")
    op.drop_table("unowned_object")
    op.drop_index("ix_version_artifact_key", "version")
    op.drop_index("ix_version_object_key", "version")
    op.execute("UPDATE version SET object_key = '' WHERE object_key IS NULL")
    op.alter_column("version", "object_key", nullable=False)
    op.drop_index("ix_job_version_id", "job")
    op.drop_column("job", "large")
    op.add_column("webhook_delivery", sa.Column("dispatched_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("DELETE FROM webhook_delivery WHERE NOT EXISTS (SELECT FROM job WHERE job.id = webhook_delivery.job_id)")
    op.create_foreign_key(
        "fk_webhook_delivery_job_id_job", "webhook_delivery", "job", ["job_id"], ["id"], ondelete="CASCADE"
    )
