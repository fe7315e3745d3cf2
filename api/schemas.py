"""What goes over the wire."""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from footnote import reports
from footnote.documents import Accepted, Details
from footnote.job_list import ListedJob
from footnote.models import Chunk, Job, JobStep

Item = TypeVar("Item")
DocumentStatus = Literal["queued", "running", "waiting", "ready", "failed", "cancelled"]
JobStatus = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]
Step = Literal["chunk", "embed", "upsert"]
UNITS: dict[str, str] = {"chunk": "pages", "embed": "chunks", "upsert": "chunks"}

# An unfinished job is queued or waiting, and says for what and until when; or it is running under a live lease.
Reason = Annotated[str | None, Field(description="What is waited for, in words; empty while a worker is at it.")]
NextAttempt = Annotated[datetime | None, Field(description="The wait ends then; in the past: as soon as possible.")]
Attempts = Annotated[int, Field(description="Tries of the present step since it last made progress.")]
Retries = Annotated[int, Field(description="How many of them a temporary error ended.")]
Heartbeat = Annotated[datetime | None, Field(description="The last sign of life of the worker that is at it.")]
Lease = Annotated[
    datetime | None, Field(description="Without another sign of life, the work is taken back from the worker then.")
]


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
    parent_id: Annotated[str | None, Field(description="The archive or message that it was found in.")]
    source_url: str | None
    filename: str
    media_type: str
    status: DocumentStatus
    step: Step
    progress: ProgressOut
    waiting_for: Reason
    next_attempt_at: NextAttempt
    error: ErrorOut | None
    version: int
    pages: int | None
    chunks: int | None
    bytes: int
    sha256: str
    metadata: dict[str, Any]
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
            parent_id=document.parent_id,
            source_url=version.source_url,
            filename=version.filename,
            media_type=version.media_type,
            status=document_status(job),
            **_standing(job),
            version=version.number,
            pages=version.pages,
            chunks=version.chunks,
            bytes=version.bytes,
            sha256=version.sha256.hex(),
            metadata=document.attributes,
            job_id=job.id,
            created_at=document.created_at,
            updated_at=document.updated_at,
        )


class JobOut(Out):
    id: str
    document_id: str
    status: JobStatus
    step: Step
    progress: ProgressOut
    attempts: Attempts
    retries: Retries
    waiting_for: Reason
    next_attempt_at: NextAttempt
    heartbeat_at: Heartbeat
    lease_until: Lease
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
            **_standing(job),
            **_signs(job),
            created_at=job.created_at,
            updated_at=job.updated_at,
            finished_at=job.finished_at,
        )


class ListedJobOut(JobOut):
    """A job in a list, with what a person knows it by."""

    filename: str
    version: int
    superseded: Annotated[bool, Field(description="The document has a newer job, whose outcome counts.")]

    @classmethod
    def listed(cls, found: ListedJob) -> "ListedJobOut":
        job = JobOut.of(found.job).model_dump()
        return cls(**job, filename=found.version.filename, version=found.version.number, superseded=found.superseded)


class RetriedOut(Out):
    retried: int
    remaining: Annotated[int, Field(description="How many more the same call would choose.")]


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
    step: Step
    started_at: Annotated[datetime | None, Field(description="When the present step was begun, the first time.")]
    progress: ProgressOut
    attempts: Attempts
    retries: Retries
    waiting_for: Reason
    next_attempt_at: NextAttempt
    heartbeat_at: Heartbeat
    lease_until: Lease
    error: ErrorOut | None
    steps: list[StepOut]

    @classmethod
    def of(cls, job: Job, steps: list[JobStep]) -> "StatusOut":
        return cls(
            document_id=job.document_id,
            job_id=job.id,
            status=document_status(job),
            started_at=next((step.started_at for step in steps if step.name == job.step), None),
            **_standing(job),
            **_signs(job),
            steps=[StepOut.model_validate(step) for step in steps],
        )


class WarningOut(Out):
    code: str
    message: str


