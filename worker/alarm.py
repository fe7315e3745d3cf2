"""Wakes the loops of `worker.background`, which sleep while nothing is due.

A loop is woken when Postgres notifies its channel, and when one statement finds that something is due for it. That
runs twice a second while anything is unfinished, but for tasks that wait for longer, and otherwise when there was a
notification, or every five seconds: a lost notification delays nothing for longer. Behind a pooler there are no
notifications, and the statement always runs twice a second. Without a connection all loops are woken twice a second.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import NoReturn

import asyncpg

from footnote import jobs, webhooks
from footnote.database.engine import connect
from footnote.database.opening import OpeningConnection
from footnote.errors import DatabaseUnavailable
from footnote.jobs import tasks
from footnote.settings import Settings
from footnote.telemetry import log

TICK_SECONDS = 0.5
REST_SECONDS = 5.0
ANSWER_SECONDS = 5.0  # in which Postgres answers the statement, or counts as away
CHANNELS = {jobs.CHANNEL: "send", webhooks.CHANNEL: "deliver", tasks.CHANNEL: "work"}

# A column for each loop: whether something is due for it. The first row is asked for in the order of an index: for any
# row, Postgres may read a table from its beginning, past all that is finished.
_FIRST = "(SELECT {when} FROM {table} WHERE {which} ORDER BY {order} LIMIT 1)"
_WAITING, _RUNNING, _PENDING = "state IN ('queued', 'waiting')", "state = 'running'", "state = 'pending'"
_LINE = "lane, next_attempt_at"  # as webhooks are indexed


def _first(table: str, which: str, when: str, order: str = "") -> str:
    return _FIRST.format(table=table, which=which, when=when, order=order or when)


_LOOK = f"""
    SELECT coalesce(job <= now(), false) OR coalesce(batch <= now(), false) AS send,
           coalesce(job_lease < now(), false) OR coalesce(batch_lease < now(), false) AS take_back,
           delivery_due IS NOT NULL AS deliver,
           coalesce(task <= now(), false) OR coalesce(task_lease < now(), false) AS work,
           coalesce(object <= now(), false) AS sweep,
           EXISTS (SELECT FROM collection WHERE review_after IS NOT NULL AND deleted_at IS NULL) AS review,
           coalesce(job <= now(), false) OR job_lease IS NOT NULL AS ingesting,
           coalesce(job, batch, job_lease, batch_lease, task_lease) IS NOT NULL OR delivery IS NOT NULL
           OR coalesce(task < now() + interval '5 seconds', false) AS unfinished
    FROM (
        SELECT {_first("job", _WAITING, "next_attempt_at")} AS job,
               {_first("job", _RUNNING, "lease_until")} AS job_lease,
               {_first("query_batch", _WAITING, "next_attempt_at")} AS batch,
               {_first("query_batch", _RUNNING, "lease_until")} AS batch_lease,
               {_first("background_task", _WAITING, "next_attempt_at")} AS task,
               {_first("background_task", _RUNNING, "lease_until")} AS task_lease,
               {_first("webhook_delivery", _PENDING, "lane", _LINE)} AS delivery,
               {_first("webhook_delivery", _PENDING + " AND next_attempt_at <= now()", "lane", _LINE)} AS delivery_due,
               {_first("unowned_object", "true", "delete_at")} AS object
        OFFSET 0
    ) AS first
"""  # noqa: S608  constants


async def watch(settings: Settings, woken: Mapping[str, asyncio.Event]) -> NoReturn:
    """Sets the events of the loops, by the columns of the statement, until cancelled.

    It has a connection of its own: pools do not pass notifications on.
    """
    while True:
        try:
            connection = await connect(settings, shared=True, statement_seconds=ANSWER_SECONDS)
            try:
                await _watch(connection, woken)
            finally:
                connection.terminate()
        except (DatabaseUnavailable, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("no notifications, polling only", error=f"{type(error).__name__}: {error}"[:200])
        for each in woken.values():
            each.set()
        await asyncio.sleep(TICK_SECONDS)


async def _watch(connection: "OpeningConnection", woken: Mapping[str, asyncio.Event]) -> NoReturn:
    stirred = asyncio.Event()

    def notified(_connection: object, _pid: int, channel: str, _payload: object) -> None:
        stirred.set()
        if loop := woken.get(CHANNELS[channel]):
            loop.set()

    connection.add_termination_listener(lambda _: stirred.set())  # the next look then fails at once
    for channel in CHANNELS if connection.alone else ():
        await connection.add_listener(channel, notified)
    while True:
        found = await connection.fetchrow(_LOOK)
        for name, loop in woken.items():
            if found[name]:
                loop.set()
        if any(found.values()) or not connection.alone:
            await asyncio.sleep(TICK_SECONDS)
            continue
        with suppress(TimeoutError):
            async with asyncio.timeout(REST_SECONDS):
                await stirred.wait()
        stirred.clear()
