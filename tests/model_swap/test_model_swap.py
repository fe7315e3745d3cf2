"""Another model for a collection: what is searched, what is paid, what is left at the end."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import func, select, update

from footnote import jobs, model_swap, retrieval
from footnote.documents import deletion
from footnote.errors import Conflict, Forbidden, NotFound, Unavailable
from footnote.jobs import tasks
from footnote.model_swap import SwapDetails, work
from footnote.models import BackgroundTask, Chunk, ChunkVector, Collection, Embedding, ModelSwap, Pause
from footnote.operations import consistency
from footnote.providers import Embeddings
from footnote.runtime import Runtime
from tests import driving
from tests.driving import paragraphs
from tests.fakes import FakeEmbedder
from worker.background_tasks import PARTS

pytestmark = pytest.mark.anyio
OTHER = "fake", "fake-32"


class OtherModel(FakeEmbedder):
    """Of another length, behind an address; it counts more tokens than we do."""

    address = "http://fake"  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__(OTHER[1])
        self.dimensions = 32

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        answer = await super().embed(texts)
        return Embeddings(-answer.vectors, round(answer.tokens * 1.3))

    @property
    def texts(self) -> list[str]:
        return [text for call in self.seen for text in call]


@pytest.fixture
def other(rt: Runtime) -> OtherModel:
    model = OtherModel()
    rt.others[OTHER] = model
    rt.others[*OTHER, 32] = model
    return model


@pytest.fixture
async def tenant(rt: Runtime) -> str:
    return await driving.new_tenant(rt)


@pytest.fixture
def acting(rt: Runtime, tenant: str, other: OtherModel) -> Runtime:
    return rt.for_tenant(tenant)


async def begun(acting: Runtime, name: str = "default") -> SwapDetails:
    return await model_swap.begin(acting, name, *OTHER, "key_x")


async def worked(rt: Runtime) -> BackgroundTask:
    """The task of the only swap, after it did all that is to be done now."""
    async with rt.sessions() as session:
        task_id = await session.scalar(select(BackgroundTask.id).where(BackgroundTask.kind == model_swap.KIND))
    while task := await tasks.take_due(rt.operator, task_id):
        await tasks.run(rt.operator, task, PARTS[task.kind])
    async with rt.sessions() as session:
        return await session.get_one(BackgroundTask, task_id)


async def state(acting: Runtime, name: str = "default") -> str | None:
    async with acting.transaction() as session:
        found = await model_swap.get(session, name)
    return found.swap.state if found else None


async def count(rt: Runtime, table: Any, *conditions: Any) -> int:
    async with rt.sessions() as session:
        return await session.scalar(select(func.count()).select_from(table).where(*conditions)) or 0


async def found(acting: Runtime, **options: Any) -> list[tuple[str, float | None, int]]:
    """Which chunks, how near, and in which space."""
    query = retrieval.Query("lamp1 shines", **{"mode": "vector", "top_k": 5} | options)
    hits = (await retrieval.search(acting, query)).hits
    return [(hit.chunk_id, hit.similarity and round(hit.similarity, 4), hit.space_id) for hit in hits]


async def clean(rt: Runtime) -> list[Any]:
    return [each async for each in consistency.audit(rt.operator, fix=False)]


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
    assert await count(rt, Embedding, Embedding.space_id == details.old.id) == 0
    assert await count(rt, Embedding, Embedding.space_id == details.new.id) > 0
    assert await clean(rt) == []
    with pytest.raises(NotFound):
        await model_swap.roll_back(acting, "default")
