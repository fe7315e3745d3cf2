"""Files that were refused at upload."""

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base, id_, newest_first, now, ref


class RefusedUpload(Base):
    """A file that did not become a document. `key_id` and `request_id` are those of the upload."""

    __tablename__ = "refused_upload"
    __table_args__ = (
        Index("ix_refused_upload_listed", "tenant_id", newest_first("id")),
        Index("ix_refused_upload_created_at", "created_at"),
    )

    id: Mapped[str] = id_()
    tenant_id: Mapped[str] = ref("tenant")
    key_id: Mapped[str] = mapped_column(server_default="")
    request_id: Mapped[str | None]
    filename: Mapped[str]
    code: Mapped[str]
    message: Mapped[str]
    created_at: Mapped[datetime] = now()
