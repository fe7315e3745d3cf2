"""The tables, and nothing else.

Every table carries the tenant. Vectors have no fixed length here: each embedding space (provider, model,
dimensions) gets its own partial HNSW index over `chunk`, so that models of different lengths live side by side.
"""

from datetime import datetime
from typing import Any, ClassVar

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    BigInteger,
    Boolean,
    Computed,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, REGCONFIG, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        str: Text,
    }


def _id() -> Mapped[str]:
    return mapped_column(String(40), primary_key=True)


def _ref(table: str, *, key: bool = False) -> Mapped[str]:
    return mapped_column(String(40), ForeignKey(f"{table}.id", ondelete="CASCADE"), primary_key=key)


def _now() -> Mapped[datetime]:
    return mapped_column(server_default=func.now())


class Tenant(Base):
    __tablename__ = "tenant"

    id: Mapped[str] = _id()
    name: Mapped[str] = mapped_column(unique=True)
    webhook_secret: Mapped[str]
    created_at: Mapped[datetime] = _now()


class ApiKey(Base):
    __tablename__ = "api_key"

    id: Mapped[str] = _id()
    tenant_id: Mapped[str] = _ref("tenant")
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(unique=True)
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = _now()
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class EmbeddingSpace(Base):
    """Vectors are comparable only within one space."""

    __tablename__ = "embedding_space"
    __table_args__ = (UniqueConstraint("provider", "model", "dimensions"),)

    id: Mapped[int] = mapped_column(SmallInteger, Identity(), primary_key=True)
    provider: Mapped[str]
    model: Mapped[str]
    dimensions: Mapped[int]
    created_at: Mapped[datetime] = _now()


class Collection(Base):
    __tablename__ = "collection"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[str] = _id()
    tenant_id: Mapped[str] = _ref("tenant")
    name: Mapped[str]
    # Set by the first document embedded: the provider tells the dimensions, and may be away at upload.
    space_id: Mapped[int | None] = mapped_column(SmallInteger, ForeignKey("embedding_space.id"))
    language: Mapped[str] = mapped_column(REGCONFIG, server_default="english")
    chunk_size: Mapped[int]
    chunk_overlap: Mapped[int]
    created_at: Mapped[datetime] = _now()


class Document(Base):
    __tablename__ = "document"
    __table_args__ = (
        Index("ix_document_tenant_id_id", "tenant_id", "id"),
        Index("ix_document_tenant_id_collection_id_id", "tenant_id", "collection_id", "id"),
        Index("ix_document_collection_id_sha256", "collection_id", "sha256"),
        Index("ix_document_parent_id", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
        Index(
            "uq_document_collection_id_external_id",
            "collection_id",
            "external_id",
            unique=True,
            postgresql_where=text("external_id IS NOT NULL"),
        ),
    )

    id: Mapped[str] = _id()
    tenant_id: Mapped[str] = _ref("tenant")
    collection_id: Mapped[str] = _ref("collection")
    external_id: Mapped[str | None]
    # The archive or message that it was found in, and with which it goes.
    parent_id: Mapped[str | None] = mapped_column(String(40), ForeignKey("document.id", ondelete="CASCADE"))
    filename: Mapped[str]
    # "metadata" is taken by SQLAlchemy's declarative base.
    attributes: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default=text("'{}'"))
    sha256: Mapped[bytes] = mapped_column(LargeBinary)  # of the newest version
    newest_version: Mapped[int] = mapped_column(server_default="1")
    # The version that queries see; empty until the first one is whole.
    active_version_id: Mapped[str | None] = mapped_column(String(40))
    job_id: Mapped[str] = mapped_column(String(40))  # the newest job, whose state is the document's status
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()


class Version(Base):
    __tablename__ = "version"
    __table_args__ = (
        UniqueConstraint("document_id", "number"),
        Index("ix_version_object_key", "object_key"),
    )

    id: Mapped[str] = _id()
    tenant_id: Mapped[str] = _ref("tenant")
    document_id: Mapped[str] = _ref("document")
    number: Mapped[int]
    filename: Mapped[str]
    media_type: Mapped[str]
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    bytes: Mapped[int] = mapped_column(BigInteger)
    source_url: Mapped[str | None]  # where the bytes are fetched from by the first step; before that there are none
    # Empty once a newer version is visible: the store keeps the bytes of what queries see and of the newest version.
    object_key: Mapped[str | None]
    pages: Mapped[int | None]
    chunks: Mapped[int | None]
    created_at: Mapped[datetime] = _now()


