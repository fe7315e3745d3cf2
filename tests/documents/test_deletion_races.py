"""Deletions while a worker is at work on the document, and among retries, cancellations and uploads."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, text

from footnote import ingest, jobs
from footnote.documents import deletion
from footnote.errors import Conflict, NotFound
from footnote.ingest import upsert
from footnote.ingest.inputs import version_and_collection
from footnote.models import Document
from footnote.runtime import Runtime
from tests import driving
from tests.documents.test_deletion import embedded, nothing_left
from tests.driving import chunks_of, paragraphs
from tests.stored import named, settled

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tenant(committing_rt: Runtime) -> str:
    return await driving.new_tenant(committing_rt)


async def until_somebody_waits(rt: Runtime) -> None:
    async with rt.sessions() as session, asyncio.timeout(60):
        while not await session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
            await asyncio.sleep(0.01)


def quick(rt: Runtime) -> Runtime:
    """The same Runtime with a heartbeat that beats every 50 ms."""
    return replace(rt, settings=rt.settings.model_copy(update={"heartbeat_seconds": 0.05}))


@pytest.mark.parametrize("earlier", [False, True])
async def test_a_worker_in_the_middle_of_storing_is_not_waited_for(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    rt = quick(committing_rt)
    if earlier:
        await driving.ready(rt, tenant, paragraphs(3), external_id="e")
    accepted = await driving.accept(rt, tenant, paragraphs(9, "lens"), external_id="e")
    await embedded(rt, accepted.details.job.id)
    inserted = asyncio.Event()
    insert = upsert._insert_rows

    async def endless(*arguments: Any) -> Any:
        await insert(*arguments)
        inserted.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(upsert, "_insert_rows", endless)
    storing = asyncio.create_task(ingest.run_step(rt, accepted.details.job.id, "upsert"))
    await inserted.wait()
    await asyncio.wait_for(deletion.remove(rt.for_tenant(tenant), accepted.details.document.id), 60)
    assert not await storing
    assert await nothing_left(rt)


@pytest.mark.parametrize("stored", ["insert_pages", "_insert_rows"])
async def test_a_worker_that_goes_on_storing_and_a_deletion_do_not_lock_each_other_out(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch, stored: str
) -> None:
    """The worker has rows that refer to the document, the deletion waits for them, the worker wants the document."""
    rt = committing_rt
    accepted = await driving.accept(rt, tenant, paragraphs(9))
    await embedded(rt, accepted.details.job.id)
    inserted, go_on = asyncio.Event(), asyncio.Event()
    insert = getattr(upsert, stored)

    async def slow(*arguments: Any) -> Any:
        counts = await insert(*arguments)
        inserted.set()
        await go_on.wait()
        return counts

    failed: list[object] = []
    monkeypatch.setattr(upsert, stored, slow)
    monkeypatch.setattr(ingest, "_record_failure", lambda *arguments: failed.append(arguments[-1]))
    storing = asyncio.create_task(ingest.run_step(rt, accepted.details.job.id, "upsert"))
    await inserted.wait()
    removal = asyncio.create_task(deletion.remove(rt.for_tenant(tenant), accepted.details.document.id))
    await until_somebody_waits(rt)
    go_on.set()
    await removal
    assert not await storing
    assert failed == []
    assert await nothing_left(rt)


async def test_a_step_whose_document_is_deleted_under_its_hands_is_no_error_of_ours(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = committing_rt
    accepted = await driving.accept(rt, tenant, paragraphs(3))

    async def late(*arguments: Any) -> Any:
        await deletion.remove(rt.for_tenant(tenant), accepted.details.document.id)
        return await version_and_collection(*arguments)

    logged: list[str] = []
    monkeypatch.setattr("footnote.ingest.chunk.version_and_collection", late)
    monkeypatch.setattr("footnote.ingest.log.error", lambda event, **_: logged.append(event))
    assert not await ingest.run_step(rt, accepted.details.job.id, "chunk")
    assert logged == []
    assert await nothing_left(rt)


async def test_deletions_of_one_document_at_once_all_get_the_receipt(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    document_id = await driving.ready(rt, tenant, paragraphs(20))
    receipts = await asyncio.gather(*(deletion.remove(rt.for_tenant(tenant), document_id) for _ in range(6)))
    assert len({each.deleted_at for each in receipts}) == 1
    assert [each.counts["chunks"] for each in receipts] == [20] * 6
    assert await nothing_left(rt)


async def test_deletions_among_retries_cancellations_and_uploads_leave_what_came_after(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt

    async def retry(job_id: str) -> None:
        async with rt.for_tenant(tenant).transaction() as session:
            await jobs.retry(session, job_id)

    async def cancel(job_id: str) -> None:
        async with rt.for_tenant(tenant).transaction() as session:
            await jobs.cancel(session, job_id)

    for number in range(9):
        accepted = await driving.accept(rt, tenant, paragraphs(2, f"lamp{number}"), external_id="e")
        job_id, document_id = accepted.details.job.id, accepted.details.document.id
        await cancel(job_id)
        races = [
            retry(job_id),
            cancel(job_id),
            deletion.remove(rt.for_tenant(tenant), document_id),
            driving.accept(rt, tenant, paragraphs(2, f"lens{number}"), external_id="e"),
            deletion.remove(rt.for_tenant(tenant), document_id),
            retry(job_id),
        ]
        ended = await asyncio.gather(*races[number % 6 :], *races[: number % 6], return_exceptions=True)
        refused = [each for each in ended if isinstance(each, BaseException)]
        assert all(isinstance(each, Conflict | NotFound) for each in refused), refused
        async with rt.sessions() as session:
            for document in await session.scalars(select(Document)):
                assert document.id != document_id
                assert (await driving.run(rt, document.job_id)).state == "succeeded"
                assert len(await chunks_of(rt, document.id)) == 2
        assert await settled(rt) == await named(rt)
    async with rt.sessions() as session:
        left = (await session.scalars(select(Document.id))).all()
    for document_id in left:
        await deletion.remove(rt.for_tenant(tenant), document_id)
    assert await nothing_left(rt)
