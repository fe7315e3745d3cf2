"""The product with a model provider that limits, fails, hangs and sends nonsense.

`python -m tests.system.faults.provider` runs it by itself. The provider is a program that speaks OpenAI's API and
takes its orders at /admin: fake_openai.py, which is no part of this project and is looked for beside it.
"""

import argparse
import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx2

from footnote.database.engine import database_dsn
from footnote.local_stack.processes import Process, spawn
from tests import ROOT
from tests.system.faults.corpus import Source, sources
from tests.system.faults.report import Report
from tests.system.faults.stack import Stack, free_ports, until

FAKE = ROOT.parent / "shared" / "tools" / "fake_openai.py"
WORKERS = 4
MODEL = "fake-384"
RPM = 60
PAUSE = 8.0
TROUBLE = {"err429": 0.1, "err500": 0.12, "hang": 0.03, "drop": 0.06, "garbage": 0.06, "retry_after": 1}
NONE = dict.fromkeys(TROUBLE, 0)
CALLS = ("embed_requests", "status_429", "status_500", "hung", "dropped", "garbage")
VECTORS = """
    SELECT text_sha256, embedding::text AS vector FROM embedding
    UNION ALL SELECT text_sha256, embedding::text FROM chunk
"""
Vectors = dict[bytes, str]


@dataclass
class Provider:
    """The program, started afresh."""

    url: str
    client: httpx2.AsyncClient

    async def order(self, **knobs: Any) -> None:
        (await self.client.post(f"{self.url}/admin/config", json=knobs)).raise_for_status()

    async def counts(self) -> dict[str, int]:
        found: dict[str, int] = (await self.client.get(f"{self.url}/admin/stats")).json()
        return found

    async def calls(self) -> int:
        """Calls that reached it, whatever became of them."""
        return _sum(await self.counts())


