"""Answers that OpenAI's clients may refer to later."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base, id_, now, ref


class StoredResponse(Base):
    """`request`: what was asked and how; of what was said before, only the user's words and instructions.

    `output`: text, citations, hits and queries; empty once a document is deleted that it may have been made from, or
    that was found. `document_ids` are these documents.
    """

    __tablename__ = "response"
    __table_args__ = (
        Index("ix_response_document_ids", "document_ids", postgresql_using="gin"),
        Index("ix_response_expires_at", "expires_at"),
    )

    id: Mapped[str] = id_()
    tenant_id: Mapped[str] = ref("tenant")
    previous_id: Mapped[str | None] = mapped_column(String(40))  # which may be gone
    request: Mapped[dict[str, Any]]
    output: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    status: Mapped[str]  # completed, incomplete
    model: Mapped[str]  # as it was asked
    usage: Mapped[dict[str, Any]]
    document_ids: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    created_at: Mapped[datetime] = now()
    completed_at: Mapped[datetime] = now()
    expires_at: Mapped[datetime]
