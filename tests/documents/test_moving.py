"""A document is moved to another collection in any state, with all that was made from it."""

import pytest
from sqlalchemy import func, select

from footnote import collections, ingest, jobs, model_swap, retrieval
from footnote.database.leases import LeaseLost
from footnote.documents import reingestion
from footnote.errors import Conflict, Invalid, NotFound
from footnote.jobs import UNFINISHED
from footnote.models import (
    AuditEvent,
    CachedAnswer,
    ChunkVector,
    Collection,
    CollectionRevision,
    Document,
    Job,
    Version,
)
from footnote.runtime import Runtime
from tests import driving
from tests.documents.moves import collection_of, counted, found, is_right, made, moved, words_of
from tests.documents.test_deletion import embedded
from tests.driving import paragraphs
from tests.fakes import FakeEmbedder
from tests.model_swap.swapping import OTHER, OtherModel, begun, due, registered, state, worked

pytestmark = pytest.mark.anyio


@pytest.fixture
def rt(committing_rt: Runtime) -> Runtime:
    return committing_rt


@pytest.fixture
async def tenant(rt: Runtime) -> str:
    tenant = await driving.new_tenant(rt)
    await made(rt, tenant, "there")
    return tenant


@pytest.fixture
def other(rt: Runtime) -> OtherModel:
    return registered(rt)


# -- what can be searched ------------------------------------------------------------------------------------


async def test_what_is_ready_is_found_there_at_once_and_nothing_is_read_or_paid_again(rt: Runtime, tenant: str) -> None:
    first = await driving.ready(rt, tenant, paragraphs(3), external_id="first")
    stays = await driving.ready(rt, tenant, paragraphs(2, "lens"), external_id="second")
    embedder(rt).seen.clear()
    await moved(rt, tenant, first)
    for mode in ("keyword", "vector", "hybrid"):
        assert await found(rt, tenant, "lamp1 shines", "there", mode) == {first}, mode
        assert first not in await found(rt, tenant, "lamp1 shines", "default", mode)
    assert {each for call in embedder(rt).seen for each in call} == {"lamp1 shines"}, "only the question"
    assert await counted(rt, tenant, "there") == (1, 1, 3)
    assert await counted(rt, tenant, "default") == (1, 1, 2)
    assert await unfinished(rt) == 0
    assert await collection_of(rt, stays) == "default"
    await is_right(rt)


async def test_words_go_along_and_stay_where_others_have_them(rt: Runtime, tenant: str) -> None:
    first = await driving.ready(rt, tenant, "Monomorphization turns generic code into specific code.", "1.txt")
    await driving.ready(rt, tenant, "The monomorphization of another document.", "2.txt")
    await moved(rt, tenant, first)
    for name in ("there", "default"):
        query = retrieval.Query("monomorphizaton", collections=(name,))
        result = await retrieval.search(rt.for_tenant(tenant), query)
        assert [each.searched for each in result.searched_for] == [("monomorphization",)], name
        assert result.hits
    for name, known in (("there", {"generic", "turns"}), ("default", {"another"})):
        assert await words_of(rt, tenant, name) & {"generic", "turns", "another"} == known
    await is_right(rt)


async def test_the_other_chunking_or_language_has_it_ingested_again(rt: Runtime, tenant: str) -> None:
    await made(rt, tenant, "small", chunking={"size": 150, "overlap": 10})
    await made(rt, tenant, "german", language="german")
    document = await driving.ready(rt, tenant, paragraphs(2))
    for name, chunks in (("small", 6), ("german", 2)):
        await moved(rt, tenant, document, name)
        assert await found(rt, tenant, "lamp1 shines", name) == {document}, "as it is, until it is ingested again"
        before = await counted(rt, tenant, name)
        await driving.work(rt)
        after = await counted(rt, tenant, name)
        assert before[:2] == after[:2] == (1, 1)
        assert (after[2] >= chunks) if name == "small" else (after[2] == chunks)
        await is_right(rt)
    assert (await driving.document_of(rt, document)).newest_version == 3


async def test_another_model_has_it_embedded_again_and_words_find_it_meanwhile(
    rt: Runtime, tenant: str, other: OtherModel
) -> None:
    await made(rt, tenant, "others", embedding={"provider": OTHER[0], "model": OTHER[1]})
    document = await driving.ready(rt, tenant, paragraphs(3))
    await moved(rt, tenant, document, "others")
    assert await found(rt, tenant, "lamp1 shines", "others", "keyword") == {document}
    assert await found(rt, tenant, "lamp1 shines", "others") == {document}
    await driving.work(rt)
    assert await found(rt, tenant, "lamp1 shines", "others", "vector") == {document}
    assert len(other.texts) >= 3
    await moved(rt, tenant, document, "default")
    await driving.work(rt)
    assert await found(rt, tenant, "lamp1 shines", "default", "vector") == {document}
    await is_right(rt)


