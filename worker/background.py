"""`python -m worker.background`: one process for the background loops.

It dispatches jobs, delivers webhooks, works on background tasks and does the chores. Several may run.
"""

import asyncio
import signal
from functools import partial

from footnote.database.redis_address import connected
from footnote.operations import gauges
from footnote.queue import make_app
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings
from footnote.telemetry import configure_logging, traces
from footnote.telemetry.exposition import exposition
from footnote.telemetry.listening import listen
from worker import alarm
from worker.background_tasks import BackgroundTasks
from worker.deliveries import Deliveries
from worker.dispatcher import Dispatcher
from worker.housekeeping import Housekeeping

POOL_SIZE = 8  # connections to Postgres
METRICS_SECONDS = 10.0  # in which the metrics are read, which Prometheus waits for as long by default


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
        listen(settings, partial(_metrics, rt, loop))
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


def _metrics(rt: Runtime, loop: asyncio.AbstractEventLoop) -> str:
    """In the thread that serves them; what Postgres and Redis say is read on the loop."""
    return exposition(asyncio.run_coroutine_threadsafe(gauges.read(rt), loop).result(METRICS_SECONDS))


if __name__ == "__main__":
    given = Settings()
    with traces.exporting("dispatcher", given):
        asyncio.run(main(given))