def _spawned(program: Path) -> tuple[Process, int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Path(os.devnull).open("wb") as out:
        return spawn([sys.executable, str(program), "--port", str(port)], out, env=dict(os.environ)), port


@asynccontextmanager
async def provider(program: Path) -> AsyncIterator[Provider]:
    process, port = _spawned(program)
    async with httpx2.AsyncClient(timeout=10, trust_env=False) as client:
        fake = Provider(f"http://127.0.0.1:{port}", client)

        async def answers() -> bool:
            with contextlib.suppress(httpx2.TransportError):
                return bool((await client.get(f"{fake.url}/health")).status_code == 200)
            return False

        try:
            await until(answers, 30, f"{program} answers")
            yield fake
        finally:
            process.kill()
            process.wait()


class Product:
    """The stack with four workers before the provider, and a client of it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        headers = {"Authorization": f"Bearer {stack.key}"}
        self.client = httpx2.AsyncClient(base_url=stack.url, headers=headers, timeout=30, trust_env=False)

    async def upload(self, documents: Sequence[Source]) -> None:
        for each in documents:
            files = {"file": (each.filename, each.content)}
            (await self.client.post("/v1/documents", files=files)).raise_for_status()

    async def rows(self, query: str) -> list[Any]:
        connection = await asyncpg.connect(database_dsn(self.stack.database_url))
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    async def until_ended(self, seconds: float) -> str:
        """How the jobs ended, as `5 succeeded`."""
        unfinished = "SELECT FROM job WHERE state IN ('queued', 'running', 'waiting') LIMIT 1"

        async def ended() -> bool:
            await asyncio.sleep(0.2)
            return not await self.rows(unfinished)

        await until(ended, seconds, "every job ended")
        states = await self.rows("SELECT state, count(*) FROM job GROUP BY state ORDER BY state")
        return ", ".join(f"{count} {state}" for state, count in states)

    async def vectors(self) -> Vectors:
        stored = await self.rows(VECTORS)
        return {row["text_sha256"]: row["vector"] for row in stored}

    async def reasons(self) -> set[str]:
        """What waiting jobs wait for, before the colon."""
        waiting = await self.rows("SELECT DISTINCT split_part(waiting_for, ':', 1) FROM job WHERE state = 'waiting'")
        return {row[0] for row in waiting}

    async def circuit(self) -> str:
        """`1` while it is open, as the metrics of the dispatcher tell it."""
        dispatcher = int(self.stack.env["FOOTNOTE_METRICS_PORT"]) + 2
        lines = (await self.client.get(f"http://127.0.0.1:{dispatcher}/metrics")).text.splitlines()
        found = (line.split()[-1] for line in lines if line.startswith("footnote_provider_circuit_open{"))
        return next(found, "").removesuffix(".0")


@asynccontextmanager
async def product(fake: Provider, keep_logs: Path | None = None, **settings: str) -> AsyncIterator[Product]:
    given = {
        "FOOTNOTE_EMBEDDER": "openai",
        "FOOTNOTE_EMBEDDING_MODEL": MODEL,
        "FOOTNOTE_EMBEDDING_BATCH": "4",
        "FOOTNOTE_WORKER_CONCURRENCY": str(WORKERS),
        "FOOTNOTE_PROVIDER_TIMEOUT_SECONDS": "3",
        "OPENAI_BASE_URL": f"{fake.url}/v1",
        "OPENAI_API_KEY": "none",
        "NO_PROXY": "127.0.0.1",
        "FOOTNOTE_METRICS_PORT": str(free_ports(3)[0]),
    }
    async with Stack(keep_logs, pgbouncer=False, **(given | settings)) as stack:
        await stack.ready()
        on = Product(stack)
        async with on.client:
            yield on


async def limited(report: Report, program: Path, how: str, keep_logs: Path | None = None, **settings: str) -> None:
    """Far more calls than a minute's requests, and nothing but the limit to hold them up: a chunk for each."""
    documents = sources(1, 8, (18, 18), large=1000)
    async with provider(program) as fake:
        await fake.order(rpm=RPM)
        async with product(fake, keep_logs, FOOTNOTE_EMBEDDING_BATCH="1", **settings) as on:
            started = time.monotonic()
            await on.upload(documents)
            ended = await on.until_ended(300)
            took = time.monotonic() - started
        counts = await fake.counts()
    calls, refused = _sum(counts), counts.get("status_429", 0)
    report.exactly(f"{RPM} requests a minute, {how}: jobs", f"{len(documents)} succeeded", ended)
    report.at_most(f"{RPM} requests a minute, {how}: of {calls} calls answered 429", 2, 100 * refused / calls, "%")
    report.at_least(f"{RPM} requests a minute, {how}: calls a minute", 0.8 * RPM, 60 * calls / took, "calls")


def _sum(counts: dict[str, int]) -> int:
    return sum(counts.get(name, 0) for name in CALLS)


async def in_peace(program: Path, documents: Sequence[Source]) -> tuple[int, Vectors]:
    async with provider(program) as fake, product(fake) as on:
        await on.upload(documents)
        await on.until_ended(120)
        return await fake.calls(), await on.vectors()


async def troubled(report: Report, program: Path, seed: int, keep_logs: Path | None = None) -> None:
    """The same documents as in peace, before a provider of which every third answer is none."""
    documents = sources(seed, 60)
    calls, wanted = await in_peace(program, documents)
    async with provider(program) as fake, product(fake, keep_logs) as on:
        await fake.order(**TROUBLE, seed=seed)
        await on.upload(documents)
        ended = await on.until_ended(600)
        counts, stored = await fake.counts(), await on.vectors()
        disturbed = {name: counts.get(name, 0) for name in CALLS[1:]}
        report.exactly(f"troubled ({disturbed}): jobs", f"{len(documents)} succeeded", ended)
        wrong = sum(stored.get(key) != vector for key, vector in wanted.items()) + len(stored.keys() - wanted.keys())
        report.exactly(f"troubled: of {len(wanted)} vectors wrong, missing or too many", 0, wrong)
        report.at_most(f"troubled: calls, times those without faults ({calls})", 5, await fake.calls() / calls, "times")
        await fake.order(**NONE)
        await paused(report, fake, on, sources(seed + 1000, 20))
        await broken(report, fake, on, sources(seed + 2000, 20))


async def paused(report: Report, fake: Provider, on: Product, documents: Sequence[Source]) -> None:
    """Everybody keeps to the Retry-After that one was given."""
    await fake.order(err429=1.0, retry_after=PAUSE)
    before = (await fake.counts()).get("status_429", 0)
    await on.upload(documents)
    seen: list[tuple[float, int]] = []  # when the number of calls was seen to have grown, and by how many
    known, deadline = before, time.monotonic() + 2.5 * PAUSE
    while time.monotonic() < deadline:
        now = (await fake.counts()).get("status_429", 0)
        if now > known:
            seen.append((time.monotonic(), now - known))
            known = now
        await asyncio.sleep(0.02)
    reasons = await on.reasons()
    await fake.order(**NONE)
    rounds = [at for at, _ in seen if at - seen[0][0] > 1]
    report.at_least("Retry-After: seconds from a 429 to the next call", PAUSE - 0.1, rounds[0] - seen[0][0], "s")
    at_once = sum(calls for at, calls in seen if at - seen[0][0] <= 1)
    report.at_most("Retry-After: calls before all knew", WORKERS, at_once, "calls")
    report.exactly("Retry-After: jobs wait for", {"the provider's rate limit"}, reasons)
    report.exactly("Retry-After: jobs that did not succeed", "", _others(await on.until_ended(120)))


async def broken(report: Report, fake: Provider, on: Product, documents: Sequence[Source]) -> None:
    """The circuit opens, is seen, keeps calls away, and closes."""
    await fake.order(err500=1.0)
    before = await fake.calls()
    await on.upload(documents)
    opened = time.monotonic()
    await until(lambda: _is(on, "1"), 30, "the circuit opens")
    await asyncio.sleep(20)
    calls, reasons = await fake.calls() - before, await on.reasons()
    asked = time.monotonic()
    answer = await on.client.post("/v1/search", json={"query": "Who guards the lamp?"})
    took = time.monotonic() - asked
    report.at_most(f"circuit: calls in {time.monotonic() - opened:.0f} s", 5 + WORKERS + 3, calls, "calls")
    said = f"{answer.status_code}, Retry-After: {'retry-after' in answer.headers}"
    report.exactly("circuit: a search meanwhile", "503, Retry-After: True", said)
    report.at_most("circuit: and is answered within", 1, took)
    report.exactly("circuit: some jobs wait for the provider to recover", True, "the provider to recover" in reasons)
    ready = await on.client.get("/readyz")
    report.exactly("circuit: /readyz", 200, ready.status_code)
    await fake.order(**NONE)
    closed = time.monotonic()
    await until(lambda: _is(on, "0"), 120, "the circuit closes")
    report.at_most("circuit: closes after the provider is back", 62, time.monotonic() - closed)
    report.exactly("circuit: jobs that did not succeed", "", _others(await on.until_ended(180)))


async def _is(on: Product, state: str) -> bool:
    return await on.circuit() == state


def _others(ended: str) -> str:
    return ", ".join(each for each in ended.split(", ") if not each.endswith(" succeeded"))


async def scenario(program: Path = FAKE, seed: int = 1, keep_logs: Path | None = None) -> Report:
    """A provider's limits are kept, its failures waited out, and nothing wrong is stored."""
    report = Report(f"provider, seed {seed}: {WORKERS} workers")
    await limited(report, program, "configured", keep_logs, FOOTNOTE_EMBEDDING_RPM=str(RPM))
    await limited(report, program, "learned", keep_logs)
    await troubled(report, program, seed, keep_logs)
    return report


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.faults.provider", description=__doc__)
    parser.add_argument("--provider", type=Path, default=FAKE, help="the program that plays the provider")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep-logs", type=Path, help="copy the product's logs to this directory")
    given = parser.parse_args()
    report = asyncio.run(scenario(given.provider, given.seed, given.keep_logs))
    print(report)
    return 0 if report.met else 1


if __name__ == "__main__":
    sys.exit(main())
