"""The scenarios: each runs the product, does it harm, and reports against the goals of R1 to R20."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.faults import checks, corpus, edges, processes
from scripts.faults.inflict import STORM, Faults
from scripts.faults.load import Load, Request
from scripts.faults.report import Report
from scripts.faults.stack import Stack, until
from scripts.faults.watch import Watch

DRAIN_SECONDS = 240.0
AWAY_SECONDS = 8.0


@dataclass(frozen=True)
class Options:
    seed: int = 1
    short: bool = False
    rounds: int = 3
    keep_logs: Path | None = None

    @property
    def random(self) -> random.Random:
        return random.Random(self.seed)  # noqa: S311  reproducible, not secret


@dataclass
class Bench:
    """A running product with a client, a watch and a receiver of webhooks."""

    stack: Stack
    watch: Watch
    load: Load
    receiver: edges.Receiver


@asynccontextmanager
async def bench(options: Options, own: str = "", ready: str = "/readyz", **settings: str) -> AsyncIterator[Bench]:
    receiver = edges.Receiver()
    async with edges.serving(receiver.answer) as callback_url, Stack(options.keep_logs, own, **settings) as stack:
        await stack.ready(ready)
        async with Watch(stack) as watch, Load(stack, callback_url) as load:
            yield Bench(stack, watch, load, receiver)


async def storm(options: Options) -> Report:
    """R1, R2: whatever is killed or frozen, nothing is lost, doubled or stands still."""
    counts = dict.fromkeys(STORM, 1) if options.short else STORM
    sources = corpus.sources(options.seed, 100 if options.short else 300)
    report = Report(f"storm, seed {options.seed}: {len(sources)} documents, {sum(counts.values())} faults")
    async with bench(options) as on:
        faults = Faults(on.stack, on.watch, options.seed)
        async with on.load.asking():
            async with asyncio.TaskGroup() as group:
                group.create_task(on.load.upload_all(sources, 5))
                group.create_task(faults.storm(counts, 20 if options.short else 60))
            took = await on.watch.until_ended(DRAIN_SECONDS)
        report.faults = on.watch.faults
        await checks.documents(report, on.watch, on.load, sources)
        await checks.webhooks(report, on.watch, on.receiver)
        checks.requests(report, on.watch, on.load)
        report.note_recovery()
        report.exactly("looks that found a job standing still", 0, len(on.watch.stalls))
        report.at_most("all ended after the last fault", DRAIN_SECONDS, took)
    return report


# -- a database away -----------------------------------------------------------------------------------------


Action = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    pass


async def redis_away(options: Options) -> Report:
    """R3: nobody who uploads or asks notices, and the work is done soon after."""
    report = Report("redis-away: absent at the start, killed, frozen")
    sources = corpus.sources(options.seed, 120)
    async with bench(options, own="redis", ready="/healthz") as on:
        redis = on.stack.own
        phases: list[tuple[str, Action, Action]] = [
            ("absent at the start", _nothing, redis.start),
            ("killed", redis.kill, redis.start),
            ("frozen", redis.freeze, redis.thaw),
        ]
        for number, (phase, leave, come_back) in enumerate(phases):
            started = time.monotonic()
            await leave()
            async with on.load.asking():
                await on.load.upload_all(sources[40 * number : 40 * (number + 1)], 4)
                await come_back()
                took = await on.watch.until_ended(DRAIN_SECONDS)
            for kind in ("upload", "query", "status"):
                sent = on.load.finished(kind, since=started)
                report.exactly(f"{phase}: {kind}", f"{len(sent)} succeed", f"{sum(each.ok for each in sent)} succeed")
            report.at_most(
                f"{phase}: slowest of a hundred", 3, _p99(on.load.finished("query", "status", since=started))
            )
            report.at_most(f"{phase}: all done after it is back", 60, took)
        await checks.documents(report, on.watch, on.load, sources)
    return report


def _p99(requests: list[Request]) -> float:
    return sorted(each.seconds for each in requests)[len(requests) * 99 // 100]


async def postgres_away(options: Options) -> Report:
    """R4: refused at once and in words, never hanging; what is sent again is there once."""
    report = Report("postgres-away: killed, frozen")
    sources = corpus.sources(options.seed, 80)
    async with bench(options, own="postgres") as on:
        postgres = on.stack.own
        phases = (
            ("killed", postgres.kill, postgres.start, 4),
            ("frozen", postgres.freeze, postgres.thaw, AWAY_SECONDS + 4),
        )
        for number, (phase, leave, come_back, slowest) in enumerate(phases):
            async with on.load.asking(), asyncio.TaskGroup() as group:
                group.create_task(on.load.upload_all(sources[40 * number : 40 * (number + 1)], 4))
                await asyncio.sleep(2)
                left = time.monotonic()
                await leave()
                await asyncio.sleep(AWAY_SECONDS)
                back = time.monotonic()
                await come_back()
            await on.watch.until_ended(DRAIN_SECONDS)
            sent = [each for each in on.load.finished("upload", "query", "status", since=left) if each.started < back]
            # One that a frozen server thawed in time for may succeed.
            fair = [each for each in sent if each.ok or (each.status == 503 and each.retry_after)]
            report.exactly(
                f"{phase}: {len(sent)} requests, neither served nor refused with 503", 0, len(sent) - len(fair)
            )
            report.at_most(f"{phase}: slowest of them", slowest, max(each.seconds for each in sent))
        await checks.documents(report, on.watch, on.load, sources)
    return report


# -- everything killed, everything restarted -----------------------------------------------------------------


async def blackout(options: Options) -> Report:
    """R5: everything killed at once, the supervisor too, while a stranger gets the pid of Postgres."""
    rng, slowest = options.random, 0.0
    sources = corpus.sources(options.seed, 30 * options.rounds)
    report = Report(f"blackout: {options.rounds} rounds, seed {options.seed}")
    async with bench(options) as on, on.load.asking(2), asyncio.TaskGroup() as group:
        for number in range(options.rounds):
            group.create_task(on.load.upload_all(sources[30 * number : 30 * (number + 1)], 5))
            await asyncio.sleep(rng.uniform(2, 8))
            on.stack.kill_everything()
            _give_pid_away(on.stack.data_dir)
            on.stack.start()
            slowest = max(slowest, await on.stack.ready())
        report.at_most("ready again, slowest", 30, slowest)
        await until(lambda: _all_accepted(on.load, len(sources)), 60, "every upload accepted")
        await on.watch.until_ended(DRAIN_SECONDS)
        await checks.documents(report, on.watch, on.load, sources)
        await checks.webhooks(report, on.watch, on.receiver)
    return report


def _give_pid_away(data_dir: Path) -> None:
    """The pid files that the killed Postgres left name a live process, as after a restart of a machine."""
    for path in (data_dir / "pg18" / "postmaster.pid", data_dir / "run" / ".s.PGSQL.5432.lock"):
        _, _, rest = path.read_text().partition("\n")
        path.write_text(f"{os.getpid()}\n{rest}")


async def _all_accepted(load: Load, count: int) -> bool:
    return len(load.accepted) == count


async def rolling(options: Options) -> Report:
    """R13: API and worker asked to stop again and again; what was begun is finished."""
    report = Report("rolling: API and worker stopped in turns for 30 s")
    sources = corpus.sources(options.seed, 100)
    times: dict[str, list[float]] = {"api": [], "worker": []}
    async with bench(options) as on:
        faults = Faults(on.stack, on.watch, options.seed)
        end = time.monotonic() + 30

        async def stop_on(what: str) -> None:
            while time.monotonic() < end:
                times[what].append(await faults.stop(what))

        async with on.load.asking(stream=True), asyncio.TaskGroup() as group:
            group.create_task(on.load.upload_all(sources, 5))
            for what in times:
                group.create_task(stop_on(what))
        await on.watch.until_ended(DRAIN_SECONDS)
        report.exactly("answers cut off", 0, sum(each.truncated for each in on.load.requests))
        for what, took in times.items():
            report.at_most(f"{what} ended after SIGTERM, slowest of {len(took)}", 15, max(took))
        report.at_most(
            "attempts at a step", 2, await checks.count(on.watch, "SELECT max(attempts) FROM job_step"), "times"
        )
        await checks.documents(report, on.watch, on.load, sources)
    return report


# -- deleted, deadly, many -----------------------------------------------------------------------------------


async def deletes(options: Options) -> Report:
    """R7: deleted at any moment of ingestion, some uploaded again; nothing of the old is left."""
    rng = options.random
    report = Report(f"deletes, seed {options.seed}: 60 documents deleted, 20 of them uploaded again")
    sources = corpus.sources(options.seed, 80)
    again, gone, kept = sources[:20], sources[20:60], sources[60:]
    deleted: dict[str, str] = {}
    shown = 0

    async with bench(options) as on:

        async def delete(source: corpus.Source) -> None:
            nonlocal shown
            await asyncio.sleep(source.number / 5)
            await on.load.upload(source)
            document_id = on.load.accepted.pop(source.number).document_id
            await asyncio.sleep(rng.uniform(0, 8))
            request, _ = await on.load.send("delete", "DELETE", f"/v1/documents/{document_id}")
            deleted[document_id] = source.name
            assert request.ok, request.problem
            if source in again:
                await on.load.upload(source, " again")
            _, found = await on.load.send("search", "POST", "/v1/search", json={"query": source.name, "top_k": 50})
            shown += document_id.encode() in found

        async with on.load.asking(), asyncio.TaskGroup() as group:
            group.create_task(on.load.upload_all(kept, 2))
            for source in (*again, *gone):
                group.create_task(delete(source))
        await on.watch.until_ended(DRAIN_SECONDS)
        report.exactly("documents deleted", 60, len(deleted))
        report.exactly("searches that show a deleted document", 0, shown)
        report.exactly("rows that name a deleted document", 0, await checks.rows_naming(on.watch, list(deleted)))
        report.exactly("objects in the store, 10 s later", 40, await _objects_left(on.stack, 40))
        await checks.documents(report, on.watch, on.load, [*again, *kept])
    return report


async def _objects_left(stack: Stack, wanted: int) -> int:
    """How many there are, once it is as many as wanted or 10 s have passed."""
    for _ in range(100):
        found = sum(each.is_file() for each in (stack.data_dir / "objects").rglob("*"))
        if found == wanted:
            break
        await asyncio.sleep(0.1)
    return found


async def poison(options: Options) -> Report:
    """R6: a document that kills its worker fails alone, and holds nobody up."""
    report = Report("poison: a document whose embedding kills the process that asks for it")
    deadly = corpus.Source(0, "Bane", "bane.txt", b"The bane of all workers.")
    provider = edges.Provider("bane of all workers")
    sources = iter(corpus.sources(options.seed, 5000, (1, 3))[1:])
    async with edges.serving(provider.answer) as url:
        settings = {"FOOTNOTE_EMBEDDER": "openai", "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "none"}
        async with bench(options, **settings) as on:
            before = await _throughput(on, sources, 20)
            await on.load.upload(deadly)
            with_poison = await _throughput(on, sources, 45)
            after = await _throughput(on, sources, 20)
            await on.watch.until_ended(DRAIN_SECONDS)
            query = "SELECT state, error_code FROM job WHERE id = $1"
            rows = await on.watch.rows(query, on.load.accepted[0].job_id)
            report.exactly("the document", "failed worker_crashed", " ".join(rows[0]) if rows else "unknown")
            report.exactly("times that it killed", 5, len(provider.killed))
            report.at_least("throughput of the others", 90, 200 * with_poison / (before + after))
            rows = await on.watch.rows("SELECT count(*) FROM job WHERE state <> 'succeeded'")
            report.exactly("others that did not succeed", 0, rows and rows[0][0] - 1)
    return report


async def _throughput(on: Bench, sources: Iterator[corpus.Source], seconds: float) -> float:
    """Documents a second, with always some more waiting."""
    done = "SELECT count(*) FROM job WHERE state = 'succeeded'"
    before, started = await checks.count(on.watch, done), time.monotonic()
    while (took := time.monotonic() - started) < seconds:
        if len(on.watch.latest) < 24:
            await asyncio.gather(*(on.load.upload(next(sources)) for _ in range(6)))
        await asyncio.sleep(0.1)
    return (await checks.count(on.watch, done) - before) / took


async def soak(options: Options) -> Report:
    """R20: 2,000 documents; memory stays flat and the broker's queue short."""
    report = Report("soak: 2,000 small documents")
    sources = corpus.sources(options.seed, 2000, (1, 1))
    memory: dict[int, int] = {}
    deepest = 0
    async with bench(options) as on, asyncio.TaskGroup() as group:
        group.create_task(on.load.upload_all(sources, 8))
        while len(on.load.accepted) < len(sources) or on.watch.latest:
            await asyncio.sleep(2)
            done = len(on.load.accepted) - len(on.watch.latest)
            if worker := on.stack.worker():
                memory[done] = sum(map(processes.resident_kib, (worker[0], *worker[1])))
            deepest = max(deepest, await on.stack.queued())
        first = max(size for done, size in memory.items() if 300 < done <= 500)
        growth = 100 * (max(memory.values()) / first - 1)
        report.at_most("growth of the worker's memory after 500 documents", 20, growth, "%")
        report.at_most("messages in the broker, most", 16, deepest, "messages")
        await checks.documents(report, on.watch, on.load, sources)
    return report


SCENARIOS = {
    "storm": storm,
    "redis-away": redis_away,
    "postgres-away": postgres_away,
    "blackout": blackout,
    "rolling": rolling,
    "deletes": deletes,
    "poison": poison,
    "soak": soak,
}
