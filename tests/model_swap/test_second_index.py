"""The vector index of second vectors: one build at a time, beside others' work."""

import pytest
from sqlalchemy import text

from footnote import model_swap
from footnote.database.engine import connect
from footnote.documents import deletion
from footnote.embeddings import second_index, vector_index
from footnote.jobs import tasks
from footnote.runtime import Runtime
from tests import driving
from tests.driving import paragraphs
from tests.model_swap.swapping import begun, due, state, worked
from worker.background_tasks import PARTS

pytestmark = pytest.mark.anyio


@pytest.fixture
def rt(committing_rt: Runtime) -> Runtime:
    """An index is built beside the work by a connection that sees what is committed."""
    return committing_rt


async def validity(rt: Runtime) -> list[bool]:
    found = "SELECT indisvalid FROM pg_index WHERE indexrelid::regclass::text LIKE 'ix_chunk_vector_embedding_space_%'"
    async with rt.transaction() as session:
        return [*await session.scalars(text(found))]


async def test_it_is_built_before_the_switch_and_goes_at_the_end_each_when_no_other_is_built(
    rt: Runtime, acting: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_index, "WORTHWHILE", 4)
    await driving.ready(rt, tenant, paragraphs(9))
    await begun(acting)
    other = await connect(rt.settings)

    await other.execute("SELECT pg_advisory_lock($1)", vector_index.LOCK)
    await worked(rt)
    assert (await state(acting), await validity(rt)) == ("backfilling", []), "another index is being built"
    await other.execute("SELECT pg_advisory_unlock($1)", vector_index.LOCK)
    await due(rt)
    await worked(rt)
    assert (await state(acting), await validity(rt)) == ("ready", [True])

    await model_swap.drop(acting, "default")
    await other.execute("SELECT pg_advisory_lock($1)", vector_index.LOCK)
    await worked(rt)
    assert (await state(acting), await validity(rt)) == ("dropping", [True])
    await other.close()
    await due(rt)
    await worked(rt)
    assert (await state(acting), await validity(rt)) == ("dropped", [])


@pytest.mark.parametrize("gone", [False, True], ids=["being deleted", "deleted"])
async def test_a_collection_that_is_deleted_takes_its_swap_and_the_index_with_it(
    rt: Runtime, acting: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    monkeypatch.setattr(second_index, "WORTHWHILE", 4)
    await driving.ready(rt, tenant, paragraphs(9))
    await begun(acting)
    await worked(rt)
    assert await validity(rt) == [True]
    task = await deletion.begin_collection(acting, "default")
    if gone:
        await tasks.finish(rt.operator, task.id, PARTS[task.kind])
    async with acting.transaction() as session:
        assert await model_swap.running(session) == [], "its buttons would find no collection"
    await due(rt)
    ended = await worked(rt)
    assert (ended.state, await validity(rt)) == ("completed", [])
