"""Jobs, and the status of a document, which is that of its newest job."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from api.schemas.common import ErrorOut, Out
from api.schemas.fields import OLD_STATE
from footnote.jobs import FREE_WORKER, ITS_TURN, PAUSE_ENDS
from footnote.jobs.listing import ListedJob
from footnote.models import Job, JobStep

DocumentStatus = Literal["queued", "running", "waiting", "ready", "failed", "cancelled"]
JobStatus = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]
Step = Literal["chunk", "embed", "upsert"]
StepStatus = Literal["pending", "running", "waiting", "succeeded", "failed"]
UNITS: dict[str, str] = {"chunk": "pages", "embed": "chunks", "upsert": "chunks"}

# An unfinished job is queued or waiting, and says what for and until when, or it is running under a live lease.
Reason = Annotated[
    str | None, Field(description="A description of what the job waits for. Null while a worker processes it.")
]
NextAttempt = Annotated[
    datetime | None, Field(description="When the wait ends. A time in the past means: as soon as possible.")
]
Attempts = Annotated[int, Field(description="Attempts of the present step since it last made progress.")]
Retries = Annotated[int, Field(description="How many of these attempts ended with a temporary error.")]
Heartbeat = Annotated[datetime | None, Field(description="The last heartbeat of the worker that processes the job.")]
Reingestion = Annotated[
    bool, Field(description="True if the document is ingested again because its collection changed.")
]
Anew = Annotated[bool, Field(deprecated=True, description="The old name of `reingestion`, for one more version.")]
Lease = Annotated[
    datetime | None, Field(description="Without another heartbeat the job is given to another worker at this time.")
]


class ProgressOut(Out):
    done: int
    total: int | None
    unit: str


class JobOut(Out):
    id: str
    document_id: str
    status: JobStatus
    reingestion: Reingestion
    anew: Anew
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
            reingestion=job.reingestion,
            anew=job.reingestion,
            **progress_fields(job),
            **_signs(job),
            created_at=job.created_at,
            updated_at=job.updated_at,
            finished_at=job.finished_at,
        )


class ListedJobOut(JobOut):
    """A job in a list, with the name of its file."""

    filename: str
    version: int
    superseded: Annotated[bool, Field(description="The document has a newer job, which decides its status.")]

    @classmethod
    def listed(cls, found: ListedJob) -> "ListedJobOut":
        job = JobOut.of(found.job).model_dump()
        return cls(**job, filename=found.version.filename, version=found.version.number, superseded=found.superseded)


class RetriedOut(Out):
    retried: int
    remaining: Annotated[int, Field(description="How many more jobs match the request.")]


class StepOut(Out):
    name: str
    status: Annotated[StepStatus, Field(validation_alias="state")]
    state: Annotated[StepStatus, OLD_STATE]
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int
    counts: dict[str, Any]


class StatusOut(Out):
    document_id: str
    job_id: str
    status: DocumentStatus
    step: Step
    started_at: Annotated[datetime | None, Field(description="When the present step first started.")]
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
            **progress_fields(job),
            **_signs(job),
            steps=[StepOut.model_validate(step) for step in steps],
        )


def document_status(job: Job) -> DocumentStatus:
    return "ready" if job.state == "succeeded" else job.state  # type: ignore[return-value]


def job_states(statuses: Iterable[DocumentStatus]) -> tuple[str, ...]:
    """The states of the newest job of documents in these statuses: the inverse of `document_status`."""
    return tuple("succeeded" if each == "ready" else each for each in statuses)


def progress_fields(job: Job) -> dict[str, Any]:
    """The step and its progress, and what the job waits for until when."""
    return {
        "step": job.step,
        "progress": ProgressOut(done=job.progress_done, total=job.progress_total, unit=UNITS[job.step]),
        "waiting_for": waiting_for(job),
        "next_attempt_at": job.next_attempt_at,
        "error": ErrorOut(code=job.error_code, message=job.error_message or "") if job.error_code else None,
    }


def _signs(job: Job) -> dict[str, Any]:
    """How often it was tried, and whether a worker is busy with it."""
    return {
        "attempts": job.attempts + job.retries,
        "retries": job.retries,
        "heartbeat_at": job.updated_at if job.state == "running" else None,  # only the worker writes while it runs
        "lease_until": job.lease_until,
    }


def waiting_for(job: Job) -> str | None:
    """What a queued job waits for. It compares no clocks: the dispatcher uses the database's."""
    if job.state not in ("queued", "waiting"):
        return None
    if job.paused:
        return PAUSE_ENDS
    if job.dispatched_at:
        return FREE_WORKER
    return job.waiting_for or ITS_TURN
