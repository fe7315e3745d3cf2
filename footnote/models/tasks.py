"""Background tasks."""

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base, now
from footnote.models.leased import Leased


class BackgroundTask(Leased, Base):
    """Work on a collection, file, batch of files, tenant or chosen documents, part by part.

    It ends completed; the row is then its receipt.

    It refers to nothing, for it outlives its subject.
    """

    __tablename__ = "background_task"
    __table_args__ = (
        UniqueConstraint("kind", "subject_id"),
        Index("ix_background_task_due", "next_attempt_at", postgresql_where=text("state IN ('queued', 'waiting')")),
        Index("ix_background_task_lease_until", "lease_until", postgresql_where=text("state = 'running'")),
        Index("ix_background_task_tenant_id", "tenant_id"),
    )

    tenant_id: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str]  # `jobs.tasks.Kind`
    subject_id: Mapped[str] = mapped_column(String(40))
    subject_name: Mapped[str]
    progress_done: Mapped[int] = mapped_column(BigInteger, server_default="0")  # documents
    progress_total: Mapped[int] = mapped_column(BigInteger)  # when it began; afterwards, of the receipt
    # Where single documents were chosen: which. The first `progress_done` of them are done.
    document_ids: Mapped[list[str] | None] = mapped_column(ARRAY(String(40)))
    counts: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))  # of the receipt
    created_at: Mapped[datetime] = now()
