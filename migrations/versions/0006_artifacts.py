"""Artifacts in parts.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.create_table(
        "artifact",
        sa.Column("version_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("tally", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("version_id", "number", name=op.f("pk_artifact")),
        sa.UniqueConstraint("key", name=op.f("uq_artifact_key")),
        sa.ForeignKeyConstraint(
            ["version_id"], ["version.id"], name=op.f("fk_artifact_version_id_version"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name=op.f("fk_artifact_tenant_id_tenant"), ondelete="CASCADE"
        ),
    )
    op.execute(
        "INSERT INTO artifact (version_id, number, tenant_id, key, tally) SELECT id, 1, tenant_id, artifact_key, "
        "jsonb_build_object('pages', pages, 'chunks', chunks) FROM version WHERE artifact_key IS NOT NULL"
    )
    op.drop_index("ix_version_artifact_key", "version")
    op.drop_column("version", "artifact_key")


def downgrade() -> None:
    op.add_column("version", sa.Column("artifact_key", sa.Text(), nullable=True))
    op.create_index(
        "ix_version_artifact_key", "version", ["artifact_key"], postgresql_where=sa.text("artifact_key IS NOT NULL")
    )
    # A version in several parts is read again by its chunk step, which finds none.
    op.execute(
        "UPDATE version SET artifact_key = artifact.key FROM artifact WHERE artifact.version_id = version.id "
        "AND NOT EXISTS (SELECT FROM artifact AS other WHERE other.version_id = version.id AND other.number > 1)"
    )
    op.drop_table("artifact")
