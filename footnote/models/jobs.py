"""Jobs, their steps, and the pause."""

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Computed, Index, func, literal_column, text
from sqlalchemy.orm import Mapped, column_property, mapped_column

from footnote.models.base import Base, newest_first, now, ref
from footnote.models.leased import Dispatched

_UNCLAIMED = text("state IN ('queued', 'waiting')")
_UNFINISHED = "state IN ('queued', 'running', 'waiting')"


class Job(Dispatched, Base):
    """One run of the pipeline over one version, step by step. It ends succeeded, failed or cancelled."""

    __tablename__ = "job"
    __table_args__ = (
        # A tenant's queue in each lane. It has the time, so that jobs that are not due yet cost next to nothing.
        Index("ix_job_line", *("large", "tenant_id", "level", "id", "next_attempt_at"), postgresql_where=_UNCLAIMED),
        Index("ix_job_dispatched_at", "dispatched_at", postgresql_where=_UNCLAIMED),
        Index("ix_job_lease_until", "lease_until", postgresql_where=text("state = 'running'")),
        # For lists of jobs, and of documents by the state of their job.
        Index("ix_job_listed", "tenant_id", "state", newest_first("id")),
        Index("ix_job_listed_by_document", "tenant_id", "state", newest_first("document_id")),
        Index("ix_job_document_id", "document_id"),
        Index("ix_job_finished_at", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),  # for `retention`
        Index("ix_job_version_id", "version_id"),
        Index(
            "ix_job_unfinished", "tenant_id", "document_id", postgresql_where=text(f"{_UNFINISHED} AND NOT reingestion")
        ),
        Index("ix_job_upserting", "tenant_id", postgresql_where=text(f"step = 'upsert' AND {_UNFINISHED}")),
        Index("ix_job_due", "next_attempt_at", postgresql_where=_UNCLAIMED),
        Index("ix_job_reingestion", "tenant_id", postgresql_where=text(f"reingestion AND {_UNFINISHED}")),
    )

    tenant_id: Mapped[str] = ref("tenant")
    document_id: Mapped[str] = ref("document")
    version_id: Mapped[str] = ref("version")
    step: Mapped[str]
    # Waits in a lane of its own, so that small ones pass. So do all re-ingested ones, or they would pass uploads.
    large: Mapped[bool] = mapped_column(server_default="false")
    run: Mapped[int] = mapped_column(server_default="1")  # raised by every retry after the job had ended
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    progress_done: Mapped[int] = mapped_column(server_default="0")
    progress_total: Mapped[int | None]
    # Whether everything is paused: no column, it is looked up with the row.
    paused: Mapped[bool] = column_property(literal_column("EXISTS (SELECT FROM pause)", Boolean))
    reingestion: Mapped[bool] = mapped_column(
        server_default="false"
    )  # re-ingested because the collection changed; no upload
    # Of two jobs of a tenant the older goes first. But a job falls behind each time it yields, and all uploads go
    # before re-ingested documents.
    level: Mapped[int] = mapped_column(
        Computed("progress_done / 1000 + CASE WHEN reingestion THEN 1000000 ELSE 0 END", persisted=True)
    )
    request_id: Mapped[str | None]
    traceparent: Mapped[str | None]  # of the request's trace, if there is one
    created_at: Mapped[datetime] = now()
    updated_at: Mapped[datetime] = now()


class Pause(Base):
    """While there is a row, no step of any job begins."""

    __tablename__ = "pause"

    since: Mapped[datetime] = mapped_column(primary_key=True, server_default=func.now())


class JobStep(Base):
    """A job's history, one row per step."""

    __tablename__ = "job_step"

    job_id: Mapped[str] = ref("job", key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = ref("tenant")
    position: Mapped[int]
    state: Mapped[str] = mapped_column(server_default="pending")  # pending, running, waiting, succeeded, failed
    attempts: Mapped[int] = mapped_column(server_default="0")
    counts: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
