"""Jobs: one run of the pipeline each; the list with `status=failed` is the dead-letter view."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.deps import Cursor, Limit, Plain, Reader, RuntimeDep, Writer
from api.schemas import JobOut, JobStatus, ListedJobOut, PageOf
from footnote import jobs

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
JobId = Annotated[Plain, Path(max_length=64)]


@router.get("", operation_id="jobs_list")
async def list_jobs(
    rt: RuntimeDep,
    caller: Reader,
    limit: Limit = 50,
    cursor: Cursor = None,
    status: Annotated[list[JobStatus] | None, Query()] = None,
) -> PageOf[ListedJobOut]:
    """Jobs, newest first."""
    async with rt.transaction() as session:
        found = await jobs.page_of(session, caller.tenant_id, limit=limit + 1, before=cursor, states=status or ())
    more = found[limit - 1][0].id if len(found) > limit else None
    listed = [
        ListedJobOut(**JobOut.of(job).model_dump(), filename=version.filename, version=version.number)
        for job, version in found[:limit]
    ]
    return PageOf(data=listed, next_cursor=more)


@router.get("/{job_id}", operation_id="jobs_get")
async def get(job_id: JobId, rt: RuntimeDep, caller: Reader) -> JobOut:
    async with rt.transaction() as session:
        return JobOut.of(await jobs.get(session, caller.tenant_id, job_id))


@router.post("/{job_id}/cancel", operation_id="jobs_cancel")
async def cancel(job_id: JobId, rt: RuntimeDep, caller: Writer) -> JobOut:
    """Stops an unfinished job; a step at work stops at its next checkpoint and leaves nothing visible."""
    async with rt.transaction() as session:
        return JobOut.of(await jobs.cancel(session, caller.tenant_id, job_id))


@router.post("/{job_id}/retry", operation_id="jobs_retry")
async def retry(job_id: JobId, rt: RuntimeDep, caller: Writer) -> JobOut:
    """Drives a failed or cancelled job on from the step it stopped at."""
    async with rt.transaction() as session:
        return JobOut.of(await jobs.retry(session, caller.tenant_id, job_id))
