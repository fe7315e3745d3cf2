"""Many jobs are retried at once, while other transactions hold some of them."""

import asyncio

import pytest
from sqlalchemy import select

from footnote import ingest, jobs
from footnote.jobs import listing
from footnote.jobs.listing import JobFilter
from footnote.models import Document, Job
from footnote.runtime import Runtime
from tests import driving
from tests.driving import job_of

pytestmark = pytest.mark.anyio
FAILED = JobFilter(states=("failed",), superseded=False)


@pytest.fixture
async def tenant(committing_rt: Runtime) -> str:
    return await driving.new_tenant(committing_rt)


async def failed(rt: Runtime, tenant: str, count: int) -> list[Job]:
    made = [(await driving.accept(rt, tenant, f"Text {number}.")).details.job for number in range(count)]
    for job in made:
        held = await driving.claim(rt, job.id)
        async with rt.transaction() as session:
            await jobs.fail(session, held, "provider_rejected", "No.")
    return made


async def retry(rt: Runtime, tenant: str, limit: int = 100) -> tuple[int, int]:
    async with rt.for_tenant(tenant).transaction() as session:
        return await listing.retry(session, FAILED, limit=limit)


async def test_a_document_that_is_being_uploaded_again_is_left_to_its_newer_job(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    first, second = await failed(rt, tenant, 2)
    async with rt.transaction() as session:
        await session.execute(select(Document.id).where(Document.id == first.document_id).with_for_update())
        assert await asyncio.wait_for(retry(rt, tenant), 60) == (1, 1), "neither waits for the other"
    assert [(await job_of(rt, job.id)).state for job in (first, second)] == ["failed", "queued"]
    await driving.accept(rt, tenant, "Text 0.")
    assert await retry(rt, tenant) == (0, 0)


async def test_calls_at_once_share_the_jobs_and_drive_each_on_once(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    made = await failed(rt, tenant, 12)
    done = await asyncio.gather(*(retry(rt, tenant, limit=5) for _ in range(4)))
    while (await retry(rt, tenant))[1]:
        pass
    assert sum(retried for retried, _ in done) <= 12
    assert {((await job_of(rt, job.id)).state, (await job_of(rt, job.id)).run) for job in made} == {("queued", 2)}


@pytest.mark.parametrize("ended", ["failed", "cancelled"])
async def test_a_job_driven_on_uses_what_its_earlier_steps_left(
    committing_rt: Runtime, tenant: str, ended: str
) -> None:
    rt = committing_rt
    job_id = (await driving.accept(rt, tenant, driving.paragraphs(5))).details.job.id
    assert await ingest.run_step(rt, job_id, "chunk")
    held = await driving.claim(rt, job_id, "embed")
    async with rt.for_tenant(tenant).transaction() as session:
        if ended == "failed":
            await jobs.fail(session, held, "worker_crashed", "It died.")
        else:
            await jobs.cancel(session, job_id)
    async with rt.for_tenant(tenant).transaction() as session:
        await listing.retry(session, JobFilter(states=(ended,), superseded=False), limit=1)
    assert (await job_of(rt, job_id)).step == "embed"
    assert (await driving.run(rt, job_id)).state == "succeeded"
    async with rt.sessions() as session:
        assert [step.attempts for step in await jobs.steps(session, job_id)] == [1, 2, 1]


async def test_a_job_driven_on_whose_artifact_is_gone_goes_back_to_the_chunk_step(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    accepted = await driving.accept(rt, tenant, driving.paragraphs(5))
    job_id = accepted.details.job.id
    assert await ingest.run_step(rt, job_id, "chunk")
    held = await driving.claim(rt, job_id, "embed")
    async with rt.transaction() as session:
        await jobs.fail(session, held, "provider_rejected", "No.")
    for key in await driving.artifacts_of(rt, held.version_id):
        await rt.store.delete(key)
    assert await retry(rt, tenant) == (1, 0)
    job = await driving.run(rt, job_id)
    assert (job.state, job.step) == ("waiting", "chunk")
    assert job.next_attempt_at is not None
    await driving.set_job(rt, job_id, next_attempt_at=job.created_at)
    assert (await driving.run(rt, job_id)).state == "succeeded"
    assert len(await driving.chunks_of(rt, job.document_id)) == 5
