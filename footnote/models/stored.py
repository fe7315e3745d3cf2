"""What lies in the store, beside the bytes of versions."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base, ref


class Artifact(Base):
    """A part of a version's pages and chunks from the chunk step, until the upsert step has copied them here."""

    __tablename__ = "artifact"

    version_id: Mapped[str] = ref("version", key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = ref("tenant")
    key: Mapped[str] = mapped_column(unique=True)
    tally: Mapped[dict[str, Any]]  # of this part and those before it


class PagePicture(Base):
    """A page as people see it, kept in the store as long as its version is the one that queries see."""

    __tablename__ = "page_picture"

    version_id: Mapped[str] = ref("version", key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    width: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = ref("tenant")
    key: Mapped[str] = mapped_column(unique=True)


class UnownedObject(Base):
    """An object in the store that no version names: it is being written, or given up. Deleted when `delete_at` comes.

    The row is there before the object, so that a writer killed at any moment leaves nothing unseen.
    """

    __tablename__ = "unowned_object"
    __table_args__ = (Index("ix_unowned_object_delete_at", "delete_at"),)

    key: Mapped[str] = mapped_column(primary_key=True)
    delete_at: Mapped[datetime]
    deleting: Mapped[bool] = mapped_column(server_default="false")  # too late to be adopted
