"""A second model of another length, a collection that may get it, and what a test asks of both."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import func, select, update

from footnote import model_swap, retrieval
from footnote.jobs import tasks
from footnote.model_swap import SwapDetails
from footnote.models import BackgroundTask
from footnote.operations import consistency
from footnote.providers import Embeddings
from footnote.runtime import Runtime
from tests.fakes import FakeEmbedder
from worker.background_tasks import PARTS

OTHER = "fake", "fake-32"


class OtherModel(FakeEmbedder):
    """Of another length, behind an address; it counts more tokens than we do."""

    address = "http://fake"  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__(OTHER[1])
        self.dimensions = 32
        self.meanwhile: Callable[[], Awaitable[None]] | None = None  # is done once, during a call

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        answer = await super().embed(texts)
        if (meanwhile := self.meanwhile) is not None:
            self.meanwhile = None
            await meanwhile()
        return Embeddings(-answer.vectors, round(answer.tokens * 1.3))

    @property
    def texts(self) -> list[str]:
        return [text for call in self.seen for text in call]


def registered(rt: Runtime) -> OtherModel:
    """The other model, which the Runtime finds."""
    model = OtherModel()
    rt.others[OTHER] = model
    rt.others[*OTHER, 32] = model
    return model


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


async def due(rt: Runtime) -> None:
    """The time for which the task waits is over."""
    waits = BackgroundTask.next_attempt_at.is_not(None)
    async with rt.transaction() as session:
        await session.execute(update(BackgroundTask).where(waits).values(next_attempt_at=func.now()))


async def state(acting: Runtime, name: str = "default") -> str | None:
    async with acting.transaction() as session:
        found = await model_swap.get(session, name)
    return found.swap.state if found else None


async def count(rt: Runtime, table: Any, *conditions: Any) -> int:
    async with rt.sessions() as session:
        return await session.scalar(select(func.count()).select_from(table).where(*conditions)) or 0


async def found(acting: Runtime, **options: Any) -> list[tuple[str, float | None, int]]:
    """Which chunks, how near, and in which space."""
    query = retrieval.Query("lamp1 shines", mode="vector", top_k=5)
    hits = (await retrieval.search(acting, replace(query, **options))).hits
    return [(hit.chunk_id, hit.similarity and round(hit.similarity, 4), hit.space_id) for hit in hits]


async def clean(rt: Runtime) -> list[Any]:
    return [each async for each in consistency.audit(rt.operator, fix=False)]
