"""Collections with settings of their own, and what of them each version was made by.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: None = None
depends_on: None = None

UNCLAIMED = sa.text("state IN ('queued', 'waiting')")
UNFINISHED = sa.text("anew AND state IN ('queued', 'running', 'waiting')")
LINE = ["large", "tenant_id", "level", "id", "next_attempt_at"]


def upgrade() -> None:
    _collections()
    _versions()
    _jobs("progress_done / 1000 + CASE WHEN anew THEN 1000000 ELSE 0 END")
    op.create_index("ix_job_anew", "job", ["tenant_id"], postgresql_where=UNFINISHED)
    op.drop_index("ix_chunk_tenant_id_collection_id", "chunk")
    op.create_index("ix_chunk_tenant_id_collection_id_language", "chunk", ["tenant_id", "collection_id", "language"])
    op.add_column("deletion", sa.Column("collection_id", sa.String(40)))
    op.create_index(
        "ix_deletion_collection_id",
        "deletion",
        ["collection_id"],
        postgresql_where=sa.text("collection_id IS NOT NULL"),
    )
    op.create_table(
        "collection_deletion",
        sa.Column("collection_id", sa.String(40), nullable=False),
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("collection_id", name=op.f("pk_collection_deletion")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_collection_deletion_tenant_id_tenant"), ondelete="CASCADE"
        ),
    )


def _collections() -> None:
    for column in (
        sa.Column("embedding_provider", sa.Text()),
        sa.Column("embedding_model", sa.Text()),
        sa.Column("chunking", postgresql.JSONB()),
        sa.Column("metadata", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("review_after", sa.String(40)),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
    ):
        op.add_column("collection", column)
    op.execute(
        """
        UPDATE collection SET chunking = jsonb_build_object(
            'size', chunk_size, 'overlap', chunk_overlap, 'unit', 'characters', 'by_headings', false)
        """
    )
    op.execute(
        """
        UPDATE collection SET embedding_provider = space.provider, embedding_model = space.model
        FROM embedding_space AS space WHERE space.id = collection.space_id
        """
    )
    op.alter_column("collection", "chunking", nullable=False)
    op.drop_column("collection", "chunk_size")
    op.drop_column("collection", "chunk_overlap")
    op.drop_constraint("uq_collection_tenant_id_name", "collection")
    alive = sa.text("deleted_at IS NULL")
    op.create_index(
        "uq_collection_tenant_id_name", "collection", ["tenant_id", "name"], unique=True, postgresql_where=alive
    )
    for name in ("review_after", "deleted_at"):
        given = sa.text(f"{name} IS NOT NULL")
        op.create_index(f"ix_collection_{name}", "collection", [name], postgresql_where=given)


def _versions() -> None:
    op.add_column("version", sa.Column("chunking", postgresql.JSONB()))
    op.add_column("version", sa.Column("language", postgresql.REGCONFIG()))
    op.execute(
        """
        UPDATE version SET chunking = collection.chunking, language = collection.language
        FROM document JOIN collection ON collection.id = document.collection_id
        WHERE document.id = version.document_id
        """
    )


def _jobs(level: str) -> None:
    """The column of the line, computed differently from now on."""
    if "anew" in level:
        op.add_column("job", sa.Column("anew", sa.Boolean(), server_default="false", nullable=False))
    op.drop_index("ix_job_line", "job")
    op.drop_column("job", "level")
    op.add_column("job", sa.Column("level", sa.Integer(), sa.Computed(level, persisted=True), nullable=False))
    op.create_index("ix_job_line", "job", LINE, postgresql_where=UNCLAIMED)


def downgrade() -> None:
    op.drop_table("collection_deletion")
    op.drop_index("ix_deletion_collection_id", "deletion")
    op.drop_column("deletion", "collection_id")
    op.drop_index("ix_chunk_tenant_id_collection_id_language", "chunk")
    op.create_index("ix_chunk_tenant_id_collection_id", "chunk", ["tenant_id", "collection_id"])
    op.drop_index("ix_job_anew", "job")
    _jobs("progress_done / 1000")
    op.drop_column("job", "anew")
    op.drop_column("version", "language")
    op.drop_column("version", "chunking")
    op.add_column("collection", sa.Column("chunk_size", sa.Integer()))
    op.add_column("collection", sa.Column("chunk_overlap", sa.Integer()))
    op.execute(
        """
        UPDATE collection SET chunk_size = CAST(chunking ->> 'size' AS int) * factor,
                              chunk_overlap = CAST(chunking ->> 'overlap' AS int) * factor
        FROM (VALUES ('characters', 1), ('tokens', 4)) AS unit(name, factor) WHERE unit.name = chunking ->> 'unit'
        """
    )
    op.alter_column("collection", "chunk_size", nullable=False)
    op.alter_column("collection", "chunk_overlap", nullable=False)
    op.drop_index("uq_collection_tenant_id_name", "collection")
    op.create_unique_constraint("uq_collection_tenant_id_name", "collection", ["tenant_id", "name"])
    for name in ("review_after", "deleted_at"):
        op.drop_index(f"ix_collection_{name}", "collection")
    for name in ("embedding_provider", "embedding_model", "chunking", "metadata", "review_after", "deleted_at"):
        op.drop_column("collection", name)
