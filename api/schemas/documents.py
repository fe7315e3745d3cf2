"""Documents, their parts, and receipts of deletion."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from api.schemas.common import ErrorOut, Out, PageOf, ProblemOut
from api.schemas.jobs import (
    DocumentStatus,
    JobOut,
    NextAttempt,
    ProgressOut,
    Reason,
    Step,
    document_status,
    progress_fields,
)
from footnote.collections.chunking_settings import Unit
from footnote.documents import Accepted, DocumentDetails
from footnote.ingest import report
from footnote.models import Chunk, JobStep


class ChunkingOut(Out):
    size: int
    overlap: int
    unit: Unit
    by_headings: bool


class DocumentOut(Out):
    id: str
    collection: str
    external_id: str | None
    file_id: Annotated[
        str | None, Field(description="Id of the file that the document was made from: `file-...` of the OpenAI API.")
    ]
    parent_id: Annotated[str | None, Field(description="Id of the archive or message that contains the document.")]
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
    chunking: Annotated[
        ChunkingOut | None,
        Field(
            description="The requested chunking of the file; null: that of the collection. No chunk is longer than the "
            "embedding model reads."
        ),
    ]
    job_id: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, details: DocumentDetails) -> "DocumentOut":
        document, version, job = details.document, details.version, details.job
        return cls(
            id=document.id,
            collection=details.collection,
            external_id=document.external_id,
            file_id=document.file_id and document.file_id.replace("file_", "file-", 1),
            parent_id=document.parent_id,
            source_url=version.source_url,
            filename=version.filename,
            media_type=version.media_type,
            status=document_status(job),
            **progress_fields(job),
            version=version.number,
            pages=version.pages,
            chunks=version.chunks,
            bytes=version.bytes,
            sha256=version.sha256.hex(),
            metadata=document.attributes,
            chunking=ChunkingOut(**document.chunking) if document.chunking else None,
            job_id=job.id,
            created_at=document.created_at,
            updated_at=document.updated_at,
        )


class ListedDocumentsOut(PageOf[DocumentOut]):
    total: Annotated[int | None, Field(description="The total number, if `total=true`.")] = None


class EstimateOut(Out):
    """The estimated ingestion of a file. `documents` counts the file and the files in it."""

    documents: int
    pages: int
    chunks: int
    tokens: int
    new_tokens: Annotated[
        int, Field(description="Tokens of the chunks that have no vector yet. Only these are sent to the provider.")
    ]
    cost: Annotated[float | None, Field(description="US dollars. Null if no price is known.")]
    provider: str
    model: str


class AcceptedOut(Out):
    document: DocumentOut
    job: JobOut
    deduplicated: bool

    @classmethod
    def of(cls, accepted: Accepted) -> "AcceptedOut":
        details = accepted.details
        return cls(document=DocumentOut.of(details), job=JobOut.of(details.job), deduplicated=accepted.deduplicated)


class BatchItemOut(Out):
    """The result of one file: the document and its job, or an error."""

    filename: str
    document: DocumentOut | None = None
    job: JobOut | None = None
    deduplicated: bool | None = None
    error: ProblemOut | None = None


class BatchOut(Out):
    data: list[BatchItemOut]


class DeletionCounts(Out):
    """How many rows and objects were deleted; `bytes` is the size of the objects."""

    documents: Annotated[int, Field(description="The document and the documents found in it.")]
    versions: int
    pages: int
    chunks: int
    second_vectors: Annotated[int, Field(description="Vectors of chunks by a second model, while it is swapped.")] = 0
    embeddings: int
    jobs: int
    answers: Annotated[
        int, Field(description="Stored answers that may have used the document. They were redacted.")
    ] = 0
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
    context: Annotated[
        str,
        Field(description="Title, headings and column names of tables. They are indexed and embedded with the text."),
    ]
    text: str

    @classmethod
    def of(cls, chunk: Chunk) -> "ChunkOut":
        names = cls.model_fields.keys() - {"chunk_id"}
        return cls(chunk_id=chunk.public_id, **{name: getattr(chunk, name) for name in names})


class OutlineOut(Out):
    """The characters `char_start:char_end` of a page's text, and the headings above them, outermost first."""

    char_start: int
    char_end: int
    headings: list[str]


class PageOut(Out):
    """A page's text: `text` is `page_text[char_start:char_end]`. Offsets count Unicode code points.

    `outline`: the sections under headings in that part of the page; a heading is the first line of its section. Empty
    for documents that were ingested before it was stored.
    """

    page: int
    pages: int
    version: int
    text: str
    char_start: int
    char_end: int
    characters: Annotated[int, Field(description="Length of the complete text of the page.")]
    outline: list[OutlineOut]


class HighlightsOut(Out):
    """Where a quote is on the image of its page."""

    page: int
    quote: str
    boxes: Annotated[
        list[list[float]],
        Field(description="One box for each line: [left, top, right, bottom] as shares of width and height."),
    ]


class WarningOut(Out):
    code: str
    message: str


class StepTimeOut(Out):
    name: str
    attempts: int
    seconds: Annotated[float | None, Field(description="From the first start to the end, including all waits.")]


class SkippedFileOut(Out):
    name: str
    code: str


class ReportOut(Out):
    """What was read of the newest version of a document, and what was not."""

    document_id: str
    filename: str
    media_type: str
    version: int
    status: DocumentStatus
    error: ErrorOut | None
    bytes: int
    pages: int = 0
    pages_without_text: int = 0
    empty_pages: list[int] = Field(default=[], description="Numbers of the first pages without text.")
    ocr_pages: Annotated[int, Field(description="Pages whose text was recognised in an image.")] = 0
    language: Annotated[str, Field(description="Detected language, such as `german`. Empty: unclear.")] = ""
    ocr_languages: Annotated[str, Field(description="Languages by tesseract's names: `eng+deu`.")] = ""
    characters: int = 0
    replaced_characters: int = 0
    chunks: int = 0
    embedded: Annotated[
        int, Field(description="Chunks that were sent to the provider. The others already had a vector.")
    ] = 0
    tokens: int = 0
    split_chunks: Annotated[
        int, Field(description="Chunks that are longer than the model can read. They were embedded in pieces.")
    ] = 0
    documents: Annotated[int, Field(description="Documents made from files within this one.")] = 0
    skipped: int = 0
    skipped_files: list[SkippedFileOut] = Field(default=[])
    warnings: list[WarningOut]
    steps: list[StepTimeOut]

    @classmethod
    def of(cls, details: DocumentDetails, steps: list[JobStep]) -> "ReportOut":
        counts: dict[str, Any] = {}
        for step in reversed(steps):  # counts of the first step win
            counts |= step.counts
        return cls(
            document_id=details.document.id,
            filename=details.version.filename,
            media_type=details.version.media_type,
            version=details.version.number,
            status=document_status(details.job),
            error=progress_fields(details.job)["error"],
            bytes=details.version.bytes,
            **{name: value for name, value in counts.items() if name in cls.model_fields},
            warnings=[WarningOut.model_validate(each) for each in report.warnings(counts)],
            steps=[StepTimeOut(name=step.name, attempts=step.attempts, seconds=_seconds(step)) for step in steps],
        )


def _seconds(step: JobStep) -> float | None:
    if step.started_at is None or step.finished_at is None:
        return None
    return (step.finished_at - step.started_at).total_seconds()
