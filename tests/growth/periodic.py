"""What runs again and again, or lists something, by name: what it reads does not depend on how much there is."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import httpx2

from footnote.database.driver import driver
from footnote.operations import gauges
from footnote.queue import make_app
from footnote.runtime import Runtime
from footnote.tenancy import quotas
from tests.growth.metering import Meter, Reading
from worker import alarm, background_tasks, housekeeping
from worker.deliveries import Deliveries
from worker.dispatcher import Dispatcher

Periodic = Mapping[tuple[str, str], Reading]

MOST_TIMES = 1.5  # the blocks that a statement may read with ten times the rows
DEEPER = 16  # blocks beside that: an index has a level more, the planner looks at its end
LISTS = ("documents?limit=50", "documents?status=ready&limit=50", "collections", "jobs?limit=50", "summary")
# By what is done, a part of the statement, and why it may read more.
MAY_GROW = {
    ("chore _purge", "DELETE FROM cached_answer"): "it deletes what is too old, which there is more of",
    ("list collections", "differing AS"): "of the uploads that wait it looks at 200, by another plan",
}


class Silent(Dispatcher):
    """Sends nothing: it would be worked on elsewhere."""

    def _send(self, *_: object) -> None:
        pass


def named(rt: Runtime, client: httpx2.AsyncClient, tenant_id: str) -> Mapping[str, Callable[[], Awaitable[object]]]:
    """Everything that is periodic, and the lists that people look at all the time."""
    assert rt.redis is not None
    dispatcher = Silent(rt, make_app(rt.settings), rt.redis)
    chores = {f"chore {each.__name__}": partial(each, rt) for each in _chores()}
    lists = {f"list {each}": partial(_get, client, f"/v1/{each}") for each in LISTS}
    return {
        "alarm": partial(_look, rt),
        "dispatcher refill": dispatcher.refill,
        "dispatcher requeue": dispatcher.requeue_expired,
        "deliveries": Deliveries(rt)._start_due,
        "background tasks": partial(background_tasks.run_next, rt.operator),
        "room under a quota": partial(_room, rt.for_tenant(tenant_id)),
        "metrics": partial(gauges.read, rt),
        **chores,
        **lists,
    }


def _chores() -> list[housekeeping.Chore]:
    return [*housekeeping.WHEN_WOKEN.values(), *housekeeping.EVERY]


async def _get(client: httpx2.AsyncClient, address: str) -> None:
    (await client.get(address)).raise_for_status()


async def _look(rt: Runtime) -> None:
    async with rt.transaction() as session:
        await (await driver(session)).fetchrow(alarm._LOOK)


async def _room(rt: Runtime) -> None:
    async with rt.transaction() as session:
        await quotas.check_room(session, rt.settings, {"documents": "1000000", "bytes": "1e12"})


async def measured(rt: Runtime, client: httpx2.AsyncClient, tenant_id: str, meter: Meter) -> Periodic:
    """Of each statement, by what it was run for, the time that it read most."""
    for name, run in named(rt, client, tenant_id).items():
        with meter.of(name):
            await run()
    readings, meter.readings = meter.readings, []
    most: dict[tuple[str, str], Reading] = {}
    for each in sorted(readings, key=lambda reading: reading.blocks):
        most[each.what, each.sql] = each
    return most


def grown(small: Periodic, large: Periodic) -> list[str]:
    """The statements that read more with ten times the rows."""
    return [
        f"{small[key].blocks} -> {each}"
        for key, each in large.items()
        if key in small and each.blocks > MOST_TIMES * small[key].blocks + DEEPER and not _may_grow(each)
    ]


def _may_grow(reading: Reading) -> bool:
    return any(reading.what == what and part in reading.sql for what, part in MAY_GROW)
