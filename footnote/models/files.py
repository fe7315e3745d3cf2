"""Files: bytes in the store that belong to no collection, and that documents of several collections may share."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base, id_, newest_first, now, ref


class File(Base):
    """Owns its object. Versions of documents that were made from it share the object, and never give it up."""

    __tablename__ = "file"
    __table_args__ = (
        Index("ix_file_listed", "tenant_id", newest_first("id")),
        Index("ix_file_expires_at", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
    )

    id: Mapped[str] = id_()
    tenant_id: Mapped[str] = ref("tenant")
    filename: Mapped[str]
    media_type: Mapped[str]  # empty if we read no such type: a document made from it fails, and says why
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    bytes: Mapped[int] = mapped_column(BigInteger)
    purpose: Mapped[str]
    object_key: Mapped[str] = mapped_column(unique=True)
    expires_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]  # from then on it is hidden, and its documents are being removed
    created_at: Mapped[datetime] = now()


class FileBatch(Base):
    """Files that are attached to a collection together. Its status is read from the jobs of its documents."""

    __tablename__ = "file_batch"
    __table_args__ = (Index("ix_file_batch_collection_id", "collection_id"),)

    id: Mapped[str] = id_()
    tenant_id: Mapped[str] = ref("tenant")
    collection_id: Mapped[str] = ref("collection")
    key_id: Mapped[str]  # for whom its documents count
    cancelled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = now()


class FileBatchItem(Base):
    """One file of a batch: it waits, or is a document, or could not be attached. It goes with its document."""

    __tablename__ = "file_batch_item"
    __table_args__ = (
        Index("ix_file_batch_item_document_id", "document_id", postgresql_where=text("document_id IS NOT NULL")),
        Index("ix_file_batch_item_open", "batch_id", postgresql_where=text("document_id IS NULL")),
    )

    batch_id: Mapped[str] = ref("file_batch", key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = ref("tenant")
    file_id: Mapped[str] = mapped_column(String(40))  # as it was asked for: there may be no such file
    attributes: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    chunking: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    document_id: Mapped[str | None] = mapped_column(String(40), ForeignKey("document.id", ondelete="CASCADE"))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))  # code and message
