"""What is in the store, and whose it is."""

from typing import Any

from sqlalchemy import func, select, true, update

from footnote import objects
from footnote.models import Artifact, UnownedObject, Version
from footnote.runtime import Runtime


async def set_unowned(rt: Runtime, key: str | None = None, **values: Any) -> None:
    """Makes time pass for an unowned object, or for all of them."""
    which = UnownedObject.key == key if key else true()
    async with rt.transaction() as session:
        await session.execute(update(UnownedObject).where(which).values(**values))


async def in_store(rt: Runtime) -> set[str]:
    """The keys of all objects, and those of unfinished ones with `.part` behind them."""
    return {key for folder in ("objects", "artifacts") async for key in rt.store.keys(folder)}


async def settled(rt: Runtime) -> set[str]:
    """What stays in the store when the time of everything that nobody owns is over."""
    await set_unowned(rt, delete_at=func.now())
    while await objects.sweep(rt):
        pass
    return await in_store(rt)


async def named(rt: Runtime) -> set[str]:
    """The keys that versions name."""
    async with rt.sessions() as session:
        keys = [*await session.scalars(select(Version.object_key)), *await session.scalars(select(Artifact.key))]
    return {key for key in keys if key}
