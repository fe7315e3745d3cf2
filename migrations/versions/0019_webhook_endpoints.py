"""Webhook endpoints, the log of attempts, and the order of a document's events.

Revision ID: 0019
Revises: 0018
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import SchemaItem

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: None = None
depends_on: None = None

PENDING = sa.text("state = 'pending'")
HOST = "lower(coalesce(substring(url from '://([^/?#]*)'), ''))"


def _tenant_of(table: str) -> list[SchemaItem]:
    name = op.f(f"fk_{table}_tenant_id_tenant")
    return [
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=name, ondelete="CASCADE"),
    ]


def _time(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True))


def _now(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "webhook_endpoint",
        sa.Column("id", sa.String(40), nullable=False),
        *_tenant_of("webhook_endpoint"),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("events", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("previous_secret", sa.Text()),
        *(_time(name) for name in ("previous_secret_until", "failing_since", "disabled_at")),
        sa.Column("disabled_reason", sa.Text()),
        _now("created_at"),
        _now("updated_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoint")),
    )
    op.create_index("ix_webhook_endpoint_tenant_id_id", "webhook_endpoint", ["tenant_id", "id"])
    op.create_table(
        "document_sequence",
        sa.Column("document_id", sa.String(40), nullable=False),
        *_tenant_of("document_sequence"),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"], ["document.id"], name=op.f("fk_document_sequence_document_id_document"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("document_id", name=op.f("pk_document_sequence")),
    )
    _change_deliveries()
    op.create_table(
        "webhook_attempt",
        sa.Column("delivery_id", sa.String(40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        *_tenant_of("webhook_attempt"),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("latency_ms", sa.Integer(), nullable=False),
        sa.Column("response_status", sa.Integer()),
        sa.Column("error", sa.Text()),
        sa.Column("excerpt", sa.Text()),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["webhook_delivery.id"],
            name=op.f("fk_webhook_attempt_delivery_id_webhook_delivery"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("delivery_id", "number", name=op.f("pk_webhook_attempt")),
    )


def _change_deliveries() -> None:
    table = "webhook_delivery"
    op.drop_index("ix_webhook_delivery_host_due", table)
    op.drop_constraint("uq_webhook_delivery_job_id_run_event_url", table)
    op.drop_column(table, "host")
    op.add_column(table, sa.Column("endpoint_id", sa.String(40)))
    receiver = sa.Computed("coalesce(endpoint_id, url)", persisted=True)
    op.add_column(table, sa.Column("receiver", sa.Text(), receiver, nullable=False))
    lane = sa.Computed(f"coalesce(endpoint_id, tenant_id || ' ' || {HOST})", persisted=True)
    op.add_column(table, sa.Column("lane", sa.Text(), lane, nullable=False))
    op.add_column(table, sa.Column("attempts_before", sa.Integer(), server_default="0", nullable=False))
    op.add_column(table, _time("held_until"))
    name = op.f("fk_webhook_delivery_endpoint_id_webhook_endpoint")
    op.create_foreign_key(name, table, "webhook_endpoint", ["endpoint_id"], ["id"], ondelete="CASCADE")
    op.create_unique_constraint(
        op.f("uq_webhook_delivery_job_id_run_event_receiver"), table, ["job_id", "run", "event", "receiver"]
    )
    op.create_index("ix_webhook_delivery_due", table, ["lane", "next_attempt_at"], postgresql_where=PENDING)
    op.create_index("ix_webhook_delivery_endpoint_id_id", table, ["endpoint_id", "id"])
    op.create_index("ix_webhook_delivery_created_at", table, ["created_at"])


def downgrade() -> None:
    op.drop_table("webhook_attempt")
    table = "webhook_delivery"
    op.execute("DELETE FROM webhook_delivery WHERE endpoint_id IS NOT NULL")
    for name in ("due", "endpoint_id_id", "created_at"):
        op.drop_index(f"ix_webhook_delivery_{name}", table)
    op.drop_constraint("uq_webhook_delivery_job_id_run_event_receiver", table)
    for name in ("lane", "receiver", "endpoint_id", "attempts_before", "held_until"):
        op.drop_column(table, name)
    host = sa.Computed(HOST, persisted=True)
    op.add_column(table, sa.Column("host", sa.Text(), host, nullable=False))
    columns = ["job_id", "run", "event", "url"]
    op.create_unique_constraint(op.f("uq_webhook_delivery_job_id_run_event_url"), table, columns)
    op.create_index("ix_webhook_delivery_host_due", table, ["host", "next_attempt_at"], postgresql_where=PENDING)
    op.drop_table("document_sequence")
    op.drop_table("webhook_endpoint")
