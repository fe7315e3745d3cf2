"""Another model for a collection: what is searched, what is paid, what is left at the end."""

import asyncio
import math
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, event, func, select, update

from footnote import collections, jobs, model_swap
from footnote.documents import deletion
from footnote.errors import Conflict, Invalid, Unavailable
from footnote.model_swap import comparison
from footnote.model_swap.comparison import JudgedQuestion
from footnote.models import Chunk, ChunkVector, CollectionRevision, Embedding, ModelSwap, Pause, Tenant
from footnote.retrieval import vector_leg
from footnote.runtime import Runtime
from footnote.settings import Price, Settings
from tests import driving
from tests.conftest import committing
from tests.driving import paragraphs
from tests.model_swap.swapping import OTHER, OtherModel, begun, clean, count, due, found, state, worked

pytestmark = pytest.mark.anyio


async def test_there_and_back_with_the_hits_of_before(rt: Runtime, acting: Runtime, tenant: str) -> None:
    for topic in ("lamp", "lens"):
        await driving.ready(rt, tenant, paragraphs(12, topic), f"{topic}.txt")
    before = {mode: await found(acting, mode=mode) for mode in ("vector", "hybrid")}
    details = await begun(acting)
    assert (details.swap.state, details.total) == ("backfilling", await count(rt, Chunk))
    assert await found(acting) == before["vector"]
    task = await worked(rt)
    assert (await state(acting), task.state, task.waiting_for) == ("ready", "queued", None)
    assert await count(rt, ChunkVector) == await count(rt, Chunk)
    assert await found(acting) == before["vector"]

    await model_swap.switch(acting, "default")
    for mode in ("vector", "hybrid"):
        after = await found(acting, mode=mode)
        assert {space for _, _, space in after} == {details.new.id}
        assert after != before[mode]
        assert await found(acting, mode=mode, standby=True) == before[mode]
    await model_swap.roll_back(acting, "default")
    assert {mode: await found(acting, mode=mode) for mode in before} == before
    assert await clean(rt) == []


async def test_dropped_after_the_switch_each_chunk_keeps_one_vector(rt: Runtime, acting: Runtime, tenant: str) -> None:
    await driving.ready(rt, tenant, paragraphs(12))
    details = await begun(acting)
    await worked(rt)
    await model_swap.switch(acting, "default")
    switched = await found(acting, mode="hybrid")
    await model_swap.drop(acting, "default")
    task = await worked(rt)
    assert (task.state, await state(acting)) == ("completed", "dropped")
    assert await found(acting, mode="hybrid") == switched
    assert await count(rt, ChunkVector) == await count(rt, Chunk, Chunk.space_id == details.old.id) == 0
    assert await count(rt, Embedding) == 0
    assert await clean(rt) == []
    with pytest.raises(Conflict, match="no_model_swap"):
        await model_swap.roll_back(acting, "default")


async def test_uploads_get_both_vectors_and_none_is_stopped_by_the_model_that_is_not_searched(
    rt: Runtime, acting: Runtime, tenant: str, other: OtherModel
) -> None:
    await driving.ready(rt, tenant, paragraphs(3), "old.txt")
    await begun(acting)
    await worked(rt)
    await driving.ready(rt, tenant, paragraphs(3, "lens"), "new.txt")
    assert await count(rt, ChunkVector) == 6

    def refuses(_texts: list[str]) -> None:
        raise Unavailable("provider_unavailable")

    other.before = refuses
    await driving.ready(rt, tenant, paragraphs(3, "tide"), "late.txt")
    assert await count(rt, ChunkVector) == 6
    with pytest.raises(Conflict, match="model_swap_not_ready"):
        await model_swap.switch(acting, "default")
    await due(rt)
    assert "provider" in str((await worked(rt)).waiting_for)
    other.before = lambda _texts: None
    await due(rt)
    await worked(rt)
    assert await count(rt, ChunkVector) == 9
    await model_swap.switch(acting, "default")
    assert await clean(rt) == []


async def test_what_is_uploaded_after_the_switch_is_there_after_the_way_back_and_the_drop(
    rt: Runtime, acting: Runtime, tenant: str
) -> None:
    await driving.ready(rt, tenant, paragraphs(3, "lens"), "old.txt")
    details = await begun(acting)
    await worked(rt)
    await model_swap.switch(acting, "default")
    new = await driving.ready(rt, tenant, paragraphs(3), "new.txt")
    assert {each.space_id for each in await driving.chunks_of(rt, new)} == {details.new.id}
    assert len(await found(acting)) == 5
    await model_swap.roll_back(acting, "default")
    back = await found(acting)
    assert {space for *_, space in back} == {details.old.id}
    assert len(back) == 5
    await model_swap.drop(acting, "default")
    await worked(rt)
    assert await found(acting) == back
    assert await count(rt, Chunk, Chunk.space_id == details.new.id) == await count(rt, ChunkVector) == 0
    assert await count(rt, Embedding) == 0
    assert await clean(rt) == []


