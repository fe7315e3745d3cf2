"""Documents, their pages and chunks, and the receipts of deleted documents.

Vectors have no fixed length here: each embedding space (provider, model, dimensions) gets its own partial HNSW index
over `chunk`, so that models of different lengths live side by side.
"""

from datetime import datetime
from typing import Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    REAL,
    BigInteger,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    UniqueConstraint,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, REGCONFIG, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base, id_, newest_first, now, ref


class EmbeddingSpace(Base):
    """Vectors are comparable only within one space."""

    __tablename__ = "embedding_space"
    __table_args__ = (UniqueConstraint("provider", "model", "dimensions"),)

    id: Mapped[int] = mapped_column(SmallInteger, Identity(), primary_key=True)
    provider: Mapped[str]
    model: Mapped[str]
    dimensions: Mapped[int]
    # The length that the model was asked for when the space was opened: 0 for none, empty if it is not known.
    requested_dimensions: Mapped[int | None]
    # Evidence that the model's vectors have another length now: which one, how often in a row, since when.
    other_dimensions: Mapped[int | None]
    other_seen: Mapped[int] = mapped_column(server_default="0")
    other_since: Mapped[datetime | None]
    # Cosines that unrelated texts stay below, and the mean of questions and their answers; empty: not measured.
    noise: Mapped[float | None] = mapped_column(REAL)
    related: Mapped[float | None] = mapped_column(REAL)
    # Of its vector index (`vector_index`): none, building, ready or failed; since when; why the last build failed.
    index_state: Mapped[str] = mapped_column(server_default="none")
    index_since: Mapped[datetime | None]
    index_error: Mapped[str | None]
    created_at: Mapped[datetime] = now()


ALIVE = text("deleted_at IS NULL")


class Collection(Base):
    """What its documents share. When `chunking` or `language` change, its documents are re-ingested."""

    __tablename__ = "collection"
    __table_args__ = (
        # Partial, also because of locks: an upload does not wait for a collection that is renamed or deleted.
        Index("uq_collection_tenant_id_name", "tenant_id", "name", unique=True, postgresql_where=ALIVE),
        Index("ix_collection_review_after", "review_after", postgresql_where=text("review_after IS NOT NULL")),
        Index(
            "ix_collection_expires_after_days",
            "last_active_at",
            postgresql_where=text("expires_after_days IS NOT NULL"),
        ),
        Index("ix_collection_deleted_at", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
    )

    id: Mapped[str] = id_()
    tenant_id: Mapped[str] = ref("tenant")
    name: Mapped[str]
    # The chosen model; without a choice the configured one, until the first document is embedded.
    embedding_provider: Mapped[str | None]
    embedding_model: Mapped[str | None]
    embedding_chosen: Mapped[bool] = mapped_column(server_default="false")  # stays if the collection is empty
    # Set when the first document is embedded: only then the dimensions are known.
    space_id: Mapped[int | None] = mapped_column(SmallInteger, ForeignKey("embedding_space.id"))
    # While its model is swapped: the other space, in which each chunk has a vector, too, that is not searched.
    standby_space_id: Mapped[int | None] = mapped_column(SmallInteger, ForeignKey("embedding_space.id"))
    language: Mapped[str] = mapped_column(REGCONFIG, server_default="auto")
    chunking: Mapped[dict[str, Any]] = mapped_column(JSONB)  # the fields of `collections.Chunking`
    # "metadata" is taken by SQLAlchemy's declarative base.
    attributes: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default=text("'{}'"))
    title: Mapped[str | None]  # what it is called where names are not unique
    # Its documents are deleted when it was not used for so long: no search, answer or upload.
    expires_after_days: Mapped[int | None]
    last_active_at: Mapped[datetime | None]  # noted once a minute, and only if it may expire or was made with a title
    # While the documents are reviewed for re-ingestion: the id of the last one that was reviewed.
    review_after: Mapped[str | None] = mapped_column(String(40))
    deleted_at: Mapped[datetime | None]  # from then on it is hidden, and its documents are being removed
    created_at: Mapped[datetime] = now()


