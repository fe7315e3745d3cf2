"""Looks at the jobs in Postgres twice a second: does anything stand still, and when does what was hit go on?"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import asyncpg

from footnote.runtime import database_dsn
from scripts.faults.load import Request
from scripts.faults.stack import LEASE, Stack, until

LOOK_SECONDS = 0.5
REAP_SLACK_SECONDS = 2.0  # a lease that ended is taken back within this
GOES_ON_SECONDS = LEASE + 10
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a connection cut off at the wrong moment raises
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

    def went_on(self, later: "Seen | None") -> bool:
        """Whether it was worked on between the two looks, or has ended."""
        if later is None or later.step != self.step:
            return True
        renewed = (later.token, later.lease or 0) > (self.token, self.lease or 0)
        return later.state == "running" and renewed


@dataclass
class Fault:
    """What was done to whom, and what followed. Times are monotonic."""

    kind: str
    target: str  # api, worker, dispatcher, redis or postgres
    pid: int
    at: float
    back: float | None = None  # when the target serves again; for a worker, whose work others may do, `at`
    hit: dict[str, Seen] = field(default_factory=dict)  # jobs that were in its hands and have not gone on yet
    recovery: list[float] = field(default_factory=list)  # seconds until they went on

    def covers(self, start: float, end: float) -> bool:
        return self.at <= end and (self.back is None or self.back >= start)


class Watch:
    """Runs beside the load while the block runs."""

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
        self.disconnect()

    async def rows(self, query: str, *values: Any) -> list[Any] | None:
        """None while Postgres is away."""
        async with self._turn:
            try:
                if self._connection is None or self._connection.is_closed():
                    dsn = database_dsn(self.stack.database_url)
                    self._connection = await asyncpg.connect(dsn, timeout=2, command_timeout=5)
                return list(await self._connection.fetch(query, *values))
            except AWAY:
                self.disconnect()
                return None

    def disconnect(self) -> None:
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
        self.latest = {row["id"]: Seen(*list(row)[1:]) for row in rows}
        now = time.monotonic()
        for fault in self.faults:
            self._note_recovery(fault, now)
        if not any(each.target in ("postgres", "dispatcher") and each.covers(now - 3, now) for each in self.faults):
            self.stalls += [f"{job_id}: {seen}" for job_id, seen in self.latest.items() if stands_still(seen)]

    def _note_recovery(self, fault: Fault, now: float) -> None:
        """The clock starts when the last of the faults that came meanwhile is over, too."""
        if fault.back is None:
            return
        meanwhile = [each for each in self.faults if fault.at <= each.at and each.target != "api"]
        since = max(now if each.back is None else each.back for each in [fault, *meanwhile])
        for job_id, seen in list(fault.hit.items()):
            if seen.went_on(self.latest.get(job_id)):
                fault.recovery.append(max(0.0, now - since))
                del fault.hit[job_id]

    async def until_ended(self, seconds: float) -> float:
        """Waits for every job to end and every webhook to be told; how long the jobs took."""
        started = time.monotonic()
        unfinished = "SELECT 1 FROM job WHERE state IN ('queued', 'running', 'waiting') LIMIT 1"
        await until(lambda: self._empty(unfinished), seconds, "every job ended")
        took = time.monotonic() - started
        pending = "SELECT 1 FROM webhook_delivery WHERE state = 'pending' LIMIT 1"
        await until(lambda: self._empty(pending), 100, "every webhook told")
        return took

    async def _empty(self, query: str) -> bool:
        return await self.rows(query) == []

    def excused(self, request: Request) -> bool:
        """Whether the API itself or Postgres was away during the request: then it need not succeed."""
        away = (each for each in self.faults if each.target in ("api", "postgres"))
        return any(each.covers(request.started, request.ended) for each in away)


def stands_still(seen: Seen) -> bool:
    """Neither in live hands nor with a time when it will be."""
    if seen.state == "running":
        return seen.overdue is None or seen.overdue > REAP_SLACK_SECONDS
    return not seen.planned
