"""Many questions, answered in the background."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base, id_, now, ref


class QueryBatch(Base):
    """Worked off like a job: the row is the outbox, and only the holder of the newest `token` may write.

    state: queued, running, waiting (for `waiting_for`, until `next_attempt_at`), completed, cancelled.
    """

    __tablename__ = "query_batch"
    __table_args__ = (
        Index("ix_query_batch_unfinished", "state", postgresql_where=text("state IN ('queued', 'running', 'waiting')")),
        Index("ix_query_batch_finished_at", "finished_at"),
    )

    id: Mapped[str] = id_()
    tenant_id: Mapped[str] = ref("tenant")
    state: Mapped[str] = mapped_column(server_default="queued")
    total: Mapped[int]
    ended: Mapped[int] = mapped_column(server_default="0")  # items with an answer or an error
    callback_url: Mapped[str | None]
    token: Mapped[int] = mapped_column(BigInteger, server_default="0")
    attempts: Mapped[int] = mapped_column(server_default="0")  # claims since the last item that did not end in order
    retries: Mapped[int] = mapped_column(server_default="0")  # temporary errors since the last answer
    holder: Mapped[str | None]  # id of the message that whoever claimed it last had answered
    lease_until: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    dispatched_at: Mapped[datetime | None]
    waiting_for: Mapped[str | None]
    created_at: Mapped[datetime] = now()
    finished_at: Mapped[datetime | None]


class QueryBatchItem(Base):
    """A question of a batch, then its answer or its error; `document_ids` as `Message` has them."""

    __tablename__ = "query_batch_item"
    __table_args__ = (Index("ix_query_batch_item_document_ids", "document_ids", postgresql_using="gin"),)

    batch_id: Mapped[str] = ref("query_batch", key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = ref("tenant")
    request: Mapped[dict[str, Any] | None] = mapped_column(
        JSONB(none_as_null=True)
    )  # none of a question that was no question
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    document_ids: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
