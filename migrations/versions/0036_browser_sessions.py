"""Sessions of browsers, the name of the installation, and what else is told of a stored answer.

The two tables are new, and the column has a constant default: nothing is rewritten or locked for longer than a moment.

Revision ID: 0036
Revises: 0035
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0036"
down_revision: str | None = "0035"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.create_table(
        "browser_session",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("key_id", sa.String(40), nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name="fk_browser_session_tenant_id_tenant", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_browser_session"),
        sa.UniqueConstraint("secret_sha256", name="uq_browser_session_secret_sha256"),
    )
    op.create_index("ix_browser_session_expires_at", "browser_session", ["expires_at"])
    op.create_table(
        "installation",
        sa.Column("id", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_installation"),
    )
    op.execute("INSERT INTO installation (id) VALUES (left(replace(gen_random_uuid()::text, '-', ''), 12))")
    details = sa.Column("details", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False)
    op.add_column("message", details)


def downgrade() -> None:
    op.drop_column("message", "details")
    op.drop_table("installation")
    op.drop_table("browser_session")
