"""Objects in the store other than the bytes of versions."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base, id_, ref


class Artifact(Base):
    """A part of a version's pages and chunks from the chunk step, until the upsert step has copied them here."""

    __tablename__ = "artifact"

    version_id: Mapped[str] = ref("version", key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = ref("tenant")
    key: Mapped[str] = mapped_column(unique=True)
    tally: Mapped[dict[str, Any]]  # of this part and those before it


class PagePicture(Base):
    """An image of a page, in the store as long as its version is the one that queries see."""

    __tablename__ = "page_picture"

    version_id: Mapped[str] = ref("version", key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    width: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = ref("tenant")
    key: Mapped[str] = mapped_column(unique=True)


class UnownedObject(Base):
    """An object in the store that no version names: it is being written, or given up. Deleted when `delete_at` comes.

    The row is there before the object, so that a writer killed at any moment leaves no unknown object.
    """

    __tablename__ = "unowned_object"
    __table_args__ = (Index("ix_unowned_object_delete_at", "delete_at"),)

    key: Mapped[str] = mapped_column(primary_key=True)
    delete_at: Mapped[datetime]
    deleting: Mapped[bool] = mapped_column(server_default="false")  # too late to be adopted


class DirectUpload(Base):
    """An object that a client writes directly to the store, and what the client declared at the beginning.

    The row is deleted with the reservation of the object: when the object is adopted or swept away.
    """

    __tablename__ = "direct_upload"

    id: Mapped[str] = id_()
    tenant_id: Mapped[str] = ref("tenant")
    key: Mapped[str] = mapped_column(ForeignKey("unowned_object.key", ondelete="CASCADE"), unique=True)
    write: Mapped[str]  # its name in the store
    filename: Mapped[str]
    sha256: Mapped[bytes | None] = mapped_column(LargeBinary)  # as declared
    bytes: Mapped[int] = mapped_column(BigInteger)
    part_bytes: Mapped[int] = mapped_column(BigInteger)  # of every part but the last
    fields: Mapped[dict[str, Any]]
    expires_at: Mapped[datetime]
