"""Documents, collections and their ingestion, as the API sends them.

`make docs` writes this file from the OpenAPI document.
"""

from datetime import datetime
from typing import Literal

from footnote.client.shapes import Json, Shape


class FailureReason(Shape):
    """`ErrorOut` of the API."""

    code: str
    message: str


class StepProgress(Shape):
    """`ProgressOut` of the API."""

    done: int
    total: int | None
    unit: str


class ChunkingSettings(Shape):
    """`ChunkingOut` of the API."""

    size: int
    overlap: int
    unit: Literal["characters", "tokens"]
    by_headings: bool


class EmbeddingModel(Shape):
    """`EmbeddingOut` of the API."""

    provider: str
    model: str
    dimensions: int | None


class StoredDocument(Shape):
    """`DocumentOut` of the API."""

    id: str
    collection: str
    external_id: str | None
    file_id: str | None
    parent_id: str | None
    source_url: str | None
    filename: str
    media_type: str
    status: Literal["queued", "running", "waiting", "ready", "failed", "cancelled"]
    step: Literal["chunk", "embed", "upsert"]
    progress: StepProgress
    waiting_for: str | None
    next_attempt_at: datetime | None
    error: FailureReason | None
    version: int
    pages: int | None
    chunks: int | None
    bytes: int
    sha256: str
    metadata: Json
    chunking: ChunkingSettings | None
    job_id: str
    created_at: datetime
    updated_at: datetime


class IngestionJob(Shape):
    """`JobOut` of the API."""

    id: str
    document_id: str
    status: Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]
    reingestion: bool
    anew: bool
    step: Literal["chunk", "embed", "upsert"]
    progress: StepProgress
    attempts: int
    retries: int
    waiting_for: str | None
    next_attempt_at: datetime | None
    heartbeat_at: datetime | None
    lease_until: datetime | None
    error: FailureReason | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None


class ListedIngestionJob(Shape):
    """`ListedJobOut` of the API. A job in a list, with the name of its file."""

    id: str
    document_id: str
    status: Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]
    reingestion: bool
    anew: bool
    step: Literal["chunk", "embed", "upsert"]
    progress: StepProgress
    attempts: int
    retries: int
    waiting_for: str | None
    next_attempt_at: datetime | None
    heartbeat_at: datetime | None
    lease_until: datetime | None
    error: FailureReason | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    filename: str
    version: int
    superseded: bool


class AddedDocument(Shape):
    """`AcceptedOut` of the API."""

    document: StoredDocument
    job: IngestionJob
    deduplicated: bool


class StepStatus(Shape):
    """`StepOut` of the API."""

    name: str
    status: Literal["pending", "running", "waiting", "succeeded", "failed"]
    state: Literal["pending", "running", "waiting", "succeeded", "failed"]
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int
    counts: Json


class DocumentStatus(Shape):
    """`StatusOut` of the API."""

    document_id: str
    job_id: str
    status: Literal["queued", "running", "waiting", "ready", "failed", "cancelled"]
    step: Literal["chunk", "embed", "upsert"]
    started_at: datetime | None
    progress: StepProgress
    attempts: int
    retries: int
    waiting_for: str | None
    next_attempt_at: datetime | None
    heartbeat_at: datetime | None
    lease_until: datetime | None
    error: FailureReason | None
    steps: tuple[StepStatus, ...]


class PageOutline(Shape):
    """`OutlineOut` of the API. The characters `char_start:char_end` of a page's text, and the headings above them,
    outermost first.
    """

    char_start: int
    char_end: int
    headings: tuple[str, ...]


class DocumentPage(Shape):
    """`PageOut` of the API. A page's text: `text` is `page_text[char_start:char_end]`. Offsets count Unicode code
    points.
    """

    page: int
    pages: int
    version: int
    text: str
    char_start: int
    char_end: int
    characters: int
    outline: tuple[PageOutline, ...]


class DocumentChunk(Shape):
    """`ChunkOut` of the API."""

    chunk_id: str
    document_id: str
    position: int
    page_start: int
    page_end: int
    char_start: int
    char_end: int
    heading: str
    context: str
    text: str


class CostEstimate(Shape):
    """`EstimateOut` of the API. The estimated ingestion of a file. `documents` counts the file and the files in it."""

    documents: int
    pages: int
    chunks: int
    tokens: int
    new_tokens: int
    cost: float | None
    provider: str
    model: str


class SkippedPart(Shape):
    """`SkippedFileOut` of the API."""

    name: str
    code: str


class StepTime(Shape):
    """`StepTimeOut` of the API."""

    name: str
    attempts: int
    seconds: float | None


class ReportWarning(Shape):
    """`WarningOut` of the API."""

    code: str
    message: str


class IngestionReport(Shape):
    """`ReportOut` of the API. What was read of the newest version of a document, and what was not."""

    document_id: str
    filename: str
    media_type: str
    version: int
    status: Literal["queued", "running", "waiting", "ready", "failed", "cancelled"]
    error: FailureReason | None
    bytes: int
    pages: int = 0
    pages_without_text: int = 0
    empty_pages: tuple[int, ...] = ()
    ocr_pages: int = 0
    language: str = ""
    ocr_languages: str = ""
    characters: int = 0
    replaced_characters: int = 0
    chunks: int = 0
    embedded: int = 0
    tokens: int = 0
    split_chunks: int = 0
    documents: int = 0
    skipped: int = 0
    skipped_files: tuple[SkippedPart, ...] = ()
    warnings: tuple[ReportWarning, ...]
    steps: tuple[StepTime, ...]


class DeletedCounts(Shape):
    """`DeletionCounts` of the API. How many rows and objects were deleted; `bytes` is the size of the objects."""

    documents: int
    versions: int
    pages: int
    chunks: int
    second_vectors: int = 0
    embeddings: int
    jobs: int
    answers: int = 0
    objects: int
    bytes: int


class DeletedDocument(Shape):
    """`DeletionOut` of the API. The receipt of a deleted document."""

    document_id: str
    deleted_at: datetime
    counts: DeletedCounts


class CollectionSize(Shape):
    """`CollectionCounts` of the API."""

    documents: int
    chunks: int
    reingesting: int


class DocumentCollection(Shape):
    """`CollectionOut` of the API."""

    id: str
    name: str
    language: str
    chunking: ChunkingSettings
    embedding: EmbeddingModel
    metadata: Json
    title: str | None
    counts: CollectionSize
    created_at: datetime


class DeletedCollection(Shape):
    """`CollectionDeletionOut` of the API. The receipt of a deleted collection."""

    collection_id: str
    name: str
    deleted_at: datetime
    counts: DeletedCounts


class TaskStatus(Shape):
    """`TaskOut` of the API. Work on a collection, file, tenant or many documents. It resumes if the process that
    does it is killed.
    """

    id: str
    kind: Literal[
        "collection.delete",
        "file.delete",
        "files.attach",
        "tenant.delete",
        "documents.delete",
        "documents.move",
        "documents.reingest",
        "model.swap",
    ]
    subject_id: str
    status: Literal["queued", "running", "waiting", "completed"]
    progress: StepProgress
    waiting_for: str | None
    created_at: datetime
    finished_at: datetime | None
