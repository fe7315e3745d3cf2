"""What is in the store, and which rows name it."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select, true, update

from footnote.database import leases
from footnote.database.clock import from_now
from footnote.documents import objects
from footnote.models import Artifact, File, PagePicture, UnownedObject, Version
from footnote.runtime import Runtime
from footnote.storage import LocalStore


async def set_unowned(rt: Runtime, key: str | None = None, **values: Any) -> None:
    """Changes columns of an unowned object, or of all: for instance, to let time pass."""
    which = UnownedObject.key == key if key else true()
    if not key:
        rt.spare_keys.clear()
    async with rt.transaction() as session:
        await session.execute(update(UnownedObject).where(which).values(**values))


def hold_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases are renewed every 20 ms."""
    held = leases.held
    monkeypatch.setattr(leases, "held", lambda rt, renewal, _seconds, **given: held(rt, renewal, 0.02, **given))


async def given_more_time(rt: Runtime, key: str) -> None:
    """Lets the time of an unowned object run out, and waits until it gets more."""
    await set_unowned(rt, key, delete_at=from_now(-1))
    over = select(UnownedObject.key).where(UnownedObject.key == key, UnownedObject.delete_at < func.now())
    async with rt.sessions() as session, asyncio.timeout(30):
        while await session.scalar(over):
            await asyncio.sleep(0.01)


async def in_store(rt: Runtime) -> set[str]:
    """The keys of all objects, and those of unfinished ones with `.part` behind them."""
    assert isinstance(rt.store, LocalStore)
    directory = rt.store.directory
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


async def settled(rt: Runtime) -> set[str]:
    """What remains in the store after the sweep of all unowned objects."""
    await set_unowned(rt, delete_at=func.now())
    while await objects.sweep(rt):
        pass
    return await in_store(rt)


async def named(rt: Runtime) -> set[str]:
    """The keys that versions, files, artifacts and page images name."""
    columns = [Version.object_key, File.object_key, Artifact.key, PagePicture.key]
    async with rt.sessions() as session:
        return {key for column in columns for key in await session.scalars(select(column)) if key}
