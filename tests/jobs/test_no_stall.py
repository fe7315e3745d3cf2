"""No silent stall: whatever goes wrong, every unfinished job is alive or says for what and until when it waits."""

import asyncio
import os
import signal
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import func, select

from api.schemas.jobs import JobOut
from footnote import jobs
from footnote.jobs import scheduling
from footnote.models import Job
from footnote.runtime import Runtime, open_runtime
from tests import SAMPLES, driving
from tests.conftest import new_database
from tests.driving import chunks_of, job_of, paragraphs, set_job
from tests.programs import Program, Reply, serving, settings_from, vectors

pytestmark = [pytest.mark.anyio, pytest.mark.worker]

LEASE_SECONDS = 8  # also for how long a transaction may be idle: long enough on a busy machine
LIMIT_SECONDS = 6  # longer than a step waits in place for a rate limit
SLACK_SECONDS = 30  # the dispatcher looks for ended leases twice a second; the machine may be busy with other things


@dataclass
class Provider:
    """Embeds, but not every text: the word it begins with may make it refuse, limit, fail, wait, or kill its caller."""

    callers: Callable[[], Iterable[int]] = list
    let_go: threading.Event = field(default_factory=threading.Event)
    asked: Counter[str] = field(default_factory=Counter)
    killing: bool = True

    def answer(self, texts: list[str], port: int) -> Reply:
        kinds = ("refused", "limited", "failing", "held one", "held two", "deadly")
        words = [word for word in kinds if any(word in text for text in texts)]  # a call may be for several documents
        self.asked.update(words)
        word = next(iter(words), "")
        match word:
            case "refused":
                return Reply(b'{"error": {"message": "bad key"}}', 401)
            case "limited" if self.asked[word] == 1:
                # Too long to be waited for in place.
                return Reply(b'{"error": {"message": "slow down"}}', 429, {"Retry-After": "6"})
            case "failing" if self.asked[word] == 1:
                return Reply(b"{}", 500)
            case "held one" | "held two":
                self.let_go.wait(300)
            case "deadly" if self.killing:
                os.kill(process_at(port, self.callers()), signal.SIGKILL)
        return vectors(texts)


def process_at(port: int, among: Iterable[int]) -> int:
    """Which of the processes has the end of a connection on the loopback with this local port."""
    # Connections of others to other servers may have the same local port.
    sockets = {
        f"socket:[{columns[9]}]"
        for columns in map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:])
        if columns[1] == f"0100007F:{port:04X}"
    }
    for pid in among:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                if str(descriptor.readlink()) in sockets:
                    return pid
    raise AssertionError(f"none of ours has port {port}")


@dataclass
class System:
    rt: Runtime
    provider: Provider
    worker: Program
    dispatcher: Program
    tenant: str

    async def accept(self, *topics: str, chunks: int = 5) -> list[str]:
        made = [await driving.accept(self.rt, self.tenant, paragraphs(chunks, topic)) for topic in topics]
        return [each.details.job.id for each in made]

    async def until(self, condition: Callable[[], Awaitable[bool]], seconds: float = 300) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not await condition():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(await self.report()) from None

    async def report(self) -> str:
        """All unfinished jobs, and the last that the processes said."""
        left = select(Job).where(Job.state.in_(jobs.UNFINISHED))
        async with self.rt.sessions() as session:
            jobs_left = [repr(JobOut.of(each)) for each in await session.scalars(left)]
        logs = [each.log.read_text()[-3000:] for each in (self.worker, self.dispatcher)]
        return "\n\n".join(("not in time", *jobs_left, *logs))

    async def states(self, job_ids: Iterable[str]) -> list[str]:
        wanted = list(job_ids)
        async with self.rt.sessions() as session:
            found = await session.execute(select(Job.id, Job.state).where(Job.id.in_(wanted)))
        state = {row.id: row.state for row in found}
        return [state[job_id] for job_id in wanted]

    async def over(self, job_ids: Iterable[str]) -> bool:
        return set(await self.states(job_ids)) <= set(jobs.TERMINAL)