async def test_a_model_that_is_gone_is_told_before_anything_is_moved(
    rt: Runtime, tenant: str, other: OtherModel
) -> None:
    await made(rt, tenant, "others", embedding={"provider": OTHER[0], "model": OTHER[1]})
    document = await driving.ready(rt, tenant, paragraphs(1))
    del rt.others[OTHER]
    with pytest.raises(Conflict, match="embedding_model_changed"):
        await moved(rt, tenant, document, "others")
    assert await collection_of(rt, document) == "default"


async def test_cached_answers_of_both_are_dropped_and_it_is_in_the_log(rt: Runtime, tenant: str) -> None:
    document = await driving.ready(rt, tenant, paragraphs(1))
    await moved(rt, tenant, document)
    async with rt.sessions() as session:
        revisions = await session.scalars(
            select(CollectionRevision.revision).where(CollectionRevision.tenant_id == tenant)
        )
        assert sorted(revisions) == [1, 2]
        assert await session.scalar(select(func.count()).select_from(CachedAnswer)) == 0
        event = (await session.scalars(select(AuditEvent).where(AuditEvent.action == "document.moved"))).one()
        names = {each.id: each.name for each in await session.scalars(select(Collection))}
    assert event.object_id == document
    assert names[event.details["from_collection_id"]] == "default"
    assert names[event.details["collection_id"]] == "there"


# -- states --------------------------------------------------------------------------------------------------


async def test_what_waits_or_is_at_work_begins_again_there(rt: Runtime, tenant: str) -> None:
    queued = (await driving.accept(rt, tenant, paragraphs(2), "queued.txt")).details
    begun_ = (await driving.accept(rt, tenant, paragraphs(2, "lens"), "begun.txt")).details
    await embedded(rt, begun_.job.id)
    claim = await driving.claim(rt, begun_.job.id, "upsert")
    for each in (queued, begun_):
        await moved(rt, tenant, each.document.id)
        job = await driving.job_of(rt, each.job.id)
        assert (job.state, job.step) == ("queued", "chunk")
    async with rt.transaction() as session:
        with pytest.raises(LeaseLost):
            await jobs.renew(session, claim, 30)
    for each in (queued, begun_):
        assert (await driving.run(rt, each.job.id)).state == "succeeded"
    assert await counted(rt, tenant, "there") == (2, 2, 4)
    assert await counted(rt, tenant, "default") == (0, 0, 0)
    await is_right(rt)


async def test_what_failed_is_moved_and_retried_there(rt: Runtime, tenant: str) -> None:
    accepted = (await driving.accept(rt, tenant, paragraphs(2), "a.txt")).details
    await embedded(rt, accepted.job.id)
    await driving.set_job(rt, accepted.job.id, state="failed", error_code="no_text", finished_at=func.now())
    await moved(rt, tenant, accepted.document.id)
    assert (await driving.job_of(rt, accepted.job.id)).state == "failed"
    async with rt.for_tenant(tenant).transaction() as session:
        await jobs.retry(session, accepted.job.id)
    await driving.run(rt, accepted.job.id)
    await driving.set_job(rt, accepted.job.id, next_attempt_at=func.now())  # at the first step
    assert (await driving.run(rt, accepted.job.id)).state == "succeeded"
    assert await found(rt, tenant, "lamp1 shines", "there") == {accepted.document.id}
    await is_right(rt)


async def test_a_version_in_work_is_made_there_and_the_one_before_is_found_there(rt: Runtime, tenant: str) -> None:
    document = await driving.ready(rt, tenant, paragraphs(3), external_id="e")
    newer = (await driving.accept(rt, tenant, paragraphs(2, "lens"), external_id="e")).details
    assert await ingest.run_step(rt, newer.job.id, "chunk")
    await moved(rt, tenant, document)
    assert await found(rt, tenant, "lamp1 shines", "there") == {document}
    await driving.run(rt, newer.job.id)
    assert await found(rt, tenant, "lens1 shines", "there") == {document}
    assert await counted(rt, tenant, "there") == (1, 1, 2)
    await is_right(rt)


async def test_files_found_in_a_document_go_with_it_and_not_without_it(rt: Runtime, tenant: str) -> None:
    outer, inner = [await driving.ready(rt, tenant, paragraphs(2, each), f"{each}.txt") for each in ("lamp", "lens")]
    async with rt.transaction() as session:
        (await session.get_one(Document, inner)).parent_id = outer
    with pytest.raises(Conflict, match="found_in_document"):
        await moved(rt, tenant, inner)
    await moved(rt, tenant, outer)
    assert await found(rt, tenant, "lens1 lamp1", "there") == {outer, inner}
    assert await counted(rt, tenant, "default") == (0, 0, 0)
    await is_right(rt)


