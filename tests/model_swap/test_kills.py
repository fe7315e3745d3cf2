"""A process that works on a swap may be killed after any of its commits."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest
from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import model_swap
from footnote.database import leases
from footnote.jobs import tasks
from footnote.model_swap import work
from footnote.models import BackgroundTask, Chunk, ChunkVector
from footnote.runtime import Runtime
from tests import driving
from tests.driving import paragraphs
from tests.model_swap.swapping import OtherModel, begun, clean, count, due, found, state
from worker.background_tasks import PARTS

pytestmark = pytest.mark.anyio


class Killed(BaseException):
    """As if the process was."""


class Mortal(Runtime):
    """Dies after some commits."""

    left = 0

    @asynccontextmanager
    async def transaction(self, **settings: str) -> AsyncIterator[AsyncSession]:
        async with super().transaction(**settings) as session:
            yield session
        Mortal.left -= 1
        if Mortal.left < 0:
            raise Killed


async def test_killed_after_any_commit_it_goes_on(
    rt: Runtime, acting: Runtime, tenant: str, other: OtherModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "REMOVED", 4)
    for topic in ("lamp", "lens"):
        await driving.ready(rt, tenant, paragraphs(9, topic), f"{topic}.txt")
    details = await begun(acting)
    asked = len(other.texts)
    deaths = await killed_until(rt, acting, "ready")
    paid = [each for each in other.texts[asked:] if "shines" in each]  # the others measure the model
    assert len(set(paid)) == details.swap.texts
    assert len(paid) - len(set(paid)) <= other.max_texts * deaths
    await model_swap.switch(acting, "default")
    switched = await found(acting)
    await model_swap.drop(acting, "default")
    await killed_until(rt, acting, "dropped")
    assert await found(acting) == switched
    assert await count(rt, ChunkVector) == await count(rt, Chunk, Chunk.space_id == details.old.id) == 0
    assert await clean(rt) == []


async def killed_until(rt: Runtime, acting: Runtime, wanted: str) -> int:
    """Works with a process that dies after 0, 1, 2, ... commits, until the swap is in that state; how many died."""
    mortal, deaths = Mortal(**vars(rt.operator)), 0
    while await state(acting) != wanted:
        Mortal.left = deaths % 23
        deaths += 1
        assert deaths < 200
        with suppress(Killed):
            while task := await tasks.take_due(mortal):
                await tasks.run(mortal, task, PARTS[task.kind])
        past = func.now() - timedelta(days=1)
        async with rt.transaction() as session:
            running = BackgroundTask.state == "running"
            await session.execute(update(BackgroundTask).where(running).values(lease_until=past))
        await due(rt)
        async with rt.transaction() as session:
            await leases.take_back(session, BackgroundTask, math.inf)
        await due(rt)
    return deaths