async def test_a_deletion_and_a_new_version_take_both_vectors(
    rt: Runtime, acting: Runtime, tenant: str, other: OtherModel
) -> None:
    first = await driving.ready(rt, tenant, paragraphs(3), "first.txt", external_id="first")
    await driving.ready(rt, tenant, paragraphs(4), "second.txt", external_id="second")
    await begun(acting)
    await worked(rt)
    asked = len(other.texts)
    await driving.ready(rt, tenant, paragraphs(4) + "\n\nOne more.", "second.txt", external_id="second")
    assert len(other.texts) - asked <= 2, "what did not change is not paid for again"
    assert await count(rt, ChunkVector) == await count(rt, Chunk)
    receipt = await deletion.remove(acting, first)
    assert receipt.counts["second_vectors"] == receipt.counts["chunks"] == 3
    assert await count(rt, ChunkVector) == await count(rt, Chunk)
    await driving.remove_collection(rt, tenant, "default")
    await due(rt)
    assert (await worked(rt)).state == "completed"
    assert await count(rt, ChunkVector) == await count(rt, Embedding) == await count(rt, ModelSwap) == 0
    assert await clean(rt) == []


async def test_what_is_deleted_while_the_model_is_asked_leaves_nothing(
    rt: Runtime, acting: Runtime, tenant: str, other: OtherModel
) -> None:
    first = await driving.ready(rt, tenant, paragraphs(3), "first.txt")
    await driving.ready(rt, tenant, paragraphs(3, "lens"), "second.txt")
    await begun(acting)

    async def deletes() -> None:
        await deletion.remove(acting, first)

    other.meanwhile = deletes
    await worked(rt)
    assert await state(acting) == "ready"
    assert await count(rt, ChunkVector) == await count(rt, Chunk) == 3
    assert await clean(rt) == []


async def test_each_way_drops_the_cached_answers_once(rt: Runtime, acting: Runtime, tenant: str) -> None:
    await driving.ready(rt, tenant, paragraphs(1))
    revision = select(CollectionRevision.revision)
    await begun(acting)
    await worked(rt)
    async with rt.sessions() as session:
        before = await session.scalar(revision) or 0
    for ways, change in enumerate((model_swap.switch, model_swap.roll_back, model_swap.switch), 1):
        await change(acting, "default")
        await worked(rt)
        async with rt.sessions() as session:
            assert await session.scalar(revision) == before + ways


async def test_a_way_back_takes_few_statements(settings: Settings, own_database: str, other: OtherModel) -> None:
    async with committing(settings.model_copy(update={"database_url": own_database})) as rt:
        rt.others[OTHER] = other
        tenant = await driving.new_tenant(rt)
        await driving.ready(rt, tenant, paragraphs(1))
        await begun(rt.for_tenant(tenant))
        await worked(rt)
        await model_swap.switch(rt.for_tenant(tenant), "default")
        statements: list[str] = []
        engine = rt.sessions.kw["bind"].sync_engine
        event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
        event.listen(engine, "checkout", lambda it, *_: it.driver_connection.add_query_logger(note))

        def note(record: Any) -> None:
            statements.append(record.query)

        await model_swap.roll_back(rt.for_tenant(tenant), "default")
        await asyncio.sleep(0)  # the driver's logger is called by the loop
    # The collection and its swap, locked; both changed; audit log, task, what is shown; revision, cached answers;
    # and the transaction.
    assert len(statements) == 10, statements


