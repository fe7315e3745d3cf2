"""Receivers of webhooks, deliveries to them, and how each attempt went."""

from datetime import datetime

from sqlalchemy import BigInteger, Computed, ForeignKey, Index, String, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base, id_, newest_first, now, ref


class JobCallback(Base):
    """An address that gets a webhook when the job ends."""

    __tablename__ = "job_callback"

    job_id: Mapped[str] = ref("job", key=True)
    url: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = ref("tenant")


class WebhookEndpoint(Base):
    """Gets webhooks of the tenant's `events` ("*": of all), until it is disabled."""

    __tablename__ = "webhook_endpoint"
    __table_args__ = (Index("ix_webhook_endpoint_tenant_id_id", "tenant_id", "id"),)

    id: Mapped[str] = id_()
    tenant_id: Mapped[str] = ref("tenant")
    url: Mapped[str]
    description: Mapped[str | None]
    events: Mapped[list[str]] = mapped_column(ARRAY(Text))
    secret: Mapped[str]
    previous_secret: Mapped[str | None]  # signs, too, until `previous_secret_until`
    previous_secret_until: Mapped[datetime | None]
    failing_since: Mapped[datetime | None]  # the first failure after which nothing was delivered
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]  # requested, gone, failing
    created_at: Mapped[datetime] = now()
    updated_at: Mapped[datetime] = now()

    @property
    def enabled(self) -> bool:
        return self.disabled_at is None


class DocumentSequence(Base):
    """The number that the last event of a document had.

    A row of its own: a job that fails holds its row and must not wait for its document's, which a deletion
    holds while it waits for the job.
    """

    __tablename__ = "document_sequence"

    document_id: Mapped[str] = ref("document", key=True)
    tenant_id: Mapped[str] = ref("tenant")
    last: Mapped[int] = mapped_column(BigInteger)


class WebhookDelivery(Base):
    """Outbox of webhooks, written in the transaction that ends the job; one per run, event and receiver."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        UniqueConstraint("job_id", "run", "event", "receiver"),
        Index("ix_webhook_delivery_due", "lane", "next_attempt_at", postgresql_where=text("state = 'pending'")),
        Index("ix_webhook_delivery_listed", "endpoint_id", "state", newest_first("id")),
        Index("ix_webhook_delivery_created_at", "created_at"),
    )

    id: Mapped[str] = id_()
    tenant_id: Mapped[str] = ref("tenant")
    # None: the receiver is a callback_url.
    endpoint_id: Mapped[str | None] = mapped_column(String(40), ForeignKey("webhook_endpoint.id", ondelete="CASCADE"))
    # Or a batch of questions. No reference: a delivery outlives its document.
    job_id: Mapped[str] = mapped_column(String(40))
    run: Mapped[int]
    event: Mapped[str]
    url: Mapped[str]
    receiver: Mapped[str] = mapped_column(Text, Computed("coalesce(endpoint_id, url)", persisted=True))
    # Deliveries to a slow receiver do not hold up those of other lanes: an endpoint, or a tenant's host and port.
    lane: Mapped[str] = mapped_column(
        Text,
        Computed(
            "coalesce(endpoint_id, tenant_id || ' ' || lower(coalesce(substring(url from '://([^/?#]*)'), '')))",
            persisted=True,
        ),
    )
    payload: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="pending")  # pending, delivered, failed
    attempts: Mapped[int] = mapped_column(server_default="0")  # never decreases; only the newest counts
    attempts_before: Mapped[int] = mapped_column(server_default="0")  # those before the last redelivery was requested
    held_until: Mapped[datetime | None]  # while it is being sent
    next_attempt_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    response_status: Mapped[int | None]  # of the last attempt, as `error`
    error: Mapped[str | None]
    created_at: Mapped[datetime] = now()
    delivered_at: Mapped[datetime | None]


class WebhookAttempt(Base):
    """How one attempt at a delivery went; `excerpt`: how the answer began."""

    __tablename__ = "webhook_attempt"

    delivery_id: Mapped[str] = ref("webhook_delivery", key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = ref("tenant")
    started_at: Mapped[datetime]
    latency_ms: Mapped[int]
    response_status: Mapped[int | None]
    error: Mapped[str | None]
    excerpt: Mapped[str | None]
