"""Counts of documents, so that none has to be counted."""

from sqlalchemy import BigInteger, Identity, String
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base


class _Counts:
    """Both tables outlive a collection and a tenant for moments, so they reference nothing."""

    tenant_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    collection_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    documents: Mapped[int] = mapped_column(BigInteger)
    searchable: Mapped[int] = mapped_column(BigInteger)  # documents with a version that queries see
    chunks: Mapped[int] = mapped_column(BigInteger)  # of those versions
    bytes: Mapped[int] = mapped_column(BigInteger)  # of versions whose bytes are in the store


class TallyRow(_Counts, Base):
    """Sums of changes that were folded: of a collection, of files, or, with an empty `collection_id`, of a tenant."""

    __tablename__ = "tally"


class TallyChange(_Counts, Base):
    """What one change of a document, version or file added. Written by triggers, in the transaction of the change."""

    __tablename__ = "tally_change"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
