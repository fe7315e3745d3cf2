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
from footnote.errors import DatabaseAway
from footnote.jobs import tasks
from footnote.settings import Settings
from footnote.telemetry import log

TICK_SECONDS = 0.5
REST_SECONDS = 5.0
ANSWER_SECONDS = 5.0  # in which Postgres answers the statement, or counts as away
CHANNELS = {jobs.CHANNEL: "send", webhooks.CHANNEL: "deliver", tasks.CHANNEL: "work"}

# A column for each loop: whether something is due for it. The cost does not grow with what is finished.
_LOOK = """
    SELECT
        EXISTS (SELECT FROM job WHERE state IN ('queued', 'waiting') AND next_attempt_at <= now())
        OR EXISTS (SELECT FROM query_batch WHERE state IN ('queued', 'waiting') AND next_attempt_at <= now())
            AS send,
        EXISTS (SELECT FROM job WHERE state = 'running' AND lease_until < now())
        OR EXISTS (SELECT FROM query_batch WHERE state = 'running' AND lease_until < now())
            AS take_back,
        EXISTS (SELECT FROM webhook_delivery WHERE state = 'pending' AND next_attempt_at <= now())
            AS deliver,
        EXISTS (SELECT FROM background_task WHERE state IN ('queued', 'waiting') AND next_attempt_at <= now())
        OR EXISTS (SELECT FROM background_task WHERE state = 'running' AND lease_until < now())
            AS work,
        EXISTS (SELECT FROM unowned_object WHERE delete_at <= now())
            AS sweep,
        EXISTS (SELECT FROM collection WHERE review_after IS NOT NULL AND deleted_at IS NULL)
            AS review,
        EXISTS (SELECT FROM job WHERE state IN ('queued', 'running', 'waiting'))
        OR EXISTS (SELECT FROM query_batch WHERE state IN ('queued', 'running', 'waiting'))
        OR EXISTS (SELECT FROM webhook_delivery WHERE state = 'pending')
        OR EXISTS (SELECT FROM background_task WHERE state = 'running')
        OR EXISTS (SELECT FROM background_task
                   WHERE state IN ('queued', 'waiting') AND next_attempt_at < now() + interval '5 seconds')
            AS unfinished
"""


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
        except (DatabaseAway, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("not listening, only polling", error=f"{type(error).__name__}: {error}"[:200])
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
