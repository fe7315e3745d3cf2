"""Who did what."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base

# By the database's clock, to the microsecond, and not by a sequence: its gaps would show what other tenants do.
_NEXT_ID = (
    "'aud_' || lpad(to_hex(CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)), 14, '0') "
    "|| substr(replace(CAST(gen_random_uuid() AS text), '-', ''), 1, 12)"
)


def _said(name: str, otherwise: str) -> Any:
    """What the transaction said of itself at its beginning (`Runtime.transaction`)."""
    return text(f"coalesce(nullif(current_setting('footnote.{name}', true), ''), {otherwise})")


class AuditEvent(Base):
    """An action. Without references to its object, which it outlives; without names, texts, addresses or secrets.

    Append-only: a trigger refuses every change, and every deletion except the purge.
    """

    __tablename__ = "audit_event"
    __table_args__ = (
        Index("ix_audit_event_tenant_id_object_id_id", "tenant_id", "object_id", "id"),
        Index("ix_audit_event_at", "at"),
    )

    tenant_id: Mapped[str] = mapped_column(String(40), primary_key=True)  # empty: all tenants
    id: Mapped[str] = mapped_column(String(40), primary_key=True, server_default=text(_NEXT_ID))
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    actor: Mapped[str] = mapped_column(server_default=_said("actor", "'system'"))  # a key's id, operator, system
    request_id: Mapped[str | None] = mapped_column(server_default=_said("request", "NULL"))
    action: Mapped[str]  # what it was done to, and what: document.created
    object_id: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
