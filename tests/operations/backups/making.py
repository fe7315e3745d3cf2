"""Backups that tests make, and what the store holds."""

import asyncio
from pathlib import Path

from footnote.operations.backups.folders import Backup
from footnote.operations.backups.taking import back_up
from footnote.runtime import Runtime


async def stored(rt: Runtime) -> set[str]:
    return {key async for key in rt.store.keys("objects")}


async def another(rt: Runtime, directory: Path) -> Backup:
    await asyncio.sleep(1.1)  # they are named by the second
    return await back_up(rt.settings, directory)
