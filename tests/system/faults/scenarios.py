"""The scenarios: each runs the product, injects faults, and checks what the product promises."""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.system.faults import (
    alerts,
    checks,
    corpus,
    crowd,
    draining,
    edges,
    files,
    lengths,
    locks,
    model_swap,
    processes,
    scaling,
    slow_clients,
)
from tests.system.faults.bench import Bench, Options, bench
from tests.system.faults.inflict import BETWEEN, STORM, Faults
from tests.system.faults.report import Report
from tests.system.faults.stack import Stack, until

AWAY_SECONDS = 8.0


async def storm(options: Options) -> Report:
    """Whatever is killed or frozen, nothing is lost, doubled or stands still."""
    faults = STORM | (BETWEEN if options.pgbouncer else {})
    counts = dict.fromkeys(faults, 1) if options.short else faults
    sources = corpus.sources(options.seed, 100 if options.short else 300)
    title = f"storm{', through PgBouncer' * options.pgbouncer}, seed {options.seed}: {len(sources)} documents, "
    title += f"{sum(counts.values())} faults"
    report = Report(title, timed=not options.short)
    async with bench(options) as on:
        async with on.load.asking(), asyncio.TaskGroup() as group:
            group.create_task(on.load.upload_all(sources, 5))
            group.create_task(Faults(on.stack, on.watch, options.seed).storm(counts, 20 if options.short else 60))
        await on.finish(report, sources)
        await checks.webhooks(report, on.watch, on.receiver)
        checks.requests(report, on.watch, on.load)
        report.recovery(on.watch.faults)
        report.exactly("checks that found a stalled job", 0, len(on.watch.stalls))
        print(*on.watch.stalls, sep="\n", end="", file=sys.stderr)
    return report


# -- a database away -----------------------------------------------------------------------------------------

Action = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    """It is away already."""


