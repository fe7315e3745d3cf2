"""Conversations: questions and their answers, in order."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base, id_, newest_first, now, ref


class Conversation(Base):
    """`holder` is the request that asks a question in it. It renews `held_until`; until then no other can ask."""

    __tablename__ = "conversation"
    __table_args__ = (
        Index("ix_conversation_listed", "tenant_id", newest_first("id")),
        Index("ix_conversation_updated_at", "updated_at"),
    )

    id: Mapped[str] = id_()
    tenant_id: Mapped[str] = ref("tenant")
    title: Mapped[str | None]
    # "metadata" is taken by SQLAlchemy's declarative base.
    attributes: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default=text("'{}'"))
    defaults: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))  # of its questions, as requests say
    messages: Mapped[int] = mapped_column(server_default="0")
    holder: Mapped[str | None] = mapped_column(String(40))
    held_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = now()
    updated_at: Mapped[datetime] = now()


class Message(Base):
    """A question or its answer. When a document is deleted, answers made from it are redacted.

    `document_ids`: documents from which the answer may have been made: those of the passages that the generator saw,
    and those of the earlier answers that it saw.
    """

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint("conversation_id", "position"),
        Index("ix_message_document_ids", "document_ids", postgresql_using="gin"),
    )

    id: Mapped[str] = id_()
    conversation_id: Mapped[str] = ref("conversation")
    tenant_id: Mapped[str] = ref("tenant")
    position: Mapped[int]
    role: Mapped[str]  # user, assistant
    content: Mapped[str]
    question_as_searched: Mapped[str | None]
    citations: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'"))
    unsupported: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'"))
    answer_status: Mapped[str | None]  # supported, partial, related, not_found; removed with a document
    model: Mapped[str | None]
    usage: Mapped[dict[str, Any] | None]
    # What else is shown of the answer: where was searched, the passages found (places, no text), times, `truncated`.
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    document_ids: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    created_at: Mapped[datetime] = now()
