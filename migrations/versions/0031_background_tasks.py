"""Background tasks replace the receipts of collections and tenants; `job.anew` is named `reingestion`.

Revision ID: 0031
Revises: 0030
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0031"
down_revision: str | None = "0030"
branch_labels: None = None
depends_on: None = None

_RECEIPTS = """
INSERT INTO background_task
    (id, tenant_id, kind, subject_id, subject_name, state, progress_done, progress_total, counts, created_at,
     finished_at, next_attempt_at)
SELECT 'tsk_' || substr(collection_id, 5), tenant_id, 'collection.delete', collection_id, name, 'completed',
       CAST(counts ->> 'documents' AS bigint), CAST(counts ->> 'documents' AS bigint), counts, deleted_at, deleted_at,
       CAST(NULL AS timestamptz)
FROM collection_deletion
UNION ALL
SELECT 'tsk_' || substr(id, 5), tenant_id, 'collection.delete', id, name, 'queued',
       0, (SELECT count(*) FROM document WHERE collection_id = collection.id), '{}', deleted_at, NULL, now()
FROM collection WHERE deleted_at IS NOT NULL
UNION ALL
SELECT 'tsk_' || substr(tenant_id, 5), tenant_id, 'tenant.delete', tenant_id, name,
       CASE WHEN finished_at IS NULL THEN 'queued' ELSE 'completed' END,
       coalesce(CAST(counts ->> 'documents' AS bigint), 0), coalesce(CAST(counts ->> 'documents' AS bigint), 0),
       counts, began_at, finished_at, CASE WHEN finished_at IS NULL THEN now() END
FROM tenant_deletion
"""


def _time(name: str, *, nullable: bool = True) -> sa.Column[datetime]:
    default = None if nullable else sa.text("now()")
    return sa.Column(name, sa.DateTime(timezone=True), server_default=default, nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "background_task",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.String(40), nullable=False),
        sa.Column("subject_name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("token", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("holder", sa.Text(), nullable=True),
        _time("lease_until"),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=True),
        sa.Column("waiting_for", sa.Text(), nullable=True),
        sa.Column("progress_done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("progress_total", sa.BigInteger(), nullable=False),
        sa.Column("counts", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        _time("created_at", nullable=False),
        _time("finished_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_background_task")),
        sa.UniqueConstraint("kind", "subject_id", name=op.f("uq_background_task_kind_subject_id")),
    )
    unclaimed, running = sa.text("state IN ('queued', 'waiting')"), sa.text("state = 'running'")
    op.create_index("ix_background_task_due", "background_task", ["next_attempt_at"], postgresql_where=unclaimed)
    op.create_index("ix_background_task_lease_until", "background_task", ["lease_until"], postgresql_where=running)
    op.create_index("ix_background_task_tenant_id", "background_task", ["tenant_id"])
    op.execute(_RECEIPTS)
    op.alter_column("job", "anew", new_column_name="reingestion")
    op.execute("ALTER INDEX ix_job_anew RENAME TO ix_job_reingestion")
    op.drop_table("collection_deletion")
    op.drop_table("tenant_deletion")


def downgrade() -> None:
    op.execute("ALTER INDEX ix_job_reingestion RENAME TO ix_job_anew")
    op.alter_column("job", "reingestion", new_column_name="anew")
    op.create_table(
        "collection_deletion",
        sa.Column("collection_id", sa.String(40), nullable=False),
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        _time("deleted_at", nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_collection_deletion_tenant_id_tenant"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("collection_id", name=op.f("pk_collection_deletion")),
    )
    op.create_table(
        "tenant_deletion",
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        _time("began_at", nullable=False),
        _time("finished_at"),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_tenant_deletion")),
    )
    op.execute(
        "INSERT INTO collection_deletion SELECT subject_id, tenant_id, subject_name, counts, finished_at "
        "FROM background_task WHERE kind = 'collection.delete' AND state = 'completed'"
    )
    op.execute(
        "INSERT INTO tenant_deletion SELECT tenant_id, subject_name, counts, created_at, finished_at "
        "FROM background_task WHERE kind = 'tenant.delete'"
    )
    op.drop_table("background_task")
