"""`python -m worker.background`: one process for the loops beside the workers.

It dispatches jobs, delivers webhooks, works on background tasks and does the chores. Several may run.
"""

import asyncio
import signal
from collections.abc import Mapping

import asyncpg
from redis.asyncio import Redis

from footnote import jobs, webhooks
from footnote.database.engine import connect
from footnote.errors import DatabaseAway
from footnote.jobs import tasks
from footnote.queue import make_app
from footnote.runtime import open_runtime
from footnote.settings import Settings
from footnote.telemetry import configure_logging, log
from worker.background_tasks import BackgroundTasks
from worker.deliveries import Deliveries
from worker.dispatcher import Dispatcher
from worker.housekeeping import keep_house

POOL_SIZE = 8  # connections to Postgres


async def listen(settings: Settings, woken: Mapping[str, asyncio.Event]) -> None:
    """Sets the event of a channel that is notified. A connection of its own: pools do not pass notifications on."""
    while True:
        try:
            connection = await connect(settings)
            try:
                closed = asyncio.Event()
                connection.add_termination_listener(lambda *_, closed=closed: closed.set())
                for channel in woken:
                    await connection.add_listener(channel, lambda _connection, _pid, name, _payload: woken[name].set())
                    woken[channel].set()
                await closed.wait()
            finally:
                connection.terminate()
        except (DatabaseAway, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("not listening, only polling", error=f"{type(error).__name__}: {error}"[:200])
        await asyncio.sleep(1)


async def main(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT."""
    configure_logging(settings)
    app = make_app(settings)
    assert settings.redis_url
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    redis = Redis.from_url(settings.redis_url, socket_timeout=5, socket_connect_timeout=5)
    async with open_runtime(settings, pool_size=POOL_SIZE) as rt:
        dispatcher, deliveries, background_tasks = Dispatcher(rt, app, redis), Deliveries(rt), BackgroundTasks(rt)
        woken = {
            jobs.CHANNEL: dispatcher.woken,
            webhooks.CHANNEL: deliveries.woken,
            tasks.CHANNEL: background_tasks.woken,
        }
        works = (dispatcher.run(), deliveries.run(), background_tasks.run(), listen(settings, woken), keep_house(rt))
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