class Document(Base):
    __tablename__ = "document"
    __table_args__ = (
        Index("ix_document_listed", "tenant_id", newest_first("id")),
        Index("ix_document_named", "tenant_id", text("lower(filename)"), "id"),
        # The pieces of a name: see the migration that makes the function.
        Index(
            "ix_document_name_parts",
            text("name_parts(tenant_id, filename, external_id)"),
            postgresql_using="gin",
            postgresql_with={"gin_pending_list_limit": 128},
        ),
        Index("ix_document_tenant_id_collection_id_id", "tenant_id", "collection_id", "id"),
        Index(
            "ix_document_searched", "tenant_id", "collection_id", postgresql_where=text("active_version_id IS NOT NULL")
        ),
        Index("ix_document_collection_id_sha256", "collection_id", "sha256"),
        Index(
            "ix_document_metadata",
            "metadata",
            postgresql_using="gin",
            postgresql_ops={"metadata": "jsonb_path_ops"},
        ),
        Index("ix_document_parent_id", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
        Index(
            "uq_document_collection_id_external_id",
            "collection_id",
            "external_id",
            unique=True,
            postgresql_where=text("external_id IS NOT NULL"),
        ),
        Index(
            "uq_document_collection_id_file_id",
            "collection_id",
            "file_id",
            unique=True,
            postgresql_where=text("file_id IS NOT NULL"),
        ),
        Index("ix_document_file_id", "file_id", postgresql_where=text("file_id IS NOT NULL")),
        Index("ix_document_collection_id_id", "collection_id", "id", postgresql_where=text("file_id IS NULL")),
    )

    id: Mapped[str] = id_()
    tenant_id: Mapped[str] = ref("tenant")
    collection_id: Mapped[str] = ref("collection")
    external_id: Mapped[str | None]
    # The archive or message that it was found in; it is deleted with that.
    parent_id: Mapped[str | None] = mapped_column(String(40), ForeignKey("document.id", ondelete="CASCADE"))
    # The file that it was made from; it is deleted with that. No cascade: a deletion leaves a receipt.
    file_id: Mapped[str | None] = mapped_column(String(40), ForeignKey("file.id"))
    filename: Mapped[str]
    # "metadata" is taken by SQLAlchemy's declarative base.
    attributes: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default=text("'{}'"))
    # How it is cut, if not as its collection says: the fields of `collections.Chunking`.
    chunking: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    sha256: Mapped[bytes] = mapped_column(LargeBinary)  # of the newest version
    newest_version: Mapped[int] = mapped_column(server_default="1")
    # The version that queries see; empty until the first one is complete.
    active_version_id: Mapped[str | None] = mapped_column(String(40))
    job_id: Mapped[str] = mapped_column(String(40))  # the newest job, whose state is the document's status
    created_at: Mapped[datetime] = now()
    updated_at: Mapped[datetime] = now()


# The documents of a collection that is being deleted are not visible. Such collections are few.
VISIBLE = Document.collection_id.not_in(select(Collection.id).where(Collection.deleted_at.is_not(None)))


class Version(Base):
    __tablename__ = "version"
    __table_args__ = (
        UniqueConstraint("document_id", "number"),
        Index("ix_version_object_key", "object_key"),
    )

    id: Mapped[str] = id_()
    tenant_id: Mapped[str] = ref("tenant")
    document_id: Mapped[str] = ref("document")
    number: Mapped[int]
    filename: Mapped[str]
    media_type: Mapped[str]
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    bytes: Mapped[int] = mapped_column(BigInteger)
    source_url: Mapped[str | None]  # where the bytes are fetched from by the first step; before that there are none
    # Empty once a newer version is visible: the store keeps the bytes of what queries see and of the newest version.
    object_key: Mapped[str | None]
    shared: Mapped[bool] = mapped_column(server_default="false")  # a file owns the object
    pages: Mapped[int | None]
    chunks: Mapped[int | None]
    # As the document or its collection had them when the chunk step began; empty before.
    chunking: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    language: Mapped[str | None] = mapped_column(REGCONFIG)
    key_id: Mapped[str] = mapped_column(server_default="")  # the key that uploaded it; empty if none did
    created_at: Mapped[datetime] = now()


