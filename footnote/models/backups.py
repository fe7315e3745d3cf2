"""Backups that were taken, so that the objects of their rows stay in the store for a while."""

from datetime import datetime

from sqlalchemy import BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base, id_, now


class BackupRun(Base):
    """One run of `footnote backup`. `finished_at` is empty while it runs, and after it was killed.

    Objects that are given up before `objects_until` stay in the store until then: rows of the backup name them.
    """

    __tablename__ = "backup"
    __table_args__ = (
        Index("ix_backup_objects_until", "objects_until"),
        Index("ix_backup_finished_at", "finished_at"),
    )

    id: Mapped[str] = id_()
    kind: Mapped[str]  # base, dump
    started_at: Mapped[datetime] = now()
    finished_at: Mapped[datetime | None]
    objects_until: Mapped[datetime]
    bytes: Mapped[int | None] = mapped_column(BigInteger)
