"""Cached answers, and the revisions of collections that make them invalid."""

from datetime import datetime
from typing import Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, SmallInteger, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base, id_, now, ref


class CollectionRevision(Base):
    """Counts changes of what queries find in a collection. It has its own row, which is locked last."""

    __tablename__ = "collection_revision"

    collection_id: Mapped[str] = ref("collection", key=True)
    tenant_id: Mapped[str] = ref("tenant")
    revision: Mapped[int] = mapped_column(BigInteger, server_default="0")


class CachedAnswer(Base):
    """`scope` is a hash of all that an answer depends on except the question: where it looked, at which revisions, how
    it was made. A row is deleted when one of its collections changes.
    """

    __tablename__ = "cached_answer"
    __table_args__ = (
        Index("ix_cached_answer_tenant_id_scope_created_at", "tenant_id", "scope", "created_at"),
        Index("ix_cached_answer_created_at", "created_at"),
        Index("ix_cached_answer_collection_ids", "collection_ids", postgresql_using="gin"),
    )

    id: Mapped[str] = id_()
    tenant_id: Mapped[str] = ref("tenant")
    scope: Mapped[bytes] = mapped_column(LargeBinary)
    collection_ids: Mapped[list[str]] = mapped_column(ARRAY(Text))
    question: Mapped[str]
    # Empty where the search asked no model.
    space_id: Mapped[int | None] = mapped_column(SmallInteger, ForeignKey("embedding_space.id"))
    embedding: Mapped[Any | None] = mapped_column(HALFVEC())
    answer: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = now()
