"""Jobs: one run of the pipeline each; the list with `status=failed&superseded=false` is the dead-letter view."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field, StringConstraints

from api.deps import Reader, RuntimeDep, Writer, again_while_busy
from api.paging import JobCursor, Limit, page
from api.schemas.common import In, PageOf, Params
from api.schemas.fields import Moment, Plain
from api.schemas.jobs import JobOut, JobStatus, ListedJobOut, RetriedOut, Step
from footnote import jobs
from footnote.jobs import listing

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
JobId = Annotated[Plain, Path(max_length=64)]
Name = Annotated[Plain, StringConstraints(max_length=64)]


class _FilterIn(In):
    """Which jobs. An unknown filter is refused, because it would choose too many."""

    step: Annotated[
        list[Step], Field(max_length=20, description="The present step, or the step at which the job stopped.")
    ] = []
    error_code: Annotated[list[Name], Field(max_length=20, description="The code of the error.")] = []
    document_id: Name | None = None
    collection: Annotated[Name | None, Field(description="Name or id of a collection.")] = None
    created_after: Moment | None = None
    created_before: Moment | None = None


class JobsIn(_FilterIn, Params):
    status: Annotated[list[JobStatus], Field(max_length=20)] = []
    superseded: Annotated[
        bool | None, Field(description="Only jobs whose document has a newer job (`true`) or none (`false`).")
    ] = None
    limit: Limit = 50
    cursor: JobCursor = None


class RetryIn(_FilterIn):
    status: Annotated[list[Literal["failed", "cancelled"]], Field(min_length=1, max_length=2)] = ["failed"]
    limit: Annotated[int, Field(ge=1, le=1000, description="Maximum number of jobs to retry with one request.")] = 100


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


@router.get("")
async def list_jobs(rt: RuntimeDep, caller: Reader, given: Annotated[JobsIn, Query()]) -> PageOf[ListedJobOut]:
    """List jobs, newest first."""
    wanted = _wanted(given, given.superseded)
    async with rt.transaction() as session:
        found = await listing.list_jobs(session, wanted, limit=given.limit + 1, before=given.cursor)
    return page(found, given.limit, ListedJobOut.listed, lambda each: each.job.id)


@router.post("/retry")
@again_while_busy
async def retry_jobs(given: RetryIn, rt: RuntimeDep, caller: Writer) -> RetriedOut:
    """Retry jobs that failed or were cancelled, each from the step at which it stopped; the oldest failure first.

    Superseded jobs are left out. If `remaining` is above 0, repeat the request.
    """
    async with rt.transaction() as session:
        retried, remaining = await listing.retry(session, _wanted(given, superseded=False), limit=given.limit)
    return RetriedOut(retried=retried, remaining=remaining)


@router.get("/{job_id}")
async def get_job(job_id: JobId, rt: RuntimeDep, caller: Reader) -> JobOut:
    """Get a job."""
    async with rt.transaction() as session:
        return JobOut.of(await jobs.read(session, job_id))


@router.post("/{job_id}/cancel")
@again_while_busy
async def cancel_job(job_id: JobId, rt: RuntimeDep, caller: Writer) -> JobOut:
    """Cancel a job that has not ended. A running step stops at its next checkpoint; nothing of it becomes visible."""
    async with rt.transaction() as session:
        return JobOut.of(await jobs.cancel(session, job_id))


@router.post("/{job_id}/retry")
@again_while_busy
async def retry_job(job_id: JobId, rt: RuntimeDep, caller: Writer) -> JobOut:
    """Retry a failed or cancelled job from the step at which it stopped."""
    async with rt.transaction() as session:
        return JobOut.of(await jobs.retry(session, job_id))
