"""Recurring chores run beside the work, and go on after an outage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.clock import from_now
from footnote.documents import deletion, idempotency
from footnote.errors import DatabaseUnavailable
from footnote.models import IdempotencyKey
from footnote.runtime import Runtime
from tests import driving
from tests.stored import in_store, named
from tests.waking import waking
from worker import housekeeping

pytestmark = pytest.mark.anyio


async def test_unowned_objects_and_keys_of_yesterday_go_though_postgres_was_away(
    committing_rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "AWAY_SECONDS", 0.01)
    rt = committing_rt
    tenant = await driving.new_tenant(rt)
    kept = await driving.ready(rt, tenant, "Kept.")
    await deletion.remove(rt.for_tenant(tenant), await driving.ready(rt, tenant, "Gone."))
    for key, age in (("old", -24 * 3600 - 1), ("young", -60)):
        async with rt.for_tenant(tenant).transaction() as session:
            await idempotency._take(session, key)
        await rt.execute(update(IdempotencyKey).where(IdempotencyKey.key == key).values(created_at=from_now(age)))
    outage = [None] * 5

    class Flaky(Runtime):
        @asynccontextmanager
        async def transaction(self, **settings: str) -> AsyncIterator[AsyncSession]:
            if outage:
                outage.pop()
                raise DatabaseUnavailable
            async with super().transaction(**settings) as session:
                yield session

    async def tidied() -> bool:
        async with rt.sessions() as session:
            keys = (await session.scalars(select(IdempotencyKey.key))).all()
        return keys == ["young"] and await in_store(rt) == await named(rt)

    house = housekeeping.Housekeeping(Flaky(**vars(rt)))
    keeping = asyncio.create_task(house.run())
    try:
        async with waking(rt, house.woken_for), asyncio.timeout(60):
            while not await tidied():
                await asyncio.sleep(0.02)
    finally:
        keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    assert outage == []
    assert len(await driving.chunks_of(rt, kept)) == 1


async def test_what_fails_or_hangs_holds_up_nothing_else_and_is_tried_again(
    rt: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(housekeeping, "FAILED_SECONDS", 0.01)
    failed, purged, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    begun: list[str] = []

    async def hang(_rt: Runtime) -> None:
        begun.append("sweep")
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def fail(_rt: Runtime) -> None:
        begun.append("review")
        house.woken_for["review"].set()
        if begun.count("review") == 3:
            failed.set()
        raise RuntimeError("a bug")

    async def purge(_rt: Runtime) -> None:
        purged.set()

    monkeypatch.setattr(housekeeping, "WHEN_WOKEN", {"sweep": hang, "review": fail})
    monkeypatch.setattr(housekeeping, "EVERY", {purge: 3600.0})
    house = housekeeping.Housekeeping(rt)
    for woken in house.woken_for.values():
        woken.set()
    keeping = asyncio.create_task(house.run())
    async with asyncio.timeout(60):
        await failed.wait()
        await purged.wait()
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    assert ended.is_set()
    assert begun.count("sweep") == 1
    assert "housekeeping failed" in caplog.text


async def test_vector_indexes_are_looked_at_again_soon_when_documents_come(
    rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[None] = []
    looked = asyncio.Event()

    async def look(_rt: Runtime) -> bool:
        looks.append(None)
        looked.set()
        return False

    monkeypatch.setattr(housekeeping, "SOON_SECONDS", 0.01)
    monkeypatch.setattr(housekeeping, "WHEN_WOKEN", {})
    monkeypatch.setattr(housekeeping, "EVERY", {look: 3600.0})
    monkeypatch.setattr(housekeeping, "SOONER", {look: "ingesting"})
    house = housekeeping.Housekeeping(rt)
    keeping = asyncio.create_task(house.run())
    try:
        for expected in (1, 2):
            async with asyncio.timeout(60):
                await looked.wait()
            assert len(looks) == expected
            looked.clear()
            house.woken_for["ingesting"].set()
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})
