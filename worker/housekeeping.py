"""What must be tidied up now and then; beside the dispatcher, in as many processes as there are."""

import asyncio

from footnote import idempotency, objects
from footnote.errors import DatabaseAway
from footnote.runtime import Runtime
from footnote.telemetry import log

SWEEP_SECONDS = 1.0
PURGE_SECONDS = 3600.0


async def keep_house(rt: Runtime) -> None:
    """Until cancelled: deletes objects that nobody owns any more, and idempotency keys of yesterday."""
    clock = asyncio.get_running_loop().time
    purged = -PURGE_SECONDS
    while True:
        try:
            while await objects.sweep(rt):
                pass
            if clock() - purged > PURGE_SECONDS:
                async with rt.transaction() as session:
                    await idempotency.purge(session)
                purged = clock()
        except DatabaseAway:
            log.debug("housekeeping waits for Postgres")
        await asyncio.sleep(SWEEP_SECONDS)
