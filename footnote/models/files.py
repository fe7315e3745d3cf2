"""Files: bytes in the store that belong to no collection, and that documents of several collections may share."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, LargeBinary, text
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
