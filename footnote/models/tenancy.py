"""Tenants, API keys, sessions of browsers, keys that sign tokens, and idempotency keys."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Index, LargeBinary, Numeric, String, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base, id_, newest_first, now, ref


class Tenant(Base):
    __tablename__ = "tenant"

    id: Mapped[str] = id_()
    name: Mapped[str] = mapped_column(unique=True)
    webhook_secret: Mapped[str]
    quotas: Mapped[dict[str, str]] = mapped_column(JSONB, server_default=text("'{}'"))  # numbers by name, as text
    created_at: Mapped[datetime] = now()
    deleted_at: Mapped[datetime | None]  # then its keys are refused, and what it has is being removed


class ApiKey(Base):
    __tablename__ = "api_key"
    __table_args__ = (Index("ix_api_key_listed", "tenant_id", newest_first("id")),)

    id: Mapped[str] = id_()
    tenant_id: Mapped[str] = ref("tenant")
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(unique=True)
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = now()
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]  # to the minute
    rates: Mapped[dict[str, int]] = mapped_column(JSONB, server_default=text("'{}'"))  # a minute, by class of route
    budget_usd: Mapped[Decimal | None] = mapped_column(Numeric)  # a month, as `budget_tokens`
    budget_tokens: Mapped[int | None] = mapped_column(BigInteger)


class BrowserSession(Base):
    """A browser that acts for an API key: first a code that can be traded once, then what the cookie holds."""

    __tablename__ = "browser_session"
    __table_args__ = (Index("ix_browser_session_expires_at", "expires_at"),)

    id: Mapped[str] = id_()
    tenant_id: Mapped[str] = ref("tenant")
    key_id: Mapped[str] = mapped_column(String(40))
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary, unique=True)  # of the code, then of the cookie
    opened_at: Mapped[datetime | None]  # None: it is a code
    used_at: Mapped[datetime] = now()  # to the minute
    expires_at: Mapped[datetime]


class Installation(Base):
    """One row, which the migration writes: it names the cookie, because a cookie of a browser has no port."""

    __tablename__ = "installation"

    id: Mapped[str] = id_()


class SigningKey(Base):
    """A key that signs tokens of all tenants. Not encrypted: a reader of the database can read the documents, too."""

    __tablename__ = "signing_key"

    id: Mapped[str] = id_()
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = now()


class IdempotencyKey(Base):
    """A request that must be done once: held while it is in flight, then stored with its reply for a day."""

    __tablename__ = "idempotency_key"
    __table_args__ = (
        Index("ix_idempotency_key_created_at", "created_at"),
        Index("ix_idempotency_key_tenant_id_document_id", "tenant_id", "document_id"),
    )

    tenant_id: Mapped[str] = ref("tenant", key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str] = mapped_column(String(40))  # only the request that took it last may finish it
    held_until: Mapped[datetime]
    fingerprint: Mapped[bytes | None] = mapped_column(LargeBinary)  # of the request; set with the reply
    reply: Mapped[dict[str, Any] | None]
    document_id: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[datetime] = now()
