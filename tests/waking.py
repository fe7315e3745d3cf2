"""The alarm that wakes the loops of `worker.background`, in a test."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from footnote.runtime import Runtime
from worker import alarm


@asynccontextmanager
async def waking(rt: Runtime, woken: Mapping[str, asyncio.Event]) -> AsyncIterator[None]:
    watching = asyncio.create_task(alarm.watch(rt.settings, woken))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