async def test_the_estimate_is_what_is_spent(
    rt: Runtime, acting: Runtime, tenant: str, other: OtherModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(other, "max_texts", 32)
    for number in range(3):
        words = (f"Word{place} of {number}. " * (3 + place * 7 % 17) for place in range(40))
        await driving.ready(rt, tenant, "\n\n".join(words), f"{number}.txt")
    await driving.ready(rt, tenant, "\n\n".join(["The same."] * 3), "same.txt")
    rt.settings.prices["fake-32"] = Price(input=2.0, output=0.0)
    expected = await model_swap.estimate(acting, "default", *OTHER, "key_x")
    assert (expected.provider, expected.model, expected.dimensions) == (*OTHER, 32)
    assert expected.chunks == await count(rt, Chunk)
    begun_swap = await begun(acting)
    await worked(rt)
    async with rt.sessions() as session:
        swap = await session.get_one(ModelSwap, begun_swap.swap.id)
    assert swap.texts_embedded == swap.texts == expected.texts
    assert swap.tokens_spent == pytest.approx(expected.tokens, rel=0.05)
    assert float(expected.cost or 0) == pytest.approx(swap.tokens_spent * 2 / 1e6, rel=0.05)


async def test_a_pause_and_a_budget_hold_it_up(rt: Runtime, acting: Runtime, tenant: str, other: OtherModel) -> None:
    await driving.ready(rt, tenant, paragraphs(3))
    await begun(acting)
    asked = len(other.texts)
    async with rt.transaction() as session:
        session.add(Pause())
    assert (await worked(rt)).waiting_for == jobs.PAUSE_ENDS
    async with rt.transaction() as session:
        await session.execute(delete(Pause))
        await session.execute(update(Tenant).where(Tenant.id == tenant).values(quotas={"tokens": "1"}))
    await due(rt)
    assert "the budget" in str((await worked(rt)).waiting_for)
    assert len(other.texts) == asked
    async with rt.transaction() as session:
        await session.execute(update(Tenant).where(Tenant.id == tenant).values(quotas={}))
    await due(rt)
    await worked(rt)
    assert await state(acting) == "ready"


async def test_the_former_vectors_go_by_themselves_when_their_time_is_over(
    rt: Runtime, acting: Runtime, tenant: str
) -> None:
    await driving.ready(rt, tenant, paragraphs(3))
    await begun(acting)
    await worked(rt)
    await model_swap.switch(acting, "default")
    await worked(rt)
    assert await state(acting) == "switched"
    async with rt.transaction() as session:
        await session.execute(update(ModelSwap).values(drop_after=func.now() - timedelta(days=1)))
    await due(rt)
    await worked(rt)
    assert await state(acting) == "dropped"


async def test_cancelled_at_once_nothing_is_left_and_it_can_begin_again(
    rt: Runtime, acting: Runtime, tenant: str
) -> None:
    await driving.ready(rt, tenant, paragraphs(3))
    before = await found(acting)
    await begun(acting)
    with pytest.raises(Conflict, match="model_swap_running"):
        await begun(acting)
    await model_swap.drop(acting, "default")
    await worked(rt)
    assert (await state(acting), await found(acting), await count(rt, ChunkVector)) == ("dropped", before, 0)
    await begun(acting)
    assert await state(acting) == "backfilling"


async def test_what_cannot_be_swapped_is_told(rt: Runtime, acting: Runtime, tenant: str) -> None:
    async with acting.transaction() as session:
        await collections.obtain(session, "empty", rt.settings)
    with pytest.raises(Conflict, match="model_swap_needless"):
        await begun(acting, "empty")
    await driving.ready(rt, tenant, paragraphs(1))
    with pytest.raises(Conflict, match="model_swap_needless"):
        await model_swap.begin(acting, "default", "fake", None, "")
    with pytest.raises(Invalid, match="unknown_embedding_model"):
        await model_swap.begin(acting, "default", "none", "such", "")


async def test_a_large_scope_is_searched_by_both_tables(
    rt: Runtime, acting: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await driving.ready(rt, tenant, paragraphs(6, "lens"), "old.txt")
    await begun(acting)
    await worked(rt)
    await model_swap.switch(acting, "default")
    await driving.ready(rt, tenant, paragraphs(6), "new.txt")
    exact = {mode: await found(acting, mode=mode) for mode in ("vector", "hybrid")}
    monkeypatch.setattr(vector_leg, "EXACT_CHUNKS", 1)
    assert {mode: await found(acting, mode=mode) for mode in exact} == exact


async def test_the_questions_of_both_models_are_compared(rt: Runtime, acting: Runtime, tenant: str) -> None:
    right = await driving.ready(rt, tenant, paragraphs(3), "lamp.txt")
    await driving.ready(rt, tenant, paragraphs(3, "lens"), "lens.txt")
    await begun(acting)
    given = [JudgedQuestion("lamp1 shines", frozenset({right}))]
    with pytest.raises(Conflict, match="model_swap_not_ready"):
        await comparison.compare(acting, "default", given, "")
    await worked(rt)
    compared = await comparison.compare(acting, "default", given, "")
    assert (compared.ndcg_active, compared.questions[0].ndcg_active) == (1.0, 1.0)
    assert 0 < (compared.overlap or 0) <= 1
    assert (await comparison.compare(acting, "default", [], "")).questions == []


def test_ndcg_counts_a_document_where_it_stands_first() -> None:
    assert comparison.ndcg(["a", "a", "b"], {"a", "b"}) == 1.0
    assert comparison.ndcg(["c", "a"], {"a"}) == round(1 / math.log2(3), 4)
