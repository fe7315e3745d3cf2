"""Deleting a document at any moment leaves nothing of it, and all of the others."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event, func, select

from footnote import documents, ingest, jobs
from footnote.documents import deletion
from footnote.embeddings import checkpoint
from footnote.errors import NotFound
from footnote.models import Base, Job, JobCallback, WebhookDelivery
from footnote.retrieval import Query, search
from footnote.runtime import Runtime
from footnote.tenancy import tallies
from tests import driving
from tests.documents.test_sources import archive
from tests.driving import chunks_of, job_of, paragraphs
from tests.fakes import FakeEmbedder
from tests.stored import in_store, settled

pytestmark = pytest.mark.anyio

# What stays when all documents of all tenants are gone.
LASTING = {
    "tenant",
    "installation",
    "api_key",
    "audit_event",
    "embedding_space",
    "collection",
    "background_task",
    "backup",
    "collection_revision",
    "deletion",
    "webhook_delivery",
    "usage",
}


@pytest.fixture
async def tenant(committing_rt: Runtime) -> str:
    return await driving.new_tenant(committing_rt)


def fake(rt: Runtime) -> FakeEmbedder:
    assert isinstance(rt.embedder, FakeEmbedder)
    return rt.embedder


async def rows(rt: Runtime) -> dict[str, int]:
    """How many rows the tables have that should be empty once all documents are deleted."""
    async with rt.transaction() as session:  # what documents added to tallies and what their deletion took is nothing
        await tallies.fold(session)
        await tallies.purge(session)
    async with rt.sessions() as session:
        counted = {
            table.name: (await session.scalars(select(func.count()).select_from(table))).one()
            for table in Base.metadata.sorted_tables
            if table.name not in LASTING
        }
    return {name: count for name, count in counted.items() if count}


async def nothing_left(rt: Runtime) -> bool:
    return (await settled(rt), await rows(rt)) == (set(), {})


async def found(rt: Runtime, tenant: str, words: str) -> set[str]:
    """Ids of the documents that a search finds, in any mode."""
    async with asyncio.TaskGroup() as group:
        modes: list[Any] = ["hybrid", "vector", "keyword"]
        searches = [
            group.create_task(search(rt.for_tenant(tenant), Query(words, mode=mode, top_k=50))) for mode in modes
        ]
    return {hit.document_id for each in searches for hit in each.result().hits}


# -- the receipt ---------------------------------------------------------------------------------------------


async def test_the_receipt_counts_what_was_removed_and_stays_the_same(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    document_id = await driving.ready(rt, tenant, paragraphs(5, "lamp"), external_id="e")
    newer = paragraphs(2, "lens")
    await driving.ready(rt, tenant, newer, external_id="e")
    await driving.accept(rt, tenant, "Waiting.", external_id="e")
    assert await found(rt, tenant, "lens2 lamp2") == {document_id}
    receipt = await deletion.remove(rt.for_tenant(tenant), document_id)
    assert receipt.counts == {
        "documents": 1,
        "versions": 3,
        "pages": 1,
        "chunks": 2,
        "second_vectors": 0,
        "embeddings": 2,
        "jobs": 3,
        "answers": 0,
        "objects": 2,
        "bytes": len(newer) + len("Waiting."),
    }
    assert await found(rt, tenant, "lens2 lamp2") == set()
    assert await nothing_left(rt)
    again = await deletion.remove(rt.for_tenant(tenant), document_id)
    assert (again.counts, again.deleted_at) == (receipt.counts, receipt.deleted_at)
    async with rt.for_tenant(tenant).transaction() as session:
        with pytest.raises(NotFound, match="document_not_found"):
            await documents.get(session, document_id)


async def test_an_archive_of_many_files_goes_by_as_many_statements_as_one_of_few(
    committing_rt: Runtime, tenant: str
) -> None:
    taken = []
    for files in (2, 9):
        packed = archive(*((f"{number}.txt", b"Text %d of %d." % (number, files)) for number in range(files)))
        document = await driving.ready(committing_rt, tenant, packed, "files.zip")
        said: list[str] = []
        engine = committing_rt.sessions.kw["bind"].sync_engine
        listener = partial(_hear, said)
        event.listen(engine, "before_cursor_execute", listener)
        receipt = await deletion.remove(committing_rt.for_tenant(tenant), document)
        event.remove(engine, "before_cursor_execute", listener)
        assert receipt.counts["documents"] == files + 1
        taken.append(len(said))
    assert taken[0] == taken[1]
    assert await nothing_left(committing_rt)


def _hear(said: list[str], _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    said.append(statement)


async def test_a_stranger_neither_deletes_nor_sees_the_receipt(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    stranger = await driving.new_tenant(rt)
    accepted = await driving.accept(rt, tenant, paragraphs(2))
    document_id = accepted.details.document.id
    with pytest.raises(NotFound, match="document_not_found"):
        await deletion.remove(rt.for_tenant(stranger), document_id)
    assert (await driving.run(rt, accepted.details.job.id)).state == "succeeded", "not even its job was ended"
    await deletion.remove(rt.for_tenant(tenant), document_id)
    with pytest.raises(NotFound, match="document_not_found"):
        await deletion.remove(rt.for_tenant(stranger), document_id)
    with pytest.raises(NotFound, match="document_not_found"):
        await deletion.remove(rt.for_tenant(tenant), "doc_00000000000000000000000000")


async def queued(rt: Runtime, job_id: str) -> None:
    """Nothing has been done yet."""


async def chunked(rt: Runtime, job_id: str) -> None:
    assert await ingest.run_step(rt, job_id, "chunk")


async def embedded(rt: Runtime, job_id: str) -> None:
    await chunked(rt, job_id)
    assert await ingest.run_step(rt, job_id, "embed")


async def half_embedded(rt: Runtime, job_id: str) -> None:
    def refuse(_texts: list[str]) -> None:
        if fake(rt).seen:
            raise ValueError

    await chunked(rt, job_id)
    fake(rt).before = refuse
    assert not await ingest.run_step(rt, job_id, "embed")
    fake(rt).before = lambda _texts: None


async def cancelled(rt: Runtime, job_id: str) -> None:
    await embedded(rt, job_id)
    async with rt.transaction() as session:
        assert await jobs.end_unfinished(session, Job.id == job_id)


async def ready(rt: Runtime, job_id: str) -> None:
    assert (await driving.run(rt, job_id)).state == "succeeded"


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("state", [queued, chunked, half_embedded, embedded, cancelled, ready])
async def test_nothing_is_left_whatever_state_the_document_was_in(
    committing_rt: Runtime, tenant: str, state: Callable[[Runtime, str], Any], earlier: bool
) -> None:
    rt = committing_rt
    if earlier:
        await driving.ready(rt, tenant, paragraphs(7), external_id="e")
        fake(rt).seen.clear()
    accepted = await driving.accept(rt, tenant, paragraphs(9, "lens"), external_id="e")
    await state(rt, accepted.details.job.id)
    receipt = await deletion.remove(rt.for_tenant(tenant), accepted.details.document.id)
    assert receipt.counts["versions"] == 1 + earlier
    assert await nothing_left(rt)
    for step in jobs.STEPS:
        assert not await ingest.run_step(rt, accepted.details.job.id, step), "a message that comes late"
    again = await driving.ready(rt, tenant, paragraphs(9, "lens"), external_id="e")
    assert again != accepted.details.document.id
    assert len(await chunks_of(rt, again)) == 9


# -- what others share ---------------------------------------------------------------------------------------


async def test_embeddings_that_another_document_uses_survive_and_go_with_the_last_one(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    shared, own = paragraphs(4, "lamp"), paragraphs(3, "lens")
    first = await driving.ready(rt, tenant, shared)
    second = await driving.ready(rt, tenant, f"{shared}\n\n{own}")
    assert len(await driving.vectors_of_texts(rt)) == 7
    assert (await deletion.remove(rt.for_tenant(tenant), first)).counts["embeddings"] == 0
    assert await found(rt, tenant, "lamp2") == {second}
    fake(rt).seen.clear()
    third = await driving.ready(rt, tenant, shared, collection="other")
    assert fake(rt).seen == []
    assert (await deletion.remove(rt.for_tenant(tenant), second)).counts["embeddings"] == 3
    assert await found(rt, tenant, "lamp2") == {third}
    assert (await deletion.remove(rt.for_tenant(tenant), third)).counts["embeddings"] == 4
    assert await nothing_left(rt)


async def test_a_document_whose_embeddings_were_made_for_a_deleted_one_can_still_be_edited(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    shared = paragraphs(6, "lamp")
    first = await driving.ready(rt, tenant, shared)
    second = await driving.ready(rt, tenant, shared, external_id="e")
    await deletion.remove(rt.for_tenant(tenant), first)
    fake(rt).seen.clear()
    await driving.ready(rt, tenant, f"{shared}\n\n{paragraphs(1, 'lens')}", external_id="e")
    assert [len(batch) for batch in fake(rt).seen] == [1], "only what is new"
    assert len(await chunks_of(rt, second)) == 7
    await driving.ready(rt, tenant, paragraphs(1, "lens"), external_id="e")
    assert len(await driving.vectors_of_texts(rt)) == 1
    await deletion.remove(rt.for_tenant(tenant), second)
    assert await nothing_left(rt)


async def test_embeddings_that_a_document_counted_on_are_made_anew_when_they_go_before_it_is_stored(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    first = await driving.ready(rt, tenant, paragraphs(5))
    second = await driving.accept(rt, tenant, paragraphs(5), collection="other")
    await embedded(rt, second.details.job.id)
    await deletion.remove(rt.for_tenant(tenant), first)
    assert not await ingest.run_step(rt, second.details.job.id, "upsert")
    assert (await job_of(rt, second.details.job.id)).step == "embed"
    await driving.set_job(rt, second.details.job.id, next_attempt_at=func.now())
    assert (await driving.run(rt, second.details.job.id)).state == "succeeded"
    assert len(await chunks_of(rt, second.details.document.id)) == 5


async def test_the_last_two_users_of_an_embedding_deleted_at_once_take_it_along(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each deletion could leave the vector to the other."""
    rt = committing_rt
    twins = [await driving.ready(rt, tenant, paragraphs(4), collection=collection) for collection in "ab"]
    forget, barrier = checkpoint.delete_unused, asyncio.Barrier(2)

    async def together(*arguments: Any) -> int:
        await barrier.wait()
        return await forget(*arguments)

    monkeypatch.setattr(checkpoint, "delete_unused", together)
    receipts = await asyncio.gather(*(deletion.remove(rt.for_tenant(tenant), each) for each in twins))
    assert sorted(each.counts["embeddings"] for each in receipts) == [0, 4]
    assert await nothing_left(rt)


