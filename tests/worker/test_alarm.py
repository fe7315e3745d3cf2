"""The alarm: what is due wakes the loop that it is for, with and without a notification, and after an outage."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

from footnote.documents import objects
from footnote.jobs import tasks
from footnote.models import BackgroundTask, Collection, Job, UnownedObject, WebhookDelivery
from footnote.runtime import Runtime
from tests import driving
from tests.receiving import in_outbox
from tests.waking import waking
from worker import alarm

pytestmark = pytest.mark.anyio

LOOPS = ("send", "take_back", "deliver", "work", "sweep", "review", "ingesting")
PAST, LATER = func.now() - timedelta(seconds=1), func.now() + timedelta(days=1)


def events() -> dict[str, asyncio.Event]:
    return {name: asyncio.Event() for name in LOOPS}


async def look(rt: Runtime) -> set[str]:
    """The columns that are true."""
    async with rt.sessions() as session:
        found = (await session.execute(text(alarm._LOOK))).mappings().one()
    return {name for name, value in found.items() if value}


async def a_job(rt: Runtime, tenant: str) -> str:
    return (await driving.accept(rt, tenant, "A text.")).details.job.id


async def due_job(rt: Runtime, tenant: str) -> None:
    await a_job(rt, tenant)


async def silent_job(rt: Runtime, tenant: str) -> None:
    job_id = await a_job(rt, tenant)
    await driving.claim(rt, job_id)
    await driving.set_job(rt, job_id, lease_until=PAST)


async def running_job(rt: Runtime, tenant: str) -> None:
    await driving.claim(rt, await a_job(rt, tenant))


async def due_delivery(rt: Runtime, tenant: str) -> None:
    await in_outbox(rt, tenant, "http://127.0.0.1:9/")


async def due_task(rt: Runtime, tenant: str) -> None:
    async with rt.transaction() as session:
        await tasks.begin(session, "tenant.delete", tenant, tenant, "t", 0)


async def silent_task(rt: Runtime, tenant: str) -> None:
    await due_task(rt, tenant)
    assert await tasks.take_due(rt)
    await rt.execute(update(BackgroundTask).values(lease_until=PAST))


async def due_object(rt: Runtime, tenant: str) -> None:
    async with rt.transaction() as session:
        await objects.give_up(session, ["an/object"])


async def changed_collection(rt: Runtime, tenant: str) -> None:
    await driving.ready(rt, tenant, "A text.")
    while await objects.sweep(rt):  # artifacts of its steps
        pass
    await rt.execute(update(Collection).values(review_after=""))


MAKERS: dict[Callable[[Runtime, str], Awaitable[None]], str] = {
    due_job: "send",
    silent_job: "take_back",
    running_job: "ingesting",
    due_delivery: "deliver",
    due_task: "work",
    silent_task: "work",
    due_object: "sweep",
    changed_collection: "review",
}


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
async def test_what_is_due_wakes_its_loop_and_no_other(
    committing_rt: Runtime, make: Callable[[Runtime, str], Awaitable[None]]
) -> None:
    rt = committing_rt
    tenant = await driving.new_tenant(rt)
    assert await look(rt) == set()
    await make(rt, tenant)
    also = {"unfinished"} | ({"ingesting"} if make in (due_job, silent_job) else set())
    assert await look(rt) - also == {MAKERS[make]}
    woken = events()
    async with waking(rt, woken), asyncio.timeout(60):
        await woken[MAKERS[make]].wait()


async def test_what_is_due_later_wakes_nothing_and_is_looked_for_soon(committing_rt: Runtime) -> None:
    rt = committing_rt
    tenant = await driving.new_tenant(rt)
    for make in (due_job, due_delivery, due_task):
        await make(rt, tenant)
    for table in (Job, WebhookDelivery, BackgroundTask):
        await rt.execute(update(table).values(next_attempt_at=LATER))
    await due_object(rt, tenant)
    await rt.execute(update(UnownedObject).values(delete_at=LATER))
    assert await look(rt) == {"unfinished"}


@pytest.mark.parametrize(("make", "loop"), [(due_job, "send"), (due_delivery, "deliver"), (due_task, "work")])
async def test_a_notification_wakes_its_loop_at_once(
    committing_rt: Runtime,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Runtime, str], Awaitable[None]],
    loop: str,
) -> None:
    monkeypatch.setattr(alarm, "REST_SECONDS", 3600)
    rt, woken = committing_rt, events()
    tenant = await driving.new_tenant(rt)
    async with waking(rt, woken), asyncio.timeout(60):
        await sleeping(rt)
        await make(rt, tenant)
        await woken[loop].wait()


async def test_without_a_notification_it_is_found_in_the_next_look(
    committing_rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarm, "REST_SECONDS", 0.05)
    monkeypatch.setattr(alarm, "CHANNELS", {})
    rt, woken = committing_rt, events()
    tenant = await driving.new_tenant(rt)
    async with waking(rt, woken), asyncio.timeout(60):
        await sleeping(rt)
        await due_job(rt, tenant)
        await woken["send"].wait()


async def test_a_cut_connection_wakes_all_loops_and_is_replaced(
    committing_rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarm, "REST_SECONDS", 3600)
    rt, woken = committing_rt, events()
    tenant = await driving.new_tenant(rt)
    async with waking(rt, woken), asyncio.timeout(60):
        await sleeping(rt)
        async with rt.transaction() as session:
            await session.execute(select(func.pg_terminate_backend(text("pid"))).select_from(text(_WATCHERS)))
        for each in woken.values():
            await each.wait()
            each.clear()
        await sleeping(rt)
        await due_job(rt, tenant)
        await woken["send"].wait()


_WATCHERS = "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%AS send%'"


async def sleeping(rt: Runtime) -> None:
    """Until the alarm has looked and rests."""
    async with asyncio.timeout(60):
        while True:
            async with rt.sessions() as session:
                count = text(f"SELECT count(*) FROM {_WATCHERS} AND state = 'idle'")
                if await session.scalar(count):
                    return
            await asyncio.sleep(0.01)