class Page(Base):
    """The stored text that citations are checked against."""

    __tablename__ = "page"

    version_id: Mapped[str] = _ref("version", key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = _ref("tenant")
    text: Mapped[str]


class Chunk(Base):
    """Rows of active versions only: the upsert step replaces a document's rows in one transaction.

    `text == page.text[char_start:char_end]` for the page `page_start` (a chunk never crosses a page).
    """

    __tablename__ = "chunk"
    __table_args__ = (
        Index("ix_chunk_tenant_id_collection_id", "tenant_id", "collection_id"),
        Index("ix_chunk_document_id", "document_id"),
        Index("ix_chunk_tsv", "tsv", postgresql_using="gin"),
        Index("ix_chunk_tenant_id_space_id_text_sha256", "tenant_id", "space_id", "text_sha256"),
    )

    version_id: Mapped[str] = _ref("version", key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = _ref("tenant")
    collection_id: Mapped[str] = _ref("collection")
    document_id: Mapped[str] = _ref("document")
    space_id: Mapped[int] = mapped_column(SmallInteger, ForeignKey("embedding_space.id"))
    language: Mapped[str] = mapped_column(REGCONFIG)
    page_start: Mapped[int]
    page_end: Mapped[int]
    char_start: Mapped[int]
    char_end: Mapped[int]
    heading: Mapped[str]
    # Title and headings: searched with the text, never quoted.
    context: Mapped[str]
    text: Mapped[str]
    words: Mapped[int]
    text_sha256: Mapped[bytes] = mapped_column(LargeBinary)  # of what was embedded: names the row of `embedding`
    tsv: Mapped[str] = mapped_column(
        TSVECTOR, Computed("to_tsvector(language, context || E'\\n' || text)", persisted=True)
    )
    embedding: Mapped[Any] = mapped_column(HALFVEC())

    @property
    def public_id(self) -> str:
        return chunk_id(self.version_id, self.position)


def chunk_id(version_id: str, position: int) -> str:
    """The same chunk of the same version has the same id, however often it was written."""
    return f"chk_{version_id.removeprefix('ver_')}_{position}"


class Embedding(Base):
    """The checkpoint of the embed step: what is here is never sent to a provider again."""

    __tablename__ = "embedding"
    __table_args__ = (Index("ix_embedding_document_id", "document_id"),)

    tenant_id: Mapped[str] = _ref("tenant", key=True)
    space_id: Mapped[int] = mapped_column(SmallInteger, ForeignKey("embedding_space.id"), primary_key=True)
    text_sha256: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    # The document it was made for, with which it goes unless a chunk of another one uses it by then.
    document_id: Mapped[str | None] = mapped_column(String(40))
    embedding: Mapped[Any] = mapped_column(HALFVEC())
    created_at: Mapped[datetime] = _now()


_UNCLAIMED = text("state IN ('queued', 'waiting')")


class Job(Base):
    """One run of the pipeline over one version. The row is the outbox: a message carries only its id.

    state: queued, running, waiting (for `waiting_for`, until `next_attempt_at`), succeeded, failed, cancelled.
    Only the holder of the newest `token` may write; `lease_until` says how long it is believed to be alive.
    """

    __tablename__ = "job"
    __table_args__ = (
        # A tenant's line in each lane. With the time in it, what is not due yet costs next to nothing.
        Index("ix_job_line", *("large", "tenant_id", "level", "id", "next_attempt_at"), postgresql_where=_UNCLAIMED),
        Index("ix_job_dispatched_at", "dispatched_at", postgresql_where=_UNCLAIMED),
        Index("ix_job_lease_until", "lease_until", postgresql_where=text("state = 'running'")),
        Index("ix_job_tenant_id_id", "tenant_id", "id"),
        Index("ix_job_document_id", "document_id"),
        Index("ix_job_version_id", "version_id"),
    )

    id: Mapped[str] = _id()
    tenant_id: Mapped[str] = _ref("tenant")
    document_id: Mapped[str] = _ref("document")
    version_id: Mapped[str] = _ref("version")
    state: Mapped[str] = mapped_column(server_default="queued")
    step: Mapped[str]
    large: Mapped[bool] = mapped_column(server_default="false")  # waits in a lane of its own, so that small ones pass
    run: Mapped[int] = mapped_column(server_default="1")  # raised by every retry after the job had ended
    token: Mapped[int] = mapped_column(BigInteger, server_default="0")
    attempts: Mapped[int] = mapped_column(server_default="0")  # claims of this step that did not end in order
    retries: Mapped[int] = mapped_column(server_default="0")  # temporary errors of this step
    lease_until: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    dispatched_at: Mapped[datetime | None]
    waiting_for: Mapped[str | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    progress_done: Mapped[int] = mapped_column(server_default="0")
    progress_total: Mapped[int | None]
    # Whether everything is paused: no column, it is looked up with the row.
    paused: Mapped[bool] = column_property(literal_column("EXISTS (SELECT FROM pause)", Boolean))
    # Of two jobs of a tenant the older goes first, but a long one falls behind again and again.
    level: Mapped[int] = mapped_column(Computed("progress_done / 1000", persisted=True))
    request_id: Mapped[str | None]
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()
    finished_at: Mapped[datetime | None]


class Pause(Base):
    """While there is a row, no step of any job begins."""

    __tablename__ = "pause"

    since: Mapped[datetime] = mapped_column(primary_key=True, server_default=func.now())


class JobCallback(Base):
    """Who asked to be told when the job ends."""

    __tablename__ = "job_callback"

    job_id: Mapped[str] = _ref("job", key=True)
    url: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = _ref("tenant")


class JobStep(Base):
    """A job's history, one row per step."""

    __tablename__ = "job_step"

    job_id: Mapped[str] = _ref("job", key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = _ref("tenant")
    position: Mapped[int]
    state: Mapped[str] = mapped_column(server_default="pending")  # pending, running, waiting, succeeded, failed
    attempts: Mapped[int] = mapped_column(server_default="0")
    counts: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class WebhookDelivery(Base):
    """Outbox of webhooks, written in the transaction that ends the job; one per run, event and receiver."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        UniqueConstraint("job_id", "run", "event", "url"),
        Index("ix_webhook_delivery_host_due", "host", "next_attempt_at", postgresql_where=text("state = 'pending'")),
    )

    id: Mapped[str] = _id()
    tenant_id: Mapped[str] = _ref("tenant")
    job_id: Mapped[str] = mapped_column(String(40))  # no reference: what is still to be told outlives its document
    run: Mapped[int]
    event: Mapped[str]
    url: Mapped[str]
    # With its port: what may be slow, and must not hold up deliveries to others.
    host: Mapped[str] = mapped_column(
        Text, Computed("lower(coalesce(substring(url from '://([^/?#]*)'), ''))", persisted=True)
    )
    payload: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="pending")  # pending, delivered, failed
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    next_attempt_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    response_status: Mapped[int | None]
    error: Mapped[str | None]
    created_at: Mapped[datetime] = _now()
    delivered_at: Mapped[datetime | None]


class Artifact(Base):
    """A part of a version's pages and chunks from the chunk step, until the upsert step has copied them here."""

    __tablename__ = "artifact"

    version_id: Mapped[str] = _ref("version", key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = _ref("tenant")
    key: Mapped[str] = mapped_column(unique=True)
    tally: Mapped[dict[str, Any]]  # of this part and those before it


class PagePicture(Base):
    """A page as people see it, kept in the store as long as its version is the one that queries see."""

    __tablename__ = "page_picture"

    version_id: Mapped[str] = _ref("version", key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    width: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = _ref("tenant")
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


class IdempotencyKey(Base):
    """A request that must be done once: held while it is in flight, then kept with its reply for a day."""

    __tablename__ = "idempotency_key"
    __table_args__ = (
        Index("ix_idempotency_key_created_at", "created_at"),
        Index("ix_idempotency_key_document_id", "document_id"),
    )

    tenant_id: Mapped[str] = _ref("tenant", key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str] = mapped_column(String(40))  # only the request that took it last may finish it
    held_until: Mapped[datetime]
    fingerprint: Mapped[bytes | None] = mapped_column(LargeBinary)  # of the request; set with the reply
    reply: Mapped[dict[str, Any] | None]
    document_id: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[datetime] = _now()


class Deletion(Base):
    """The receipt of a deleted document: what was removed, without any of it."""

    __tablename__ = "deletion"
    __table_args__ = (Index("ix_deletion_tenant_id_deleted_at", "tenant_id", "deleted_at"),)

    document_id: Mapped[str] = _id()
    tenant_id: Mapped[str] = _ref("tenant")
    counts: Mapped[dict[str, Any]]
    deleted_at: Mapped[datetime] = _now()