# -- who is told ---------------------------------------------------------------------------------------------


async def deliveries(rt: Runtime) -> list[tuple[str, str]]:
    async with rt.sessions() as session:
        return sorted((each.event, each.url) for each in await session.scalars(select(WebhookDelivery)))


async def test_every_receiver_is_told_of_a_deletion_once_and_still_of_what_was_before(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    hook = "http://127.0.0.1:9/"
    first = await driving.accept(rt, tenant, paragraphs(2), external_id="e", callback_url=hook + "both")
    await driving.accept(rt, tenant, paragraphs(2), external_id="e", callback_url=hook + "first")
    await driving.run(rt, first.details.job.id)
    await driving.accept(rt, tenant, paragraphs(3), external_id="e", callback_url=hook + "second")
    await driving.accept(rt, tenant, paragraphs(3), external_id="e", callback_url=hook + "both")
    await deletion.remove(rt.for_tenant(tenant), first.details.document.id)
    assert await deliveries(rt) == [
        *(("document.deleted", hook + name) for name in ("both", "first", "second")),
        *(("document.ready", hook + name) for name in ("both", "first")),
    ]
    await deletion.remove(rt.for_tenant(tenant), first.details.document.id)
    assert len(await deliveries(rt)) == 5
    async with rt.sessions() as session:
        assert (await session.scalars(select(JobCallback))).all() == []


async def test_a_deletion_while_the_job_runs_is_told_as_a_deletion_only(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    accepted = await driving.accept(rt, tenant, paragraphs(2), callback_url="http://127.0.0.1:9/")
    await driving.claim(rt, accepted.details.job.id)
    await deletion.remove(rt.for_tenant(tenant), accepted.details.document.id)
    assert await deliveries(rt) == [("document.deleted", "http://127.0.0.1:9/")]
    assert await in_store(rt) == {accepted.details.version.object_key}
    assert await nothing_left(rt)
