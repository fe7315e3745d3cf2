"""The loop that sends due jobs and batches to the workers, and takes them back from workers that stopped responding.

Several may run: one acts at a time, under an advisory lock. `worker.alarm` wakes it when a job is created, and twice a
second while a job that is due waits, in Postgres or in the broker, so that neither a lost notification nor a lost
message stops anything. What waits in the broker can no longer be overtaken, so few messages wait there, refilled often
while there are more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from celery import Celery
from redis.asyncio import Redis
from redis.exceptions import RedisError

from footnote import jobs
from footnote.answering import question_batches
from footnote.database import leases
from footnote.errors import DatabaseUnavailable
from footnote.jobs import Lane, recovery, scheduling
from footnote.jobs.scheduling import JobMessage
from footnote.models import Job, QueryBatch
from footnote.queue import start_batches, start_jobs
from footnote.runtime import Runtime
from footnote.telemetry import log
from footnote.telemetry.metrics import jobs_sent_total, jobs_taken_back_total, refills_total

PAUSE_SECONDS = 0.5  # after an error
REFILL_SECONDS = 0.1  # between two looks while more may wait than there is room for
EMPTY_SECONDS = 0.02  # the same if workers had emptied the lane before the look
LOST_SECONDS = 5.0  # with the broker's queue empty, a message unanswered for this long was lost
LOCK = 0x666F6F746E6F7465  # "footnote"


class Dispatcher:
    def __init__(self, rt: Runtime, app: Celery, redis: Redis) -> None:
        self.rt = rt
        self.app = app
        self.redis = redis
        self.woken = asyncio.Event()
        self.woken_for = {"send": self.woken, "take_back": asyncio.Event()}
        self.broker_run: str | None = None

    async def run(self) -> None:
        """Runs until cancelled. Waits while Postgres or Redis is unavailable. A hanging broker delays no recovery."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._requeueing())
            group.create_task(self._refilling())

    async def _requeueing(self) -> None:
        silent = self.woken_for["take_back"]
        while True:
            await silent.wait()
            silent.clear()
            await self._patiently(self.requeue_expired)

    async def _refilling(self) -> None:
        while True:
            await self.woken.wait()
            self.woken.clear()
            pause = await self._patiently(self.refill)
            if pause:
                await asyncio.sleep(pause)
                self.woken.set()

    async def _patiently(self, step: Callable[[], Awaitable[float | None]]) -> float | None:
        try:
            return await step()
        except (DatabaseUnavailable, RedisError) as error:
            log.warning("dispatcher waits", error=f"{type(error).__name__}: {error}"[:200])
            await asyncio.sleep(PAUSE_SECONDS)
            return None

    async def refill(self) -> float | None:
        """Sends due jobs as far as the lanes have room. Returns the seconds until the next look if a lane is full."""
        waiting = await self._broker()
        # A commit that a crash of Postgres loses only has messages sent again.
        async with self.rt.transaction(synchronous_commit="off") as session:
            found = await scheduling.read_in_flight(session, LOCK, self.rt.settings.resend_seconds)
            if found is None:
                return None
            if waiting[Lane.SMALL]:  # in jobs, of which a message may carry several
                waiting[Lane.SMALL] = max(waiting[Lane.SMALL], found.sent)
            room = {lane: self._room(lane, found.running[lane], waiting[lane]) for lane in Lane}
            due = {
                lane: await scheduling.take_due(session, lane, room[lane], self._resend_seconds(waiting[lane]))
                for lane in Lane
            }
            messages = {lane: await scheduling.in_messages(session, due[lane], self.rt.settings) for lane in Lane}
            again = self._resend_seconds(waiting[Lane.SMALL])
            questions = await question_batches.take_due(session, again, self.rt.settings.worker_concurrency)
        if any(due.values()) or questions:
            # Sent after the commit; should sending fail, they are due again in a moment.
            await asyncio.to_thread(self._send, messages, questions)
        refills_total.inc()
        for lane, jobs_of_lane in due.items():
            jobs_sent_total.labels(lane.name.lower()).inc(len(jobs_of_lane))
        full = [lane for lane in Lane if len(due[lane]) >= room[lane]]
        if not full:
            return None
        return REFILL_SECONDS if all(waiting[lane] for lane in full) else EMPTY_SECONDS

    def _room(self, lane: Lane, running: int, waiting: int) -> int:
        """Jobs to send: none before half of a lane is taken, so that small documents share messages.

        A lane has at least as many as run now: with many slots, workers take many messages between two looks. Of small
        ones twice as many, so that the messages of a backlog become longer.
        """
        size = max(self.rt.settings.queue_high_water, running * (2 if lane is Lane.SMALL else 1))
        return size - waiting if 2 * waiting <= size else 0

    def _resend_seconds(self, waiting: int) -> float:
        """Seconds after which an unclaimed message counts as lost; more if its lane has many messages."""
        again = self.rt.settings.resend_seconds
        return again if waiting else min(again, LOST_SECONDS)

    def _send(self, messages: Mapping[Lane, Sequence[JobMessage]], questions: Sequence[str]) -> None:
        from kombu.exceptions import OperationalError

        try:
            for lane, of_lane in messages.items():
                start_jobs(self.app, of_lane, lane)
            start_batches(self.app, questions)
        except OperationalError as error:
            raise RedisError(str(error)) from error

    async def _broker(self) -> dict[Lane, int]:
        """Messages in each lane of the broker; notices a broker that restarted with nothing in them."""
        server: Any = await self.redis.info("server")
        if self.broker_run not in (None, server["run_id"]):
            log.warning("broker restarted: sending its waiting messages again")
            async with self.rt.transaction() as session:
                for table in (Job, QueryBatch):
                    await leases.forget_dispatched(session, table)
        self.broker_run = server["run_id"]
        return {lane: await self.redis.llen(lane.value) for lane in Lane}

    async def requeue_expired(self) -> None:
        """Requeues, or fails permanently, the jobs of workers that stopped responding."""
        async with self.rt.transaction() as session:
            again, poison = await recovery.requeue_expired(session, self.rt.settings)
            for claim in poison:
                await jobs.fail(
                    session,
                    claim,
                    "worker_crashed",
                    f"The worker died {claim.attempts} times on the step {claim.step!r}.",
                )
            silent = await question_batches.requeue_expired(session, self.rt.settings)
        for outcome, rows in (("again", [*again, *silent]), ("failed", poison)):
            jobs_taken_back_total.labels(outcome).inc(len(rows))
        for job_id in [*again, *silent]:
            log.warning("job requeued: its worker stopped responding", job_id=job_id)
