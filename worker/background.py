"""`python -m worker.background`: one process for the loops beside the workers.

It dispatches jobs, delivers webhooks, works on background tasks and does the chores. Several may run.
"""

import asyncio
import signal

from footnote.database.redis_address import connected
from footnote.queue import make_app
from footnote.runtime import open_runtime
from footnote.settings import Settings
from footnote.telemetry import configure_logging
from worker import alarm
from worker.background_tasks import BackgroundTasks
from worker.deliveries import Deliveries
from worker.dispatcher import Dispatcher
from worker.housekeeping import Housekeeping

POOL_SIZE = 8  # connections to Postgres


async def main(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT."""
    configure_logging(settings)
    app = make_app(settings)
    assert settings.redis_url
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    redis = connected(settings.redis_url, seconds=5)
    async with open_runtime(settings, pool_size=POOL_SIZE) as rt:
        dispatcher, housekeeping = Dispatcher(rt, app, redis), Housekeeping(rt)
        deliveries, background_tasks = Deliveries(rt), BackgroundTasks(rt)
        woken = dispatcher.woken_for | housekeeping.woken_for
        woken |= {"deliver": deliveries.woken, "work": background_tasks.woken}
        runs = (dispatcher.run(), deliveries.run(), background_tasks.run(), housekeeping.run())
        works = (*runs, alarm.watch(settings, woken))
        loops = [asyncio.create_task(each) for each in works]
        stopped = asyncio.create_task(stop.wait())
        # A loop that ends by itself is a bug: end the process, so that its supervisor starts a new one.
        await asyncio.wait([*loops, stopped], return_when=asyncio.FIRST_COMPLETED)
        for loop_task in loops:
            loop_task.cancel()
        results = await asyncio.gather(*loops, return_exceptions=True)
        await redis.aclose()
    for result in results:
        if isinstance(result, Exception):
            raise result


if __name__ == "__main__":
    asyncio.run(main(Settings()))
