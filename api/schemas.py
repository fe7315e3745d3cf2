"""What goes over the wire."""

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from footnote.documents import Accepted, Details
from footnote.models import Chunk, Job, JobStep

Item = TypeVar("Item")
DocumentStatus = Literal["queued", "running", "waiting", "ready", "failed", "cancelled"]
JobStatus = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]
UNITS = {"chunk": "pages", "embed": "chunks", "upsert": "chunks"}


class Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class PageOf(BaseModel, Generic[Item]):
    data: list[Item]
    next_cursor: str | None


class ErrorOut(Out):
    code: str
    message: str


class ProgressOut(Out):
    done: int
    total: int | None
    unit: str


class DocumentOut(Out):
    id: str
    collection: str
    external_id: str | None
    filename: str
    media_type: str
    status: DocumentStatus
    version: int
    pages: int | None
    chunks: int | None
    bytes: int
    sha256: str
    metadata: dict[str, Any]
    error: ErrorOut | None
    job_id: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, details: Details) -> "DocumentOut":
        document, version, job = details.document, details.version, details.job
        return cls(
            id=document.id,
            collection=details.collection,
            external_id=document.external_id,
            filename=version.filename,
            media_type=version.media_type,
            status=document_status(job),
            version=version.number,
            pages=version.pages,
            chunks=version.chunks,
            bytes=version.bytes,
            sha256=version.sha256.hex(),
            metadata=document.attributes,
            error=error_of(job),
            job_id=job.id,
            created_at=document.created_at,
            updated_at=document.updated_at,
        )


class JobOut(Out):
    id: str
    document_id: str
    status: JobStatus
    step: str
    attempts: int
    progress: ProgressOut
    waiting_for: str | None
    next_attempt_at: datetime | None
    error: ErrorOut | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> "JobOut":
        return cls(
            id=job.id,
            document_id=job.document_id,
            status=job.state,
            step=job.step,
            attempts=job.attempts + job.retries,
            progress=progress_of(job),
            waiting_for=waiting_for(job),
            next_attempt_at=job.next_attempt_at,
            error=error_of(job),
            created_at=job.created_at,
            updated_at=job.updated_at,
            finished_at=job.finished_at,
        )


class ListedJobOut(JobOut):
    """A job in a list, with what a person knows it by."""

    filename: str
    version: int


class StepOut(Out):
    name: str
    state: Literal["pending", "running", "waiting", "succeeded", "failed"]
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int
    counts: dict[str, Any]


class StatusOut(Out):
    document_id: str
    job_id: str
    status: DocumentStatus
    step: str
    progress: ProgressOut
    attempts: int
    waiting_for: str | None
    next_attempt_at: datetime | None
    error: ErrorOut | None
    steps: list[StepOut]

    @classmethod
    def of(cls, job: Job, steps: list[JobStep]) -> "StatusOut":
        return cls(
            document_id=job.document_id,
            job_id=job.id,
            status=document_status(job),
            step=job.step,
            progress=progress_of(job),
            attempts=job.attempts + job.retries,
            waiting_for=waiting_for(job),
            next_attempt_at=job.next_attempt_at,
            error=error_of(job),
            steps=[StepOut.model_validate(step) for step in steps],
        )


class AcceptedOut(Out):
    document: DocumentOut
    job: JobOut
    deduplicated: bool

    @classmethod
    def of(cls, accepted: Accepted) -> "AcceptedOut":
        details = accepted.details
        return cls(document=DocumentOut.of(details), job=JobOut.of(details.job), deduplicated=accepted.deduplicated)


class DeletionCounts(Out):
    """What was removed: rows, and the objects with their size in bytes."""

    versions: int
    pages: int
    chunks: int
    embeddings: int
    jobs: int
    objects: int
    bytes: int


class DeletionOut(Out):
    """The receipt of a deleted document."""

    document_id: str
    deleted_at: datetime
    counts: DeletionCounts


class ChunkOut(Out):
    chunk_id: str
    document_id: str
    position: int
    page_start: int
    page_end: int
    char_start: int
    char_end: int
    heading: str
    text: str

    @classmethod
    def of(cls, chunk: Chunk) -> "ChunkOut":
        names = cls.model_fields.keys() - {"chunk_id"}
        return cls(chunk_id=chunk.public_id, **{name: getattr(chunk, name) for name in names})


class PageOut(Out):
    page: int
    pages: int
    text: str


class HitOut(Out):
    chunk_id: str
    document_id: str
    filename: str
    version: int
    position: int
    page_start: int
    page_end: int
    char_start: int
    char_end: int
    heading: str
    text: str
    score: float
    metadata: dict[str, Any]


class CitationOut(Out):
    marker: int
    document_id: str
    filename: str
    version: int
    page_start: int
    page_end: int
    char_start: int
    char_end: int
    quote: str
    verified: bool
    score: float
    chunk_id: str
    url: str


class UsageOut(Out):
    prompt_tokens: int
    completion_tokens: int


class SearchOut(Out):
    data: list[HitOut]
    timings: dict[str, float]


class AnswerOut(Out):
    id: str
    answer: str
    answer_status: Literal["supported", "partial", "not_found"]
    citations: list[CitationOut]
    hits: list[HitOut]
    usage: UsageOut
    timings: dict[str, float]
    model: str
    cached: bool


def document_status(job: Job) -> DocumentStatus:
    return "ready" if job.state == "succeeded" else job.state  # type: ignore[return-value]


def progress_of(job: Job) -> ProgressOut:
    return ProgressOut(done=job.progress_done, total=job.progress_total, unit=UNITS[job.step])


def waiting_for(job: Job) -> str | None:
    """What an unfinished job waits for, in words; nothing while it runs or when it is over."""
    return job.waiting_for or ("a free worker" if job.state == "queued" else None)


def error_of(job: Job) -> ErrorOut | None:
    if job.error_code is None:
        return None
    return ErrorOut(code=job.error_code, message=job.error_message or "")
