"""Who did what: a table that is only added to.

Revision ID: 0023
Revises: 0022
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0023"
down_revision: str | None = "0022"
branch_labels: None = None
depends_on: None = None

# The owner of the table is stopped, too: by mistake nothing is changed, and nothing removed before its time.
_REFUSAL = """
CREATE FUNCTION audit_event_is_only_added_to() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('footnote.purges_audit_log', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the audit log is only added to' USING ERRCODE = 'insufficient_privilege';
END $$
"""
_NEXT_ID = (
    "'aud_' || lpad(to_hex(CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)), 14, '0') "
    "|| substr(replace(CAST(gen_random_uuid() AS text), '-', ''), 1, 12)"
)


def _said(name: str, otherwise: str) -> sa.TextClause:
    return sa.text(f"coalesce(nullif(current_setting('footnote.{name}', true), ''), {otherwise})")


def upgrade() -> None:
    op.create_table(
        "audit_event",
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("id", sa.String(40), server_default=sa.text(_NEXT_ID), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("actor", sa.Text(), server_default=_said("actor", "'system'"), nullable=False),
        sa.Column("request_id", sa.Text(), server_default=_said("request", "NULL"), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("details", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_audit_event")),
    )
    op.create_index("ix_audit_event_tenant_id_object_id_id", "audit_event", ["tenant_id", "object_id", "id"])
    op.create_index("ix_audit_event_at", "audit_event", ["at"])
    op.execute(_REFUSAL)
    op.execute(
        "CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE ON audit_event "
        "FOR EACH ROW EXECUTE FUNCTION audit_event_is_only_added_to()"
    )
    op.execute(
        "CREATE TRIGGER not_truncated BEFORE TRUNCATE ON audit_event "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_event_is_only_added_to()"
    )


def downgrade() -> None:
    op.drop_table("audit_event")
    op.execute("DROP FUNCTION audit_event_is_only_added_to()")
