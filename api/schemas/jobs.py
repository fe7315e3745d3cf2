"""Jobs, and the status of a document, which is its newest job's."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from api.schemas.common import ErrorOut, Out
from footnote.jobs.listing import ListedJob
from footnote.models import Job, JobStep

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
Anew = Annotated[bool, Field(description="Nobody uploaded anything: the collection's chunking or language changed.")]
Lease = Annotated[
    datetime | None, Field(description="Without another sign of life, the work is taken back from the worker then.")
]


class ProgressOut(Out):
    done: int
    total: int | None
    unit: str


class JobOut(Out):
    id: str
    document_id: str
    status: JobStatus
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
            anew=job.anew,
            **standing(job),
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
            **standing(job),
            **_signs(job),
            steps=[StepOut.model_validate(step) for step in steps],
        )


def document_status(job: Job) -> DocumentStatus:
    return "ready" if job.state == "succeeded" else job.state  # type: ignore[return-value]


def standing(job: Job) -> dict[str, Any]:
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
    if job.paused:
        return "the end of the pause"
    if job.dispatched_at:
        return "a free worker"
    return job.waiting_for or "its turn"