class StepTimeOut(Out):
    name: str
    attempts: int
    seconds: Annotated[float | None, Field(description="From the first beginning to the end, waits included.")]


class SkippedFileOut(Out):
    name: str
    code: str


class ReportOut(Out):
    """What was read of a document's newest version, and what was not."""

    document_id: str
    filename: str
    media_type: str
    version: int
    status: DocumentStatus
    error: ErrorOut | None
    bytes: int
    pages: int = 0
    pages_without_text: int = 0
    empty_pages: Annotated[list[int], Field(description="Numbers of pages without text, the first ones.")] = []
    characters: int = 0
    replaced_characters: int = 0
    chunks: int = 0
    embedded: Annotated[int, Field(description="Chunks that the provider was asked for; the others were known.")] = 0
    tokens: int = 0
    documents: Annotated[int, Field(description="Documents made of files within this one.")] = 0
    skipped: int = 0
    skipped_files: list[SkippedFileOut] = []
    warnings: list[WarningOut]
    steps: list[StepTimeOut]

    @classmethod
    def of(cls, details: Details, steps: list[JobStep]) -> "ReportOut":
        counts: dict[str, Any] = {}
        for step in reversed(steps):  # what the first step counted is said of all of them
            counts |= step.counts
        return cls(
            document_id=details.document.id,
            filename=details.version.filename,
            media_type=details.version.media_type,
            version=details.version.number,
            status=document_status(details.job),
            error=_standing(details.job)["error"],
            bytes=details.version.bytes,
            **{name: value for name, value in counts.items() if name in cls.model_fields},
            warnings=[WarningOut.model_validate(each) for each in reports.warnings(counts)],
            steps=[StepTimeOut(name=step.name, attempts=step.attempts, seconds=_seconds(step)) for step in steps],
        )


def _seconds(step: JobStep) -> float | None:
    if step.started_at is None or step.finished_at is None:
        return None
    return (step.finished_at - step.started_at).total_seconds()


class AcceptedOut(Out):
    document: DocumentOut
    job: JobOut
    deduplicated: bool

    @classmethod
    def of(cls, accepted: Accepted) -> "AcceptedOut":
        details = accepted.details
        return cls(document=DocumentOut.of(details), job=JobOut.of(details.job), deduplicated=accepted.deduplicated)


class ProblemOut(Out):
    """An error as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[dict[str, Any]] | None = None


class BatchItemOut(Out):
    """What became of one file: the document and its job, or an error."""

    filename: str
    document: DocumentOut | None = None
    job: JobOut | None = None
    deduplicated: bool | None = None
    error: ProblemOut | None = None


class BatchOut(Out):
    data: list[BatchItemOut]


class DeletionCounts(Out):
    """What was removed: rows, and the objects with their size in bytes."""

    documents: Annotated[int, Field(description="The document, and those that were found in it.")]
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


def _standing(job: Job) -> dict[str, Any]:
    """Where the job stands, and what it waits for until when."""
    return {
        "step": job.step,
        "progress": ProgressOut(done=job.progress_done, total=job.progress_total, unit=UNITS[job.step]),
        "waiting_for": waiting_for(job),
        "next_attempt_at": job.next_attempt_at,
        "error": ErrorOut(code=job.error_code, message=job.error_message or "") if job.error_code else None,
    }


def _signs(job: Job) -> dict[str, Any]:
    """How often it was tried, and whether somebody is at it."""
    return {
        "attempts": job.attempts + job.retries,
        "retries": job.retries,
        "heartbeat_at": job.updated_at if job.state == "running" else None,  # nobody but the worker writes then
        "lease_until": job.lease_until,
    }


def waiting_for(job: Job) -> str | None:
    """What a job that nobody works on waits for; without comparing clocks, as the dispatcher has the database's."""
    if job.state not in ("queued", "waiting"):
        return None
    if job.dispatched_at:
        return "a free worker"
    return job.waiting_for or "its turn"