async def redis_away(options: Options) -> Report:
    """No client notices, no process is taken out of service, and the work is done soon after."""
    report = Report("redis-away")
    sources = corpus.sources(options.seed, 120)
    async with bench(options, own="redis", ready="/readyz") as on:
        redis = on.stack.own
        report.exactly("absent at the start: the banner says so", True, await _says(on.stack, "is ready without redis"))
        phases: list[tuple[str, Action, Action]] = [
            ("absent at the start", _nothing, redis.start),
            ("killed", redis.kill, redis.start),
            ("frozen", redis.freeze, redis.thaw),
        ]
        for number, (phase, leave, come_back) in enumerate(phases):
            async with on.load.asking(), _asked_whether_ready(on) as statuses:
                before = await _calm(on) if number else []
                started = time.monotonic()
                await leave()
                await on.load.upload_all(sources[40 * number : 40 * (number + 1)], 4)
                during = await _calm(on)
                await come_back()
                took = await on.watch.until_ended()
            sent = on.load.answered("upload", "query", "status", since=started)
            times = sorted(each.seconds for each in sent if each.kind != "upload")
            report.exactly(f"{phase}: of {len(sent)} requests, failed", 0, sum(not each.ok for each in sent))
            report.exactly(f"{phase}: /readyz", {200}, set(statuses))
            report.at_most(f"{phase}: 99 of 100 queries and statuses", 3, times[len(times) * 99 // 100])
            if before:
                slower = during[len(during) * 95 // 100] / before[len(before) * 95 // 100]
                report.at_most(f"{phase}: 95 of 100 searches, with and without it", 1.5, slower, "times")
            report.at_most(f"{phase}: all work done after it is back", 60, took)
        await on.finish(report, sources)
    return report


async def _says(stack: Stack, words: str) -> bool:
    """Whether `footnote up` does, within the time that it has to start."""

    async def said() -> bool:
        return words in (stack.data_dir / "up.txt").read_text()

    return await until(said, 120, f"`footnote up` says {words!r}")


async def _calm(on: Bench) -> list[float]:
    """How long searches take that are made one after the other, sorted."""
    times = []
    for number in range(200):
        question = {"query": f"lens of the lamp {number}", "mode": "keyword"}
        request, _ = await on.load.send("search", "POST", "/v1/search", json=question)
        times.append(request.seconds)
    return sorted(times)


@asynccontextmanager
async def _asked_whether_ready(on: Bench) -> AsyncIterator[list[int | None]]:
    """The statuses that load balancers see while the block runs."""
    statuses: list[int | None] = []

    async def look_on() -> None:
        while True:
            request, _ = await on.load.send("ready", "GET", "/readyz")
            statuses.append(request.status)
            await asyncio.sleep(0.5)

    looking = asyncio.create_task(look_on())
    try:
        yield statuses
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def postgres_away(options: Options) -> Report:
    """Refused within five seconds and in words, however it is away; what is sent again is there once."""
    report = Report("postgres-away")
    sources = corpus.sources(options.seed, 120)
    async with bench(options, own="postgres") as on:
        server = on.stack.own
        phases: list[tuple[str, Action, Action]] = [
            ("killed", server.kill, server.start),
            ("stopped", server.stop, server.start),
            ("frozen", server.freeze, server.thaw),
        ]
        for number, (phase, leave, come_back) in enumerate(phases):
            async with on.load.asking(), asyncio.TaskGroup() as group:
                group.create_task(on.load.upload_all(sources[40 * number : 40 * (number + 1)], 4))
                await asyncio.sleep(2)
                left = time.monotonic()
                await leave()
                await asyncio.sleep(AWAY_SECONDS)
                ready, _ = await on.load.send("ready", "GET", "/readyz")
                back = time.monotonic()
                await come_back()
            report.exactly(f"{phase}: /readyz", 503, ready.status)
            checks.refused(report, phase, on.load, left, back)
        await on.finish(report, sources)
    return report


# -- everything killed, everything restarted -----------------------------------------------------------------


async def blackout(options: Options) -> Report:
    """Everything killed at once, the supervisor too, while a stranger gets the pid of Postgres."""
    rng = random.Random(options.seed)
    sources = corpus.sources(options.seed, 30 * options.rounds)
    report = Report(f"blackout, seed {options.seed}: {options.rounds} rounds")
    took = []
    async with bench(options) as on:
        async with on.load.asking(2), asyncio.TaskGroup() as group:
            for number in range(options.rounds):
                group.create_task(on.load.upload_all(sources[30 * number : 30 * (number + 1)], 5))
                await asyncio.sleep(rng.uniform(2, 8))
                on.stack.kill_everything()
                _give_pid_away(on.stack.data_dir)
                on.stack.start()
                took.append(await on.stack.ready())
        report.at_most("ready again, slowest", 30, max(took))
        await on.finish(report, sources)
        await checks.webhooks(report, on.watch, on.receiver)
    return report


def _give_pid_away(data_dir: Path) -> None:
    """The pid files that the killed Postgres left name a live process, as after a restart of a machine."""
    for path in (data_dir / "pg18" / "postmaster.pid", data_dir / "run" / ".s.PGSQL.5432.lock"):
        _, _, rest = path.read_text().partition("\n")
        path.write_text(f"{os.getpid()}\n{rest}")


async def rolling(options: Options) -> Report:
    """API and worker asked to stop again and again; what was begun is finished."""
    report = Report("rolling: API and worker stopped repeatedly for 30 s")
    sources = corpus.sources(options.seed, 100)
    took: dict[str, list[float]] = {"api": [], "worker": []}
    async with bench(options) as on:
        faults = Faults(on.stack, on.watch, options.seed)
        end = time.monotonic() + 30

        async def stop_on(what: str) -> None:
            while time.monotonic() < end:
                took[what].append(await faults.end(what, signal.SIGTERM))

        async with on.load.asking(stream=True), asyncio.TaskGroup() as group:
            group.create_task(on.load.upload_all(sources, 5))
            for what in took:
                group.create_task(stop_on(what))
        await on.finish(report, sources)
        cut = [each for each in on.load.requests if each.status in (200, 202) and each.problem]
        report.exactly(f"of {len(on.load.requests)} requests, answers cut off", 0, len(cut))
        for what, times in took.items():
            report.at_most(f"{what} ended, slowest of {len(times)}", 15, max(times))
        attempts = await checks.count(on.watch, "SELECT max(attempts) FROM job_step")
        report.at_most("attempts at a step, most", 2, attempts, "times")
    return report


# -- deleted, deadly, many -----------------------------------------------------------------------------------


async def deletes(options: Options) -> Report:
    """Deleted at any moment of ingestion, some uploaded again; nothing of the old is left."""
    rng = random.Random(options.seed)
    report = Report(f"deletes, seed {options.seed}: 60 documents deleted, 20 of them uploaded again")
    sources = corpus.sources(options.seed, 80)
    kept, gone, again = sources[:20], sources[20:], sources[20:40]
    deleted: list[str] = []
    shown: list[str] = []
    async with bench(options) as on:

        async def upload_and_delete(source: corpus.Source) -> None:
            await asyncio.sleep(rng.uniform(0, 16))
            await on.load.upload(source)
            document_id = on.load.accepted.pop(source.number)
            await asyncio.sleep(rng.uniform(0, 8))
            await until(lambda: on.load.delete(document_id), 30, "the document is deleted")
            deleted.append(document_id)
            if source in again:
                await on.load.upload(source, again=" again")
            before = list(deleted)  # of one that is deleted while the search runs, a hit may still come
            _, found = await on.load.send("search", "POST", "/v1/search", json={"query": source.name, "top_k": 50})
            shown.extend(each for each in before if each.encode() in found)

        async with on.load.asking(), asyncio.TaskGroup() as group:
            group.create_task(on.load.upload_all(kept, 2))
            for source in gone:
                group.create_task(upload_and_delete(source))
        await on.finish(report, [*kept, *again])
        report.exactly("documents deleted", 60, len(deleted))
        report.exactly("hits of a deleted document", 0, len(shown))
        report.exactly("rows that name a deleted document", 0, await checks.count(on.watch, checks.NAMING, deleted))
        report.exactly("objects in the store, 10 s later", 40, await checks.objects(on.stack, 40))
    return report


async def poison(options: Options) -> Report:
    """A document that kills its worker fails alone, and delays no other document."""
    report = Report("poison: a document whose embedding kills the process that asks for it")
    deadly = corpus.Source(0, "Bane", "bane.txt", b"The bane of all workers.")
    provider = edges.Provider("bane of all workers")
    sources = iter(corpus.sources(options.seed, 5000, (1, 3))[1:])
    async with edges.serving(provider.answer) as url:
        settings = {"FOOTNOTE_EMBEDDER": "openai", "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "none"}
        async with bench(options, **settings) as on:
            before = await _throughput(on, sources, 22)
            await on.load.upload(deadly)
            meanwhile = await _throughput(on, sources, 45)
            after = await _throughput(on, sources, 22)
            await on.watch.until_ended()
            others = await checks.count(on.watch, "SELECT count(*) FROM job WHERE state <> 'succeeded'") - 1
            query = "SELECT state, error_code FROM job WHERE document_id = $1"
            ((state, code),) = await checks.rows(on.watch, query, on.load.accepted[0])
    report.exactly("the document", "failed: worker_crashed", f"{state}: {code}")
    report.exactly("processes it killed", 5, len(provider.killed))
    report.exactly("others that did not succeed", 0, others)
    report.at_least("throughput of the others, with and without it", 90, 200 * meanwhile / (before + after))
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


# -- told ----------------------------------------------------------------------------------------------------

HOUR_NEARER = """
    UPDATE webhook_delivery SET next_attempt_at = next_attempt_at - interval '1 hour' WHERE held_until IS NULL
"""
WAITING = "SELECT count(*) FROM webhook_delivery WHERE endpoint_id = $1 AND state = 'pending'"
ENDPOINTS = {"/fails": [503, 503, 503, 200], "/gone": [410], "/rotated": [200], "/silent": [0], "/away": [503]}


async def webhooks(options: Options) -> Report:
    """Receivers that fail, are gone, away or silent get what they must; none has to wait for another."""
    report = Report("webhooks: receivers that fail, and a dispatcher that is killed")
    sources, receivers = corpus.sources(options.seed, 20, (1, 1)), edges.Endpoints()
    receivers.answers = {path: list(answers) for path, answers in ENDPOINTS.items()}
    server = await asyncio.start_server(receivers.connected, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, bench(options, FOOTNOTE_WEBHOOK_TIMEOUT_SECONDS="2") as on:
        ids = {path: await _register(on, receivers, url, path) for path in ENDPOINTS}
        answer = await on.load.client.post(f"/v1/webhook_endpoints/{ids['/rotated']}/rotate")
        receivers.secrets["/rotated"].append(answer.json()["secret"])
        await on.load.upload_all(sources, 10)

        async def all_taken(path: str) -> bool:
            return len(set(receivers.taken[path])) == len(sources)

        await until(lambda: all_taken("/rotated"), 120, "everything arrived where nothing is wrong")
        pending = await checks.count(on.watch, WAITING, ids["/silent"])
        report.exactly(
            "delivered in the meantime to a receiver while another is silent", 20, len(receivers.taken["/rotated"])
        )
        report.exactly("deliveries that still wait for the silent receiver", 20, pending)
        await Faults(on.stack, on.watch, options.seed).end("dispatcher", signal.SIGKILL)
        for path in ("/fails", "/away"):
            if path == "/away":
                receivers.answers[path] = [200]

            async def sooner(path: str = path) -> bool:
                await checks.rows(on.watch, HOUR_NEARER)
                return await all_taken(path)

            await until(sooner, 120, f"{path} took everything")
            report.exactly(f"{path}: accepted more than once", 0, len(receivers.taken[path]) - len(sources))
        tries = {receivers.got["/fails"].count(each) for each in receivers.taken["/fails"]}
        report.exactly("/fails: attempts at each, three of them refused", {4}, tries)
        told = (await on.load.client.get(f"/v1/webhook_endpoints/{ids['/gone']}")).json()
        report.exactly("/gone", "gone", told["disabled_reason"])
        report.exactly("signatures that no secret verifies", 0, receivers.forged)
    return report


async def _register(on: Bench, receivers: edges.Endpoints, url: str, path: str) -> str:
    body = {"url": url + path, "events": ["document.ready"]}
    made = (await on.load.client.post("/v1/webhook_endpoints", json=body)).raise_for_status().json()
    receivers.secrets[path] = [made["secret"]]
    return str(made["id"])


async def soak(options: Options) -> Report:
    """Memory stays flat and the broker's queue short."""
    report = Report("soak: 2,000 small documents")
    sources = corpus.sources(options.seed, 2000, (1, 1))
    memory: dict[int, int] = {}  # KiB of the worker and its pool, by documents done
    deepest = 0
    async with bench(options) as on, asyncio.TaskGroup() as group:
        group.create_task(on.load.upload_all(sources, 8))
        while len(on.load.accepted) < len(sources) or on.watch.latest:
            await asyncio.sleep(2)
            done = len(on.load.accepted) - len(on.watch.latest)
            memory[done] = sum(map(processes.resident_kib, on.stack.worker() or ()))
            deepest = max(deepest, await on.stack.queued())
        first = max(size for done, size in memory.items() if 300 < done <= 500)
        report.at_most("growth of the worker after 500 documents", 20, 100 * (max(memory.values()) / first - 1), "%")
        report.at_most("messages in a queue of the broker, most", 16, deepest, "messages")
        await on.finish(report, sources)
    return report


SCENARIOS = {
    "storm": storm,
    "redis-away": redis_away,
    "postgres-away": postgres_away,
    "blackout": blackout,
    "rolling": rolling,
    "draining": draining.draining,
    "restarting": draining.restarting,
    "deletes": deletes,
    "files": files.files,
    "poison": poison,
    "lengths": lengths.lengths,
    "model-swap": model_swap.model_swap,
    "webhooks": webhooks,
    "crowd": crowd.crowd,
    "locks": locks.locks,
    "slow-clients": slow_clients.slow_clients,
    "soak": soak,
    "alerts": alerts.alerts,
    "scaling": scaling.scaling,
}
