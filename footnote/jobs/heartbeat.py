"""Renewing a claim's lease while a step works."""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from footnote import jobs
from footnote.database.leases import LeaseLost
from footnote.errors import DatabaseUnavailable
from footnote.jobs import Claim, scheduling
from footnote.runtime import Runtime
from footnote.telemetry import log, traces
from footnote.telemetry.metrics import steps_seconds, steps_total

TICK_SECONDS = 1.0  # how often progress is written, when there is any


class Yielded(Exception):
    """The step was given back at a point from which it will be resumed."""


@dataclass
class Heartbeat:
    """Renews a claim's lease and writes its progress while a step works."""

    rt: Runtime
    claim: Claim
    done: int = 0
    total: int | None = None
    counts: Counter[str] = field(default_factory=Counter)  # of the step, stored at checkpoints
    lost: bool = False
    unstored: str | None = None  # an earlier step whose output is in memory only
    _task: asyncio.Task[None] | None = field(default=None)
    _first: asyncio.TimerHandle | None = field(default=None)
    _begun: float = field(default_factory=monotonic)
    _run_began: float = field(default_factory=monotonic)  # when this run of the step began, for the metrics

    def __post_init__(self) -> None:
        self.begin_span()

    def begin_span(self) -> None:
        """A run of the claimed step begins in this task."""
        above, job_id, document_id = self.claim.traceparent or "", self.claim.job_id, self.claim.document_id
        self._span = traces.begin(self.claim.step, above, job_id=job_id, document_id=document_id)

    def over(self, outcome: str) -> None:
        """Counts a run of a step that ends here."""
        traces.end(self._span, failed=outcome in ("failed", "lost"), outcome=outcome)
        now, step, lane = monotonic(), self.claim.step, "large" if self.claim.large else "small"
        steps_seconds.labels(step, lane).observe(now - self._run_began)
        steps_total.labels(step, lane, outcome).inc()
        self._run_began = now

    def start(self, work: "asyncio.Task[Any]") -> None:
        """The first beat comes after a tick: a step that ends before costs nothing."""
        self._first = asyncio.get_running_loop().call_later(self._tick, self._begin, work)

    def _begin(self, work: "asyncio.Task[Any]") -> None:
        self._task = asyncio.create_task(self._beat(work))

    @property
    def _tick(self) -> float:
        return min(TICK_SECONDS, self.rt.settings.heartbeat_seconds)

    async def stop(self) -> None:
        """Called before the final transaction, which locks the job's row and so needs no more beats."""
        if self._first:
            self._first.cancel()
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _beat(self, work: "asyncio.Task[Any]") -> None:
        clock = asyncio.get_running_loop().time
        renewed, written = clock() - self._tick, 0
        while not self.lost:
            if self.done != written or clock() - renewed >= self.rt.settings.heartbeat_seconds:
                try:
                    await self.renew()
                    renewed, written = clock(), self.done
                except LeaseLost:
                    self.lost = True
                except DatabaseUnavailable:
                    # The lease may still be ours when Postgres is back; past its end it surely is not.
                    self.lost = clock() - renewed > self.rt.settings.lease_seconds
                except Exception as error:
                    # Work without a heartbeat would be done twice.
                    log.error("heartbeat failed", job_id=self.claim.job_id, exc_info=error)
                    self.lost = True
            await asyncio.sleep(0 if self.lost else self._tick)
        work.cancel()

    async def renew(self) -> None:
        async with self.rt.transaction() as session:
            await jobs.renew(session, self.claim, self.rt.settings.lease_seconds, self.done, self.total)

    async def checkpoint(self, session: AsyncSession) -> None:
        """Call it in the transaction that stores work which will not be repeated. Raises LeaseLost."""
        lease = self.rt.settings.lease_seconds
        await jobs.checkpoint(session, self.claim, lease, self.done, self.total, dict(self.counts))

    @property
    def time_is_up(self) -> bool:
        """Whether the step should stop at its next checkpoint: it took long, or the process ends."""
        return monotonic() - self._begun >= self.rt.settings.yield_seconds or self.rt.stopping.is_set()

    def restart_clock(self) -> None:
        """Starts the time after which the step yields; the time to find the point of resumption does not count."""
        self._begun = monotonic()

    async def yield_to_others(self) -> None:
        """Called where a step can be resumed later.

        Raises Yielded if its time is up and others wait, or if the process should end.
        """
        if not self.time_is_up:
            return
        stopping = self.rt.stopping.is_set()
        async with self.rt.operator.transaction() as session:  # the others may be other tenants'
            await jobs.renew(session, self.claim, self.rt.settings.lease_seconds, self.done, self.total)
            over = stopping or await scheduling.others_wait(session, self.claim.job_id)
            if over:
                await jobs.release(session, self.claim)
        if over:
            raise Yielded