async def test_a_swap_of_the_model_here_or_there(rt: Runtime, tenant: str, other: OtherModel) -> None:
    acting = rt.for_tenant(tenant)
    document = await driving.ready(rt, tenant, paragraphs(3))
    stays = await driving.ready(rt, tenant, paragraphs(2, "lens"), "2.txt")
    await begun(acting)
    await worked(rt)
    await moved(rt, tenant, document)  # leaves its second vectors behind
    await is_right(rt)
    assert await found(rt, tenant, "lamp1 shines", "there", "vector") == {document}
    await moved(rt, tenant, document, "default")  # gets them again from the task of the swap, which is woken
    await worked(rt)
    await due(rt)
    await worked(rt)
    async with rt.sessions() as session:
        assert await session.scalar(select(func.count()).select_from(ChunkVector)) == 5
    await is_right(rt)
    await model_swap.switch(acting, "default")
    assert await found(rt, tenant, "lamp1 shines", "default", "vector") == {document, stays}
    await moved(rt, tenant, document)  # with the vector of the former model, which is the right one there
    assert await found(rt, tenant, "lamp1 shines", "there", "vector") == {document}
    assert await unfinished(rt) == 0
    await moved(rt, tenant, document, "default")  # where it is not searched any more
    assert await unfinished(rt) == 1
    await driving.work(rt)
    assert document in await found(rt, tenant, "lamp1 shines", "default", "vector")
    assert await state(acting) == "switched"
    await is_right(rt)


async def test_what_is_moved_while_the_other_model_is_asked_gets_no_second_vector(
    rt: Runtime, tenant: str, other: OtherModel
) -> None:
    document = await driving.ready(rt, tenant, paragraphs(3))
    await driving.ready(rt, tenant, paragraphs(3, "lens"), "2.txt")
    await begun(rt.for_tenant(tenant))

    async def moves() -> None:
        await moved(rt, tenant, document)

    other.meanwhile = moves
    await worked(rt)
    assert await state(rt.for_tenant(tenant)) == "ready"
    await is_right(rt)


# -- refused -------------------------------------------------------------------------------------------------


async def test_what_cannot_be_moved_is_told(rt: Runtime, tenant: str) -> None:
    document = await driving.ready(rt, tenant, paragraphs(1), external_id="e")
    twin = await driving.ready(rt, tenant, paragraphs(1, "lens"), external_id="e", collection="there")
    with pytest.raises(Conflict, match=f"document_exists.*{twin}"):
        await moved(rt, tenant, document)
    with pytest.raises(NotFound, match="collection_not_found"):
        await moved(rt, tenant, document, "col_unknown")
    with pytest.raises(NotFound, match="document_not_found"):
        await moved(rt, tenant, "doc_unknown")
    with pytest.raises(NotFound, match="document_not_found"):
        await moved(rt, await driving.new_tenant(rt), document, "default")
    await made(rt, tenant, "expiring", expires_after_days=1, title="t")
    async with rt.transaction() as session:
        (await session.scalars(select(Collection).where(Collection.name == "expiring"))).one().last_active_at = (
            func.now() - func.make_interval(0, 0, 0, 2)
        )
    with pytest.raises(Invalid, match="vector_store_expired"):
        await moved(rt, tenant, document, "expiring")
    before = await driving.document_of(rt, document)
    await moved(rt, tenant, document, "default")
    assert (await driving.document_of(rt, document)).updated_at == before.updated_at, "it is there already"


async def test_the_same_file_is_in_a_collection_once(rt: Runtime, tenant: str) -> None:
    file_id = await driving.file(rt, tenant, paragraphs(1))
    here = (await driving.attach(rt, tenant, file_id, "default")).details
    await driving.run(rt, here.job.id)
    await driving.attach(rt, tenant, file_id, "there")
    with pytest.raises(Conflict, match="document_exists"):
        await moved(rt, tenant, here.document.id)
    await made(rt, tenant, "third")
    await moved(rt, tenant, here.document.id, "third")
    await is_right(rt)


async def test_a_review_of_the_collection_leaves_what_was_moved_there(rt: Runtime, tenant: str) -> None:
    document = await driving.ready(rt, tenant, paragraphs(2))
    await moved(rt, tenant, document)
    async with rt.for_tenant(tenant).transaction() as session:
        await collections.change(session, rt, "there", {"chunking": {"size": 150, "overlap": 10}})
    await reingestion.review(rt.operator)
    await driving.work(rt)
    assert (await counted(rt, tenant, "there"))[2] > 2
    async with rt.sessions() as session:
        version = await session.get_one(Version, (await driving.document_of(rt, document)).active_version_id)
    assert version.chunking is not None
    assert version.chunking["size"] == 150
    await is_right(rt)


def embedder(rt: Runtime) -> FakeEmbedder:
    assert isinstance(rt.embedder, FakeEmbedder)
    return rt.embedder


async def unfinished(rt: Runtime) -> int:
    async with rt.sessions() as session:
        return await session.scalar(select(func.count()).select_from(Job).where(Job.state.in_(UNFINISHED))) or 0