class Page(Base):
    """The stored text that citations are checked against."""

    __tablename__ = "page"

    version_id: Mapped[str] = ref("version", key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = ref("tenant")
    text: Mapped[str]
    # Of a page that was read from its picture: where its words stand, as `formats.Scan` has them.
    words: Mapped[list[list[float]] | None] = mapped_column(JSONB(none_as_null=True))
    # Its sections with headings: start, end and the path of headings, outermost first. Empty before it was stored.
    outline: Mapped[list[Any] | None] = mapped_column(JSONB(none_as_null=True))


class Chunk(Base):
    """Rows of active versions only: the upsert step replaces a document's rows in one transaction.

    `text == page.text[char_start:char_end]` for the page `page_start` (a chunk never crosses a page).
    """

    __tablename__ = "chunk"
    __table_args__ = (
        # Has the language, so that a few index lookups find the languages of a collection.
        Index("ix_chunk_tenant_id_collection_id_language", "tenant_id", "collection_id", "language"),
        Index("ix_chunk_document_id", "document_id"),
        Index("ix_chunk_tenant_id_space_id_text_sha256", "tenant_id", "space_id", "text_sha256"),
    )

    version_id: Mapped[str] = ref("version", key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = ref("tenant")
    collection_id: Mapped[str] = mapped_column(String(40))  # the document's, which refers to it
    document_id: Mapped[str] = ref("document")
    space_id: Mapped[int] = mapped_column(SmallInteger, ForeignKey("embedding_space.id"))
    language: Mapped[str] = mapped_column(REGCONFIG)
    page_start: Mapped[int]
    page_end: Mapped[int]
    char_start: Mapped[int]
    char_end: Mapped[int]
    heading: Mapped[str]
    # `chunking.Chunk.context`: searched with the text, never quoted.
    context: Mapped[str]
    text: Mapped[str]
    words: Mapped[int]
    text_sha256: Mapped[bytes] = mapped_column(LargeBinary)  # of the embedded text: by it the vector is found again
    tsv: Mapped[str] = mapped_column(TSVECTOR)  # the lexemes and identifiers of context and text, folded
    embedding: Mapped[Any] = mapped_column(HALFVEC())
    split: Mapped[bool] = mapped_column(server_default="false")  # longer than the model reads: embedded in pieces

    @property
    def public_id(self) -> str:
        return chunk_id(self.version_id, self.position)


def chunk_id(version_id: str, position: int) -> str:
    """The same chunk of the same version has the same id, however often it was written."""
    return f"chk_{version_id.removeprefix('ver_')}_{position}"


class Embedding(Base):
    """The checkpoint of the embed step: what is here is never sent to a provider again.

    A row belongs to a document until its version is visible: then the chunks have the vectors, and are asked.
    """

    __tablename__ = "embedding"
    __table_args__ = (Index("ix_embedding_document_id", "document_id"),)

    tenant_id: Mapped[str] = ref("tenant", key=True)
    space_id: Mapped[int] = mapped_column(SmallInteger, ForeignKey("embedding_space.id"), primary_key=True)
    text_sha256: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    # The document it was made for, and is deleted with.
    document_id: Mapped[str | None] = mapped_column(String(40))
    embedding: Mapped[Any] = mapped_column(HALFVEC())
    split: Mapped[bool] = mapped_column(server_default="false")  # as in the chunk
    created_at: Mapped[datetime] = now()


class Deletion(Base):
    """The receipt of a deleted document: what was removed, without any of it."""

    __tablename__ = "deletion"
    __table_args__ = (
        Index("ix_deletion_tenant_id_deleted_at", "tenant_id", "deleted_at"),
        Index("ix_deletion_collection_id", "collection_id", postgresql_where=text("collection_id IS NOT NULL")),
    )

    document_id: Mapped[str] = id_()
    tenant_id: Mapped[str] = ref("tenant")
    collection_id: Mapped[str | None] = mapped_column(String(40))  # the collection or file that it was deleted with
    counts: Mapped[dict[str, Any]]
    deleted_at: Mapped[datetime] = now()
