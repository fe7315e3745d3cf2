"""The loop that sends webhooks: woken by what queues them, not held up by slow receivers, finishing what it began."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest
from sqlalchemy import func, select, text

from footnote.errors import Conflict
from footnote.models import WebhookDelivery
from footnote.runtime import Runtime
from footnote.webhooks import endpoints
from tests import driving
from tests.receiving import Receiver, in_outbox, listening
from tests.waking import waking
from worker import alarm
from worker.deliveries import Deliveries

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tenant(committing_rt: Runtime) -> str:
    return await driving.new_tenant(committing_rt)


@asynccontextmanager
async def running(*loops: Deliveries) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(loop.run()) for loop in loops]
    try:
        async with AsyncExitStack() as stack:
            for loop in loops:
                await stack.enter_async_context(waking(loop.rt, {"deliver": loop.woken}))
            yield
    finally:
        for task in tasks:
            task.cancel()
        async with asyncio.timeout(60):
            await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.01)


async def in_state(rt: Runtime, state: str) -> int:
    async with rt.sessions() as session:
        return (await session.scalars(select(func.count()).where(WebhookDelivery.state == state))).one()


async def test_several_loops_send_everything_once(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    async with listening() as receiver:
        await in_outbox(rt, tenant, *[receiver.url] * 12)

        async def all_delivered() -> bool:
            return await in_state(rt, "delivered") == 12

        async with running(Deliveries(rt), Deliveries(rt)):
            await until(all_delivered)
    ids = [headers["webhook-id"] for _, headers, _ in receiver.requests]
    assert len(set(ids)) == len(ids) == 12


async def test_receivers_that_never_answer_do_not_hold_up_one_that_does(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = committing_rt
    monkeypatch.setattr("worker.deliveries.STOP_SECONDS", 0)
    async with listening(None) as silent, listening() as quick:
        await in_outbox(rt, tenant, *[silent.url] * 8, *[quick.url] * 8)

        async def quick_delivered() -> bool:
            return await in_state(rt, "delivered") == 8

        async with running(Deliveries(rt)):
            await until(quick_delivered, 10)
            assert len(silent.requests) == 4, "a few at once, the rest waits"


async def test_a_delivery_that_is_queued_is_sent_at_once(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = committing_rt
    monkeypatch.setattr(alarm, "REST_SECONDS", 3600)
    loop, looked = Deliveries(rt), asyncio.Event()
    start_due = loop._start_due

    async def look() -> None:
        await start_due()
        looked.set()

    loop._start_due = look  # type: ignore[method-assign]
    loop.woken.set()
    async with listening() as receiver, running(loop):
        await asyncio.wait_for(looked.wait(), 60)
        await until(partial(listens, rt))
        await in_outbox(rt, tenant, receiver.url)

        async def delivered() -> bool:
            return await in_state(rt, "delivered") == 1

        await until(delivered)


async def listens(rt: Runtime) -> bool:
    async with rt.sessions() as session:
        asked = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE :alarm")
        return bool((await session.scalars(asked, {"alarm": "%AS send%"})).one())


async def test_what_is_under_way_when_the_loop_is_stopped_still_ends(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    go_on = asyncio.Event()

    class Hesitant(Receiver):
        async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            reached.set()
            await go_on.wait()
            await super().__call__(reader, writer)

    reached, receiver = asyncio.Event(), Hesitant()
    server = await asyncio.start_server(receiver, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        await in_outbox(rt, tenant, receiver.url)
        deliveries = Deliveries(rt)
        deliveries.woken.set()
        loop = asyncio.create_task(deliveries.run())
        await asyncio.wait_for(reached.wait(), 60)
        loop.cancel()
        asyncio.get_running_loop().call_soon(go_on.set)
        await asyncio.gather(loop, return_exceptions=True)
    assert await in_state(rt, "delivered") == 1


async def test_endpoints_made_at_once_are_no_more_than_a_tenant_may_have(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "MOST", 2)

    async def make(number: int) -> None:
        async with committing_rt.for_tenant(tenant).transaction() as session:
            await endpoints.create(session, f"https://a{number}.example/", [], None)

    made = await asyncio.gather(*map(make, range(6)), return_exceptions=True)
    assert [type(each) for each in made if each] == [Conflict] * 4


@pytest.mark.parametrize("steps", range(5))
async def test_a_loop_that_is_stopped_in_the_moment_it_is_woken_ends(committing_rt: Runtime, steps: int) -> None:
    loop, looked = Deliveries(committing_rt), asyncio.Event()

    async def look() -> None:
        looked.set()

    loop._start_due = look  # type: ignore[method-assign]
    loop.woken.set()
    task = asyncio.create_task(loop.run())
    await looked.wait()
    await asyncio.sleep(0)
    loop.woken.set()
    for _ in range(steps):  # of the event loop, between the wake-up and the end of the wait
        await asyncio.sleep(0)
    task.cancel()
    ended, _ = await asyncio.wait({task}, timeout=60)
    if not ended:  # once more, so that nothing goes on
        task.cancel()
    assert ended
