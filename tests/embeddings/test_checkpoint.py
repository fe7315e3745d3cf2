"""A vector is stored once: in `embedding` until its document is visible, in the chunk from then on."""

import asyncio

import pytest
from sqlalchemy import func, select, text

from footnote import ingest
from footnote.documents import deletion
from footnote.embeddings import checkpoint, stored_twice
from footnote.models import Embedding
from footnote.operations.consistency import audit
from footnote.runtime import Runtime
from tests import driving
from tests.documents.test_deletion import embedded, nothing_left
from tests.driving import chunks_of, paragraphs
from tests.fakes import FakeEmbedder
from tests.postings import posted

pytestmark = pytest.mark.anyio

# As a release before this one stored them: beside the chunks, the second one for a document that is gone.
STORED_TWICE = text(
    "INSERT INTO embedding (tenant_id, space_id, text_sha256, document_id, embedding, split) "
    "SELECT tenant_id, space_id, text_sha256, CASE position WHEN 1 THEN 'doc_gone' ELSE document_id END, embedding, "
    "position = 2 FROM chunk WHERE document_id = :id"
)


async def stored(rt: Runtime) -> int:
    async with rt.sessions() as session:
        return await session.scalar(select(func.count()).select_from(Embedding)) or 0


async def store_twice(rt: Runtime, document_id: str) -> None:
    async with rt.operator.transaction() as session:
        await session.execute(STORED_TWICE, {"id": document_id})


async def test_two_documents_of_a_tenant_do_not_wait_for_each_other(committing_rt: Runtime) -> None:
    rt, tenant = committing_rt, await driving.new_tenant(committing_rt)
    ids = [await driving.ready(rt, tenant, paragraphs(3, topic)) for topic in ("wick", "flame")]
    bound = rt.for_tenant(tenant)
    async with asyncio.timeout(60), bound.transaction() as first:
        assert await checkpoint.delete_unused(first, ids[:1]) == 3
        async with bound.transaction() as second:
            assert await checkpoint.delete_unused(second, ids[1:]) == 3


async def test_what_another_document_or_tenant_uses_is_told_apart(rt: Runtime, ours: str) -> None:
    theirs = await driving.new_tenant(rt)
    first = await driving.ready(rt, ours, paragraphs(3, "wick"), external_id="a")
    second = await driving.ready(rt, ours, f"{paragraphs(2, 'wick')}\n\n{paragraphs(1, 'flame')}", external_id="b")
    await driving.ready(rt, theirs, paragraphs(3, "wick"))
    assert len(await driving.vectors_of_texts(rt)) == 3 + 1 + 3
    async with rt.for_tenant(ours).transaction() as session:
        assert await checkpoint.delete_unused(session, [first]) == 1, "the one that the second lacks"
        assert await checkpoint.delete_unused(session, [first, second]) == 4


async def test_the_steps_give_back_what_they_stored_and_nothing_is_embedded_again(rt: Runtime, ours: str) -> None:
    """Also what was made for a version that a newer one replaced before it was visible."""
    assert isinstance(rt.embedder, FakeEmbedder)
    given_up = await driving.accept(rt, ours, paragraphs(5, "wick"), external_id="a")
    await embedded(rt, given_up.details.job.id)
    beside = await driving.accept(rt, ours, paragraphs(5, "wick"), "beside.txt", external_id="b")
    await embedded(rt, beside.details.job.id)
    assert await stored(rt) == 10
    rt.embedder.seen.clear()
    newer = await driving.ready(rt, ours, f"{paragraphs(4, 'wick')}\n\n{paragraphs(1, 'oil')}", external_id="a")
    assert sum(map(len, rt.embedder.seen)) == 1
    assert await stored(rt) == 5, "of the other document, which is not visible yet"
    assert await ingest.run_step(rt, beside.details.job.id, "upsert")
    assert await stored(rt) == 0
    assert [len(await chunks_of(rt, each)) for each in (newer, beside.details.document.id)] == [5, 5]


async def test_rows_of_a_release_before_are_given_back_in_parts(
    committing_rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt, tenant = committing_rt, await driving.new_tenant(committing_rt)
    monkeypatch.setattr(stored_twice, "AT_ONCE", 2)
    monkeypatch.setattr(stored_twice, "PAUSE_SECONDS", 0)
    ready = await driving.ready(rt, tenant, paragraphs(5, "wick"), external_id="a")
    await store_twice(rt, ready)
    working = await driving.accept(rt, tenant, f"{paragraphs(5, 'wick')}\n\n{paragraphs(2, 'oil')}", collection="b")
    await embedded(rt, working.details.job.id)
    assert await stored(rt) == 5 + 2
    before = await driving.vectors_of_texts(rt)
    await stored_twice.give_back(rt.operator)
    async with rt.sessions() as session:
        owners = set(await session.scalars(select(Embedding.document_id)))
    assert (await stored(rt), owners) == (2, {working.details.document.id})
    assert [each.split for each in await chunks_of(rt, ready)] == [False, False, True, False, False]
    assert await driving.vectors_of_texts(rt) == before
    assert await posted(rt)
    assert [each async for each in audit(rt, fix=False)] == []
    assert await ingest.run_step(rt, working.details.job.id, "upsert")
    assert [each.split for each in await chunks_of(rt, working.details.document.id)][:5].count(True) == 1


@pytest.mark.parametrize("newer", [False, True])
async def test_rows_of_a_release_before_go_with_the_last_document_that_has_their_texts(
    committing_rt: Runtime, newer: bool
) -> None:
    rt, tenant = committing_rt, await driving.new_tenant(committing_rt)
    document_id = await driving.ready(rt, tenant, paragraphs(3, "wick"), external_id="a")
    await store_twice(rt, document_id)
    if newer:
        await driving.ready(rt, tenant, paragraphs(3, "oil"), external_id="a")
        assert await stored(rt) == 0
        assert [each async for each in audit(rt, fix=False)] == []
    await deletion.remove(rt.for_tenant(tenant), document_id)
    assert await nothing_left(rt)
