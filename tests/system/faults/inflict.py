"""The faults. Each asks who serves, hits just that process, and waits until something serves again."""

import asyncio
import random
import signal
import time
from collections.abc import Iterable

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from footnote.queue import make_app
from footnote.settings import Settings
from tests.system.faults import processes
from tests.system.faults.stack import LEASE, Stack, until
from tests.system.faults.watch import Fault, Watch

BACK_SECONDS = 60.0
END_SECONDS = {signal.SIGKILL: 3.0, signal.SIGTERM: 30.0}
PART_OF = {"pool child": "worker", "api process": "api"}
FROZEN_SECONDS = {"worker": LEASE + 3, "redis": 6.0}

STORM = {
    "worker killed": 6,
    "pool child killed": 2,
    "api killed": 3,
    "api process killed": 2,
    "redis killed": 4,
    "postgres killed": 4,
    "dispatcher killed": 2,
    "worker frozen": 1,
    "pool child frozen": 1,
    "redis frozen": 1,
}
BETWEEN = {"pooler killed": 2}  # where there is one
TARGETS = ("worker", "api", "redis", "postgres", "pooler", "dispatcher")


class Faults:
    """What can be done to a stack. Faults of one target take turns; those of several overlap as they come."""

    def __init__(self, stack: Stack, watch: Watch, seed: int) -> None:
        self.stack = stack
        self.watch = watch
        self.rng = random.Random(seed)
        self.turns = {target: asyncio.Lock() for target in TARGETS}
        self.celery: Celery = make_app(Settings(redis_url=stack.valkey.url))

    async def storm(self, counts: dict[str, int], seconds: float) -> None:
        """All of them at random moments within `seconds`, once there is work to interrupt."""
        async with asyncio.TaskGroup() as group:
            for kind in (kind for kind, count in counts.items() for _ in range(count)):
                group.create_task(self._inflict(kind, self.rng.uniform(2, seconds)))

    async def _inflict(self, kind: str, after: float) -> None:
        await asyncio.sleep(after)
        what, _, how = kind.rpartition(" ")
        async with self.turns[PART_OF.get(what, what)]:
            if what == "pool child":
                await self._hit_pool_child(kind, how)
            elif what == "api process":
                await self._kill_api_process(kind)
            elif how == "killed":
                await self.end(what, signal.SIGKILL)
            else:
                pids = await until(lambda: self._serving(what), BACK_SECONDS, f"{what} serves")
                fault = await self._begin(kind, what, pids[0])
                await self._hold(pids, FROZEN_SECONDS[what])
                fault.back = time.monotonic()

    async def end(self, what: str, number: signal.Signals) -> float:
        """Ends the one that serves; how many seconds that took. Returns when another one serves."""
        before = await until(lambda: self._serving(what), BACK_SECONDS, f"{what} serves")
        how = "killed" if number is signal.SIGKILL else "stopped"
        fault = await self._begin(f"{what} {how}", what, before[0])
        processes.send(number, before[:1])
        # A pool must not outlive its worker: it would renew its leases without end.
        took = await self._gone(before, END_SECONDS[number])
        fault.back = fault.at if fault.target == "worker" else None
        await self.stack.start_again(what)

        async def another() -> bool:
            now = await self._serving(what)
            return now is not None and now[0] != before[0]

        await until(another, BACK_SECONDS, f"another {what} serves")
        fault.back = fault.back or time.monotonic()
        return took

    async def _kill_api_process(self, kind: str) -> None:
        """One of those that answer; the others go on, and it is replaced."""
        before = await until(lambda: self._serving("api"), BACK_SECONDS, "api serves")
        pid = self.rng.choice(before[1:])
        fault = await self._begin(kind, "api", pid)
        processes.send(signal.SIGKILL, [pid])
        await self._gone([pid], END_SECONDS[signal.SIGKILL])

        async def replaced() -> bool:
            now = await self._serving("api")
            return now is not None and len(now) == len(before) and pid not in now

        await until(replaced, BACK_SECONDS, "the process of the api is replaced")
        fault.back = time.monotonic()

    async def _serving(self, what: str) -> tuple[int, ...] | None:
        """The pid of what serves now, an API's and a worker's followed by those of the processes below it."""
        pid: int | None
        match what:
            case "api":
                return self.stack.api() if await self.stack.says_ok("/healthz") else None
            case "redis":
                pid = await self.stack.redis()
            case "postgres":
                pid = await self._postmaster()
            case "pooler":
                pid = self.stack.pooler.process.pid if self.stack.pooler else None
            case "dispatcher":
                # It listens on a connection of its own, where it also asks what is due.
                asked = "query LIKE '%AS take_back%' AND pid <> pg_backend_pid()"
                listens = await self.watch.rows(f"SELECT 1 FROM pg_stat_activity WHERE {asked}")
                pid = self.stack.dispatcher() if listens else None
            case _:
                return self.stack.worker()
        return (pid,) if pid else None

    async def _postmaster(self) -> int | None:
        """The parent of the backend that answers, which must be the one that the pid file names."""
        rows = await self.watch.rows("SELECT pg_backend_pid() AS pid")
        if not rows:
            return None
        pid = processes.parent(rows[0]["pid"])
        recorded = (self.stack.pgdata / "postmaster.pid").read_text().split()[0]
        assert pid == int(recorded), f"postmaster.pid says {recorded}, but {pid} serves"
        return pid

    async def _begin(self, kind: str, target: str, pid: int) -> Fault:
        """About to be hit: notes which jobs are in the target's hands, or in the broker."""
        for _ in range(40 if target == "worker" else 1):  # a while until it has some, but the load may be over
            await self.watch.look()
            if any(seen.state == "running" for seen in self.watch.latest.values()):
                break
            await asyncio.sleep(0.05)
        fault = Fault(kind, target, pid, time.monotonic())
        for job_id, seen in self.watch.latest.items():
            if target != "api" and (seen.state == "running" or (seen.sent and target != "worker")):
                fault.hit[job_id] = seen
        self.watch.faults.append(fault)
        return fault

    async def _gone(self, pids: Iterable[int], seconds: float) -> float:
        started = time.monotonic()

        async def gone() -> bool:
            return not any(map(processes.lives, pids))

        await until(gone, seconds, f"{pids} are gone")
        return time.monotonic() - started

    async def _hold(self, pids: Iterable[int], seconds: float) -> None:
        processes.send(signal.SIGSTOP, pids)
        await asyncio.sleep(seconds)
        assert all(map(processes.frozen, pids)), f"{pids} went on by themselves"
        processes.send(signal.SIGCONT, pids)

    # -- one process of the worker's pool ------------------------------------------------------------------------

    async def _hit_pool_child(self, kind: str, how: str) -> None:
        """One that works on a job: stopped first, so that the job it is asked about stays the one it has."""
        pid, job_id = await until(self._stopped_at_work, BACK_SECONDS, "a pool process works")
        fault = await self._begin(kind, "worker", pid)
        fault.hit = {each: seen for each, seen in fault.hit.items() if each == job_id}
        fault.back = fault.at  # the others of the pool can take its job
        if how == "killed":
            processes.send(signal.SIGKILL, [pid])
            await self._gone([pid], END_SECONDS[signal.SIGKILL])
        else:
            await self._hold([pid], FROZEN_SECONDS["worker"])

    async def _stopped_at_work(self) -> tuple[int, str] | None:
        worker = self.stack.worker()
        if worker is None:
            return None
        pid = self.rng.choice(worker[1:])
        processes.send(signal.SIGSTOP, [pid])
        job_id = (await asyncio.to_thread(self._said_at_work)).get(pid, "")
        await self.watch.look()
        if job_id in self.watch.latest and self.watch.latest[job_id].state == "running":
            return pid, job_id
        processes.send(signal.SIGCONT, [pid])
        return None

    def _said_at_work(self) -> dict[int, str]:
        """What Celery says its processes work on: pid -> job id."""
        try:
            answers = self.celery.control.inspect(timeout=1).active() or {}
        except (OperationalError, RedisError, OSError):
            return {}
        tasks = [task for each in answers.values() for task in each]
        return {task["worker_pid"]: str(task["args"][0]) for task in tasks if task["args"]}
