"""Files that were refused at upload; and indexes that count what a question looks into.

Revision ID: 0029
Revises: 0027
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0029"
down_revision: str | None = "0027"
branch_labels: None = None
depends_on: None = None

SEARCHED = sa.text("active_version_id IS NOT NULL")
UNFINISHED = sa.text("state IN ('queued', 'running', 'waiting') AND NOT anew")


def upgrade() -> None:
    op.create_table(
        "refused_upload",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("key_id", sa.Text(), server_default="", nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_refused_upload_tenant_id_tenant"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refused_upload")),
    )
    op.create_index("ix_refused_upload_tenant_id_id", "refused_upload", ["tenant_id", "id"])
    op.create_index("ix_refused_upload_created_at", "refused_upload", ["created_at"])
    op.create_index("ix_document_searched", "document", ["tenant_id", "collection_id"], postgresql_where=SEARCHED)
    op.create_index("ix_job_unfinished", "job", ["tenant_id", "document_id"], postgresql_where=UNFINISHED)


def downgrade() -> None:
    op.drop_index("ix_job_unfinished", "job")
    op.drop_index("ix_document_searched", "document")
    op.drop_table("refused_upload")
