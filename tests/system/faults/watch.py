"""Looks at the jobs in Postgres twice a second: does one stall, and when do interrupted jobs continue?"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import asyncpg

from footnote.database.engine import database_dsn
from footnote.documents.idempotency import HELD_SECONDS
from tests.system.faults.load import Request
from tests.system.faults.stack import LEASE, Stack

LOOK_SECONDS = 0.5
REAP_SECONDS = 2.0  # a lease that ended is taken back within this
RESTART_SECONDS = 3.0  # until a new dispatcher, or one whose database is back, requeues again
GOES_ON_SECONDS = LEASE + 10
STUCK_SECONDS = 100.0  # longer than anything waits: a webhook whose sender died is sent again after a minute
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # raised by a connection that is cut off at an odd moment
)
UNFINISHED = """
    SELECT id, state, step, token, dispatched_at IS NOT NULL AS sent, next_attempt_at IS NOT NULL AS planned,
           extract(epoch FROM lease_until)::float8 AS lease, extract(epoch FROM now() - lease_until)::float8 AS overdue
    FROM job WHERE state IN ('queued', 'running', 'waiting')
"""


@dataclass(frozen=True)
class Seen:
    """An unfinished job at one look."""

    state: str
    step: str
    token: int
    sent: bool
    planned: bool
    lease: float | None
    overdue: float | None

    @property
    def stands_still(self) -> bool:
        """Neither in live hands nor with a time when it will be."""
        return (self.overdue is None or self.overdue > REAP_SECONDS) if self.state == "running" else not self.planned


@dataclass
class Fault:
    """What was done to whom, and what followed. Times are monotonic."""

    kind: str
    target: str  # api, worker, dispatcher, redis, postgres or pooler
    pid: int
    at: float
    back: float | None = None  # when the target serves again; for a worker, whose work others may do, `at`
    hit: dict[str, Seen] = field(default_factory=dict)  # jobs that were in its hands and have not gone on yet
    recovery: list[float] = field(default_factory=list)  # seconds until they went on

    def covers(self, start: float, end: float) -> bool:
        return self.at <= end and (self.back is None or self.back >= start)

    def is_over_for(self, job_id: str, now: Seen | None) -> bool:
        """Whether the job has ended or moved on, or is worked on: by another than the worker that was hit."""
        then = self.hit[job_id]
        if now is None or now.step != then.step:
            return True
        same_hands = self.target != "worker" and (now.lease or 0) > (then.lease or 0)
        return now.state == "running" and (now.token > then.token or same_hands)


class Watch:
    """Looks while the block runs."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.faults: list[Fault] = []
        self.stalls: list[str] = []
        self.latest: dict[str, Seen] = {}
        self._connection: Any = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._looking = asyncio.create_task(self._look_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._looking.cancel()
        with suppress(asyncio.CancelledError):
            await self._looking
        self._disconnect()

    async def rows(self, query: str, *values: Any) -> list[Any] | None:
        """None while Postgres is away."""
        async with self._turn:
            try:
                if self._connection is None or self._connection.is_closed():
                    dsn = database_dsn(self.stack.database_url)
                    self._connection = await asyncpg.connect(dsn, timeout=2, command_timeout=5)
                return list(await self._connection.fetch(query, *values))
            except AWAY:
                self._disconnect()
                return None

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _look_on(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        rows = await self.rows(UNFINISHED)
        if rows is None:
            return
        now = time.monotonic()
        self.latest = {row["id"]: Seen(*list(row)[1:]) for row in rows}
        for fault in self.faults:
            self._note_recovery(fault, now)
        recovering = [each for each in self.faults if each.target in ("postgres", "pooler", "dispatcher")]
        if not any(each.covers(now - RESTART_SECONDS, now) for each in recovering):
            self.stalls += [f"{job_id}: {seen}" for job_id, seen in self.latest.items() if seen.stands_still]

    def _note_recovery(self, fault: Fault, now: float) -> None:
        """The clock starts when the last of the faults that came meanwhile is over, too."""
        if fault.back is None:
            return
        meanwhile = [each for each in self.faults if fault.at <= each.at and each.target != "api"]
        since = max(now if each.back is None else each.back for each in [fault, *meanwhile])
        for job_id in [each for each in fault.hit if fault.is_over_for(each, self.latest.get(each))]:
            fault.recovery.append(max(0.0, now - since))
            del fault.hit[job_id]

    async def until_ended(self) -> float:
        """Waits until every job has ended and every webhook was delivered. Returns how many seconds the jobs took."""
        started = time.monotonic()
        await self._until_none(UNFINISHED, "jobs")
        took = time.monotonic() - started
        await self._until_none("SELECT id, state FROM webhook_delivery WHERE state = 'pending'", "webhooks")
        return took

    async def _until_none(self, query: str, what: str) -> None:
        """AssertionError once nothing changes any more: a slow machine may take its time."""
        left, since = -1, time.monotonic()
        while left != 0:
            rows = await self.rows(query)
            if rows is not None and len(rows) != left:
                left, since = len(rows), time.monotonic()
            assert time.monotonic() - since < STUCK_SECONDS, f"{left} {what} left, and none ends: {(rows or [])[:3]}"
            await asyncio.sleep(LOOK_SECONDS)

    def excused(self, request: Request) -> bool:
        """Whether the API itself or Postgres was away during the request: then it need not succeed.

        A request that was cut off then may hold its Idempotency-Key a while longer.
        """
        started = request.started - (HELD_SECONDS if "request_in_flight" in request.problem else 0)
        away = (each for each in self.faults if each.target in ("api", "postgres", "pooler"))
        return any(each.covers(started, request.ended) for each in away)
