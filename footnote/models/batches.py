"""Many questions, answered in the background."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base, now, ref
from footnote.models.leased import Dispatched


class QueryBatch(Dispatched, Base):
    """Many questions for the workers. It ends completed or cancelled."""

    __tablename__ = "query_batch"
    __table_args__ = (
        Index("ix_query_batch_unfinished", "state", postgresql_where=text("state IN ('queued', 'running', 'waiting')")),
        Index("ix_query_batch_due", "next_attempt_at", postgresql_where=text("state IN ('queued', 'waiting')")),
        Index("ix_query_batch_lease_until", "lease_until", postgresql_where=text("state = 'running'")),
        Index("ix_query_batch_finished_at", "finished_at"),
    )

    tenant_id: Mapped[str] = ref("tenant")
    total: Mapped[int]
    ended: Mapped[int] = mapped_column(server_default="0")  # items with an answer or an error
    callback_url: Mapped[str | None]
    created_at: Mapped[datetime] = now()


class QueryBatchItem(Base):
    """A question of a batch, then its answer or its error; `document_ids` as `Message` has them."""

    __tablename__ = "query_batch_item"
    __table_args__ = (Index("ix_query_batch_item_document_ids", "document_ids", postgresql_using="gin"),)

    batch_id: Mapped[str] = ref("query_batch", key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = ref("tenant")
    request: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))  # none if the question was refused
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    document_ids: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
