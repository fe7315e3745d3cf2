"""Many questions, answered in the background.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.add_column(
        "message", sa.Column("unsupported", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False)
    )
    op.create_table(
        "query_batch",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("ended", sa.Integer(), server_default="0", nullable=False),
        sa.Column("callback_url", sa.Text()),
        sa.Column("token", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("holder", sa.Text()),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), server_default=sa.text("now()")),
        sa.Column("dispatched_at", sa.DateTime(timezone=True)),
        sa.Column("waiting_for", sa.Text()),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_query_batch_tenant_id_tenant"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_query_batch")),
    )
    unfinished = sa.text("state IN ('queued', 'running', 'waiting')")
    op.create_index("ix_query_batch_unfinished", "query_batch", ["state"], postgresql_where=unfinished)
    op.create_index("ix_query_batch_finished_at", "query_batch", ["finished_at"])
    op.create_table(
        "query_batch_item",
        sa.Column("batch_id", sa.String(40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("request", postgresql.JSONB()),
        sa.Column("answer", postgresql.JSONB()),
        sa.Column("error", postgresql.JSONB()),
        sa.Column("document_ids", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["query_batch.id"], name=op.f("fk_query_batch_item_batch_id_query_batch"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_query_batch_item_tenant_id_tenant"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("batch_id", "position", name=op.f("pk_query_batch_item")),
    )
    op.create_index("ix_query_batch_item_document_ids", "query_batch_item", ["document_ids"], postgresql_using="gin")


def downgrade() -> None:
    op.drop_table("query_batch_item")
    op.drop_table("query_batch")
    op.drop_column("message", "unsupported")
