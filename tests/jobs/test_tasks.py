"""Background tasks, whatever they do."""

import asyncio

import pytest

from footnote.jobs import tasks
from footnote.models import BackgroundTask
from footnote.runtime import Runtime
from tests import driving

pytestmark = pytest.mark.anyio


async def test_a_process_that_should_end_does_so_although_its_task_was_completed_just_now(
    committing_rt: Runtime,
) -> None:
    rt, tenant_id = committing_rt, await driving.new_tenant(committing_rt)
    async with rt.for_tenant(tenant_id).transaction() as session:
        begun = await tasks.begin(session, "collection.delete", tenant_id, "col_x", "x", 0)
    completed = asyncio.Event()

    async def part(rt: Runtime, task: BackgroundTask) -> int | None:
        async with rt.transaction() as session:
            await tasks.complete(session, task.id, {"documents": 0})
        completed.set()
        return await asyncio.Future()  # the answer to the commit is under way

    claimed = await tasks.take_due(rt, begun.id)
    assert claimed is not None
    working = asyncio.create_task(tasks.run(rt, claimed, part))
    await completed.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
