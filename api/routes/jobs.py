"""Jobs: one run of the pipeline each; the list with `status=failed&superseded=false` is the dead-letter view."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field, StringConstraints

from api.deps import Moment, Plain, Reader, RuntimeDep, Writer, again_while_busy
from api.schemas.common import In, PageOf, Params
from api.schemas.jobs import JobOut, JobStatus, ListedJobOut, RetriedOut, Step
from footnote import jobs
from footnote.jobs import listing

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
JobId = Annotated[Plain, Path(max_length=64)]
Name = Annotated[Plain, StringConstraints(max_length=64)]


class _FilterIn(In):
    """Which jobs. A misspelt filter is refused: it would choose too many."""

    step: Annotated[list[Step], Field(max_length=20, description="The step the job is at, or stopped at.")] = []
    error_code: Annotated[list[Name], Field(max_length=20, description="What went wrong.")] = []
    document_id: Name | None = None
    collection: Annotated[Name | None, Field(description="Name or id.")] = None
    created_after: Moment | None = None
    created_before: Moment | None = None


class JobsIn(_FilterIn, Params):
    status: Annotated[list[JobStatus], Field(max_length=20)] = []
    superseded: Annotated[bool | None, Field(description="Whether the document has a newer job.")] = None
    limit: Annotated[int, Field(ge=1, le=100, description="Items in one page.")] = 50
    cursor: Annotated[Name | None, Field(description="`next_cursor` of the page before.")] = None


class RetryIn(_FilterIn):
    status: Annotated[list[Literal["failed", "cancelled"]], Field(min_length=1, max_length=2)] = ["failed"]
    limit: Annotated[int, Field(ge=1, le=1000, description="Jobs driven on by one call.")] = 100


def _wanted(given: JobsIn | RetryIn, superseded: bool | None) -> listing.JobFilter:
    return listing.JobFilter(
        states=given.status,
        steps=given.step,
        error_codes=given.error_code,
        document_id=given.document_id,
        collection=given.collection,
        created_after=given.created_after,
        created_before=given.created_before,
        superseded=superseded,
    )


@router.get("", operation_id="jobs_list")
async def list_jobs(rt: RuntimeDep, caller: Reader, given: Annotated[JobsIn, Query()]) -> PageOf[ListedJobOut]:
    """Jobs, newest first."""
    wanted = _wanted(given, given.superseded)
    async with rt.transaction() as session:
        found = await listing.list_jobs(session, wanted, limit=given.limit + 1, before=given.cursor)
    more = found[given.limit - 1].job.id if len(found) > given.limit else None
    return PageOf(data=[ListedJobOut.listed(each) for each in found[: given.limit]], next_cursor=more)


@router.post("/retry", operation_id="jobs_retry_many")
@again_while_busy
async def retry_many(given: RetryIn, rt: RuntimeDep, caller: Writer) -> RetriedOut:
    """Drives the jobs that failed, or were cancelled, on from the step each stopped at; the longest dead first.

    Superseded ones are left alone. `remaining` above 0 asks for another call.
    """
    async with rt.transaction() as session:
        retried, remaining = await listing.retry(session, _wanted(given, superseded=False), limit=given.limit)
    return RetriedOut(retried=retried, remaining=remaining)


@router.get("/{job_id}", operation_id="jobs_get")
async def get(job_id: JobId, rt: RuntimeDep, caller: Reader) -> JobOut:
    async with rt.transaction() as session:
        return JobOut.of(await jobs.get(session, job_id))


@router.post("/{job_id}/cancel", operation_id="jobs_cancel")
@again_while_busy
async def cancel(job_id: JobId, rt: RuntimeDep, caller: Writer) -> JobOut:
    """Stops an unfinished job; a step at work stops at its next checkpoint and leaves nothing visible."""
    async with rt.transaction() as session:
        return JobOut.of(await jobs.cancel(session, job_id))


@router.post("/{job_id}/retry", operation_id="jobs_retry")
@again_while_busy
async def retry(job_id: JobId, rt: RuntimeDep, caller: Writer) -> JobOut:
    """Drives a failed or cancelled job on from the step it stopped at."""
    async with rt.transaction() as session:
        return JobOut.of(await jobs.retry(session, job_id))