@pytest.fixture(scope="module")
async def system(
    migrated_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[System]:
    tmp_path = tmp_path_factory.mktemp("system")
    provider = Provider()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(new_database(migrated_url))
        port = stack.enter_context(serving(provider.answer))
        given = {
            "DATABASE_URL": url,
            "REDIS_URL": redis_url,
            "STORAGE_URL": f"file://{tmp_path}/objects",
            "FOOTNOTE_EMBEDDER": "openai",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
            "FOOTNOTE_LEASE_SECONDS": str(LEASE_SECONDS),
            "FOOTNOTE_HEARTBEAT_SECONDS": "0.5",
            "FOOTNOTE_WORKER_CONCURRENCY": "2",
            "FOOTNOTE_EMBEDDING_BATCH": "4",
            "FOOTNOTE_QUEUE_HIGH_WATER": "16",
            "FOOTNOTE_CHUNK_SIZE": "400",
            "FOOTNOTE_CHUNK_OVERLAP": "50",
            "FOOTNOTE_GENERATOR": "extractive",
        }
        environment = {**os.environ, **given, "NO_PROXY": "127.0.0.1"}
        worker = Program("worker", environment, tmp_path / "worker.log")
        dispatcher = Program("worker.background", environment, tmp_path / "dispatcher.log")
        provider.callers = worker.children
        try:
            worker.start()
            dispatcher.start()
            async with open_runtime(settings_from(given), pool_size=3) as rt:
                yield System(rt, provider, worker, dispatcher, await driving.new_tenant(rt))
        finally:
            provider.let_go.set()
            worker.kill()
            dispatcher.kill()


@dataclass
class Seen:
    """What an observer of all unfinished jobs saw."""

    looks: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    stalled: list[str] = field(default_factory=list)

    def look_at(self, job: Job, lease_left: float | None) -> None:
        shown = JobOut.of(job)
        if shown.status == "running":
            alive = shown.heartbeat_at is not None and lease_left is not None and lease_left > -SLACK_SECONDS
        else:
            alive = bool(shown.waiting_for) and shown.next_attempt_at is not None
        self.reasons[(shown.waiting_for or "running").partition(":")[0]] += 1
        if not alive:
            self.stalled.append(f"{shown!r} with {lease_left} s left")


@asynccontextmanager
async def watching(rt: Runtime) -> AsyncIterator[Seen]:
    """Observes jobs while the block runs. Fails if an unfinished job stalled without saying why."""
    seen, enough = Seen(), asyncio.Event()

    async def watch() -> None:
        left = func.extract("epoch", Job.lease_until - func.clock_timestamp())
        while not enough.is_set():
            async with rt.sessions() as session:
                for job, seconds in await session.execute(select(Job, left).where(Job.state.in_(jobs.UNFINISHED))):
                    seen.look_at(job, seconds if seconds is None else float(seconds))
            seen.looks += 1
            await asyncio.sleep(0.1)

    task = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        enough.set()
        await task
        assert seen.stalled == []


async def test_every_unfinished_job_is_alive_or_says_for_what_and_until_when_it_waits(system: System) -> None:
    rt = system.rt
    scan = await driving.accept(rt, system.tenant, (SAMPLES / "no_text.pdf").read_bytes(), "scan.pdf")
    async with watching(rt) as seen:
        good = await system.accept(*(f"good{number}" for number in range(3)), "limited", "failing")
        (refused,) = await system.accept("refused")
        held, given_up = await system.accept("held one", "held two")

        async def both_held() -> bool:
            return {"held one", "held two"} <= set(system.provider.asked)

        await system.until(both_held)
        async with rt.for_tenant(system.tenant).transaction() as session:
            await jobs.cancel(session, given_up)
        system.worker.kill()
        late = await system.accept("late")

        async def taken_back() -> bool:
            return await system.states([held]) == ["waiting"]

        await system.until(taken_back)
        system.provider.let_go.set()
        system.worker.start()
        everything = [*good, *late, held, refused, given_up, scan.details.job.id]
        await system.until(lambda: system.over(everything))
    assert seen.looks > 20
    expected = {"running", "a free worker", "another attempt", "the provider's rate limit"}
    assert expected <= set(seen.reasons), seen.reasons
    assert await system.states([*good, *late, held]) == ["succeeded"] * (len(good) + 2)
    assert await system.states([given_up]) == ["cancelled"]
    codes = [(await job_of(rt, job_id)).error_code for job_id in (refused, scan.details.job.id)]
    assert codes == ["provider_rejected", "no_text"]


async def test_a_document_that_kills_its_worker_fails_alone_and_can_be_driven_on(system: System) -> None:
    rt = system.rt
    (deadly,) = await system.accept("deadly")
    others = await system.accept(*(f"good{number}" for number in range(6)))

    async def failed() -> bool:
        if await system.states([deadly]) == ["waiting"]:
            await set_job(rt, deadly, next_attempt_at=func.now())  # makes the time between two attempts pass
        return await system.states([deadly]) == ["failed"]

    async with watching(rt):
        await system.until(failed)
    job = await job_of(rt, deadly)
    assert (job.step, job.error_code, job.attempts) == ("embed", "worker_crashed", 5)
    assert system.provider.asked["deadly"] in range(5, 11), "in two batches, which may be asked for at once"
    assert await system.states(others) == ["succeeded"] * 6
    assert system.worker.running(), "its pool died, it did not"

    system.provider.killing = False
    async with rt.for_tenant(system.tenant).transaction() as session:
        await jobs.retry(session, deadly)
    await system.until(lambda: system.over([deadly]))
    assert await system.states([deadly]) == ["succeeded"]
    assert len(await chunks_of(rt, job.document_id)) == 5
    async with rt.sessions() as session:
        tried = {step.name: step.attempts for step in await jobs.steps(session, deadly)}
    assert tried == {"chunk": 1, "embed": 6, "upsert": 1}, "it went on where it had stopped"


async def test_a_document_that_kills_its_worker_takes_others_of_its_message_along_once_and_none_is_blamed(
    system: System,
) -> None:
    rt = system.rt
    system.provider.killing = True
    system.provider.asked.clear()
    async with rt.transaction() as session:
        await scheduling.pause(session)
    # Small enough for one run, and all of them due at the same moment.
    good = await system.accept(*(f"kind{number}" for number in range(3)), chunks=3)
    (deadly,) = await system.accept("deadly again", chunks=3)  # texts that have no vectors yet
    good += await system.accept(*(f"mild{number}" for number in range(4)), chunks=3)
    async with rt.transaction() as session:
        await scheduling.resume(session)

    async def failed() -> bool:
        if await system.states([deadly]) == ["waiting"]:
            await set_job(rt, deadly, next_attempt_at=func.now())
        return await system.states([deadly]) == ["failed"]

    async with watching(rt):
        await system.until(failed)
        await system.until(lambda: system.over(good))
    found = [await job_of(rt, job_id) for job_id in good]
    assert [job.state for job in found] == ["succeeded"] * 7
    assert len({job.holder for job in found}) < 7, "some shared a message"
    for job in found:
        assert len(await chunks_of(rt, job.document_id)) == 3
        async with rt.sessions() as session:
            tried = [step.attempts for step in await jobs.steps(session, job.id)]
        assert max(tried) <= 3, "taken along once; sent back to the step before; done"
    job = await job_of(rt, deadly)
    assert (job.step, job.error_code, job.attempts) == ("embed", "worker_crashed", 5)
    # Five times at one step; before that once in a run, which stores nothing, unless the machine was too slow for it.
    # Its texts may be in two calls, which are made at once.
    assert system.provider.asked["deadly"] in range(5, 13)
