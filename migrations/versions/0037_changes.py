"""Notifications of what changes of documents, for those who follow it, and tasks that work on chosen documents.

The table is new, and the column has no default: nothing is rewritten. A trigger waits for the writers of its table, and
holds up the next ones, for a moment.

Revision ID: 0037
Revises: 0036
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0037"
down_revision: str | None = "0036"
branch_labels: None = None
depends_on: None = None

# What a change is told by: the tenant and, after a space, the document; an empty document stands for keys and sessions.
_TELL = """
CREATE FUNCTION tell_change(tenant text, document text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM followed_tenant WHERE tenant_id = tenant AND until > now()) THEN
        PERFORM pg_notify('footnote_changes', tenant || ' ' || document);
    END IF;
END $$
"""
_FUNCTION = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM {what};
    RETURN NULL;
END $$
"""
_FUNCTIONS = {
    "tell_of_job": "tell_change(NEW.tenant_id, NEW.document_id)",
    "tell_of_document": "tell_change(OLD.tenant_id, OLD.id)",
    "tell_of_access": "tell_change(OLD.tenant_id, '')",
    "tell_of_pause": "pg_notify('footnote_changes', '')",
}
# A heartbeat without progress changes nothing that is shown.
_SHOWN = "state, step, progress_done, progress_total, waiting_for, next_attempt_at, dispatched_at, error_code"
_OLD, _NEW = (", ".join(f"{row}.{name}" for name in _SHOWN.split(", ")) for row in ("OLD", "NEW"))
_TRIGGERS = (
    "tell_new AFTER INSERT ON job FOR EACH ROW EXECUTE FUNCTION tell_of_job()",
    f"tell AFTER UPDATE OF {_SHOWN} ON job FOR EACH ROW WHEN (({_OLD}) IS DISTINCT FROM ({_NEW})) "
    "EXECUTE FUNCTION tell_of_job()",
    "tell AFTER DELETE OR UPDATE OF metadata ON document FOR EACH ROW EXECUTE FUNCTION tell_of_document()",
    "tell AFTER DELETE OR UPDATE OF revoked_at ON api_key FOR EACH ROW EXECUTE FUNCTION tell_of_access()",
    "tell AFTER DELETE ON browser_session FOR EACH ROW EXECUTE FUNCTION tell_of_access()",
    "tell AFTER INSERT OR DELETE ON pause FOR EACH STATEMENT EXECUTE FUNCTION tell_of_pause()",
)


def upgrade() -> None:
    op.create_table(
        "followed_tenant",
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenant.id"], name="fk_followed_tenant_tenant_id_tenant", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_followed_tenant"),
    )
    op.add_column("background_task", sa.Column("document_ids", postgresql.ARRAY(sa.String(40)), nullable=True))
    op.execute(_TELL)
    for name, what in _FUNCTIONS.items():
        op.execute(_FUNCTION.format(name=name, what=what))
    for trigger in _TRIGGERS:
        op.execute(f"CREATE TRIGGER {trigger}")


def downgrade() -> None:
    for name in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {name} CASCADE")
    op.execute("DROP FUNCTION tell_change")
    op.drop_column("background_task", "document_ids")
    op.drop_table("followed_tenant")
