"""Swaps of embedding models: second vectors of chunks, and how far each swap is."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, SmallInteger, String, text
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base, id_, newest_first, now, ref


class ChunkVector(Base):
    """The vector of a chunk in the other one of its collection's two spaces, under the key of the chunk.

    It is written while its document is locked, and removed with the chunk. The columns that say where the chunk
    belongs let a search read vectors by them.
    """

    __tablename__ = "chunk_vector"
    __table_args__ = (
        Index("ix_chunk_vector_document_id", "document_id"),
        Index("ix_chunk_vector_tenant_id_collection_id", "tenant_id", "collection_id"),
        Index("ix_chunk_vector_tenant_id_space_id_text_sha256", "tenant_id", "space_id", "text_sha256"),
    )

    version_id: Mapped[str] = ref("version", key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = ref("tenant")
    collection_id: Mapped[str] = mapped_column(String(40))
    document_id: Mapped[str] = mapped_column(String(40))
    space_id: Mapped[int] = mapped_column(SmallInteger, ForeignKey("embedding_space.id"))
    text_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    embedding: Mapped[Any] = mapped_column(HALFVEC())
    split: Mapped[bool] = mapped_column(server_default="false")  # as in the chunk


class ModelSwap(Base):
    """One of a collection at a time; `state` is a `model_swap.State`.

    `chunks`, `texts`, `tokens` and `cost` (US dollars) are what was estimated at its beginning.
    """

    __tablename__ = "model_swap"
    __table_args__ = (
        Index("uq_model_swap_collection_id", "collection_id", unique=True, postgresql_where=text("ended_at IS NULL")),
        Index("ix_model_swap_listed", "tenant_id", newest_first("id")),
    )

    id: Mapped[str] = id_()
    tenant_id: Mapped[str] = ref("tenant")
    collection_id: Mapped[str] = ref("collection")
    from_space_id: Mapped[int] = mapped_column(SmallInteger, ForeignKey("embedding_space.id"))
    to_space_id: Mapped[int] = mapped_column(SmallInteger, ForeignKey("embedding_space.id"))
    state: Mapped[str] = mapped_column(server_default="backfilling")
    key_id: Mapped[str] = mapped_column(server_default="")  # the key that began it, for which usage is counted
    # Documents up to this id have been looked through since the last time that something lacked a vector.
    after_document: Mapped[str] = mapped_column(String(40), server_default="")
    chunks: Mapped[int] = mapped_column(BigInteger)
    texts: Mapped[int] = mapped_column(BigInteger)  # different ones without a vector
    tokens: Mapped[int] = mapped_column(BigInteger)
    cost: Mapped[Decimal | None]
    tokens_spent: Mapped[int] = mapped_column(BigInteger, server_default="0")
    texts_embedded: Mapped[int] = mapped_column(BigInteger, server_default="0")
    switched_at: Mapped[datetime | None]
    drop_after: Mapped[datetime | None]  # then the space that is not searched any more goes
    ended_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = now()
