"""The chunk step's parts: what was read and stored is not read and stored again."""

from typing import Any

import pytest
from sqlalchemy import func

from footnote import ingest, jobs
from footnote.documents import objects
from footnote.errors import Unavailable
from footnote.jobs import scheduling
from footnote.models import Chunk
from footnote.runtime import Runtime
from tests import SAMPLES, driving
from tests.driving import accept, artifacts_of, chunks_of, job_of, set_job
from tests.stored import settled

pytestmark = pytest.mark.anyio
HANDBOOK = (SAMPLES / "handbook.pdf").read_bytes()


@pytest.fixture
async def tenant(rt: Runtime) -> str:
    return await driving.new_tenant(rt)


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest.chunk, "PART_PAGES", 1)


def shown(chunks: Any) -> list[tuple[Any, ...]]:
    names = [column.name for column in Chunk.__table__.columns if column.name not in ("version_id", "document_id")]
    return [tuple(str(getattr(chunk, name)) for name in names) for chunk in chunks]


async def control(rt: Runtime, tenant: str) -> list[tuple[Any, ...]]:
    return shown(await chunks_of(rt, await driving.ready(rt, tenant, HANDBOOK, "handbook.pdf")))


async def test_parts_make_the_same_document(rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    in_parts = await driving.ready(rt, tenant, HANDBOOK, "handbook.pdf", external_id="parts")
    monkeypatch.setattr(ingest.chunk, "PART_PAGES", 100)
    whole = await driving.ready(rt, tenant, HANDBOOK + b"\n", "handbook.pdf", external_id="whole")
    assert shown(await chunks_of(rt, in_parts)) == shown(await chunks_of(rt, whole))
    assert len(await settled(rt)) == 2, "the two objects, and no part"


async def test_what_was_stored_is_not_stored_again(rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = await control(rt, tenant)
    accepted = await accept(rt, tenant, HANDBOOK, "handbook.pdf", external_id="again")
    written: list[str] = []
    real = rt.store.open_writer

    async def failing(key: str) -> Any:
        written.append(key)
        if len(written) == 2:
            raise Unavailable("store_unavailable", "Away.")
        return await real(key)

    monkeypatch.setattr(rt.store, "open_writer", failing)
    job = await driving.run(rt, accepted.details.job.id)
    assert (job.state, job.step, job.attempts, job.retries) == ("waiting", "chunk", 0, 1)
    assert await artifacts_of(rt, job.version_id) == written[:1]
    await set_job(rt, job.id, next_attempt_at=func.now())
    job = await driving.run(rt, job.id)
    assert job.state == "succeeded"
    version = await driving.version_of(rt, job.version_id)
    assert len(written) == (version.pages or 0) + 1, "each part but the one that failed was written once"
    assert shown(await chunks_of(rt, job.document_id)) == expected
    async with rt.sessions() as session:
        (chunked, *_) = await jobs.steps(session, job.id)
    assert (chunked.counts["pages"], chunked.counts["chunks"]) == (version.pages, len(expected))


async def test_a_lost_part_makes_the_step_start_again(rt: Runtime, tenant: str) -> None:
    expected = await control(rt, tenant)
    accepted = await accept(rt, tenant, HANDBOOK, "handbook.pdf", external_id="again")
    job_id = accepted.details.job.id
    assert await ingest.run_step(rt, job_id, "chunk")
    first, *_ = await artifacts_of(rt, accepted.details.version.id)
    await rt.store.delete(first)
    job = await driving.run(rt, job_id)
    assert (job.state, job.step) == ("waiting", "chunk")
    assert await artifacts_of(rt, job.version_id) == []
    await set_job(rt, job_id, next_attempt_at=func.now())
    assert (await driving.run(rt, job_id)).state == "succeeded"
    assert shown(await chunks_of(rt, job.document_id)) == expected
    while await objects.sweep(rt):
        pass


async def test_the_step_gives_way_between_parts(rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = await control(rt, tenant)
    accepted = await accept(rt, tenant, HANDBOOK, "handbook.pdf", external_id="again")
    job_id = accepted.details.job.id
    asked: list[str] = []

    async def wait(_session: Any, job_id: str) -> bool:
        asked.append(job_id)
        return len(asked) == 1

    monkeypatch.setattr(scheduling, "others_wait", wait)
    object.__setattr__(rt, "settings", rt.settings.model_copy(update={"yield_seconds": 0.0}))
    assert not await ingest.run_step(rt, job_id, "chunk")
    job = await job_of(rt, job_id)
    assert (job.state, job.step, job.attempts, job.retries, job.progress_done) == ("queued", "chunk", 0, 0, 1)
    assert len(await artifacts_of(rt, job.version_id)) == 1
    assert (await driving.run(rt, job_id)).state == "succeeded"
    assert shown(await chunks_of(rt, job.document_id)) == expected
