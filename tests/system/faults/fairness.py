"""No tenant waits long because of another one's many or huge documents, with a provider that answers.

`python -m tests.system.faults.fairness`: one tenant offers thousands of small files, then two huge ones; meanwhile
single small files, another tenant's and its own, are timed from `202` to `ready`.
"""

import argparse
import asyncio
import itertools
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from footnote.operations import bootstrap
from footnote.settings import Settings
from tests.system.faults.corpus import Source, sources
from tests.system.faults.provider import FAKE, Product, product, provider
from tests.system.faults.report import Report
from tests.system.faults.stack import until

LIMIT_SECONDS = 10.0
UPLOADS = 4  # at once, of the tenant that offers much
PATIENCE_SECONDS = 300.0
PROVIDER = {"embed_ms": 50, "embed_ms_per_text": 2}
HUGE_PARAGRAPHS = 20_000


@dataclass
class Singles:
    """Small files offered one at a time, however long each takes."""

    client: httpx2.AsyncClient
    files: Iterator[Source]
    seconds: list[float] = field(default_factory=list)

    async def offer(self) -> None:
        each = next(self.files)
        reply = await self.client.post("/v1/documents", files={"file": (each.filename, each.content)})
        reply.raise_for_status()
        accepted, path = time.monotonic(), f"/v1/documents/{reply.json()['document']['id']}/status"

        async def ready() -> bool:
            return bool((await self.client.get(path)).json()["status"] == "ready")

        await until(ready, PATIENCE_SECONDS, f"{each.filename} is ready")
        self.seconds.append(time.monotonic() - accepted)

    async def every(self, seconds: float, ended: Callable[[], Awaitable[bool]]) -> None:
        """One after the other until that is so, and until each is ready."""
        async with asyncio.TaskGroup() as group:
            while not await ended():
                group.create_task(self.offer())
                await asyncio.sleep(seconds)

    def tell(self, report: Report, whose: str) -> None:
        took = sorted(self.seconds)
        p50, p95 = took[len(took) // 2], took[int(len(took) * 0.95)]
        what = f"{whose}: of {len(took)}, 202 to ready, p95 (p50 {p50:.1f} s, max {took[-1]:.1f} s)"
        report.at_most(what, LIMIT_SECONDS, p95)


async def new_client(on: Product, name: str) -> httpx2.AsyncClient:
    """A client of a new tenant."""
    _, key = await bootstrap.create_tenant(Settings(database_url=on.stack.database_url), name)
    headers = {"Authorization": f"Bearer {key}"}
    return httpx2.AsyncClient(base_url=on.stack.url, headers=headers, timeout=60, trust_env=False)


async def unfinished(on: Product) -> int:
    rows = await on.rows("SELECT count(*) FROM job WHERE state IN ('queued', 'running', 'waiting')")
    return int(rows[0][0])


async def crowded(report: Report, on: Product, count: int, small: Iterator[Source]) -> None:
    """Thousands of one tenant's files; another's one at a time."""
    crowd, one = await new_client(on, "crowd"), Singles(await new_client(on, "one"), small)
    files = iter(sources(11, count, (1, 3), large=count + 1))

    async def upload() -> None:
        for each in files:
            reply = await crowd.post("/v1/documents", files={"file": (each.filename, each.content)})
            reply.raise_for_status()

    started = time.monotonic()
    uploads = asyncio.gather(*(upload() for _ in range(UPLOADS)))
    backlog = [0]

    async def piled_up() -> bool:
        backlog.append(await unfinished(on))
        return backlog[-1] > count // 20

    async def worked_off() -> bool:
        return not await piled_up() and uploads.done()

    await until(piled_up, PATIENCE_SECONDS, "there is a backlog")
    await one.every(3, worked_off)
    await uploads
    ended = await on.until_ended(PATIENCE_SECONDS)
    took = time.monotonic() - started
    one.tell(report, f"{count} files of another tenant in {took:.0f} s, up to {max(backlog)} waiting")
    report.exactly("jobs", f"{count + len(one.seconds)} succeeded", ended)


async def huge(report: Report, on: Product, seconds: float, small: Iterator[Source]) -> None:
    """Two documents of tens of thousands of chunks in two slots; small ones of the same tenant and of another."""
    client = await new_client(on, "huge")
    mine, theirs = Singles(client, small), Singles(await new_client(on, "small"), small)
    for number in range(2):
        (source,) = sources(20 + number, 1, (HUGE_PARAGRAPHS, HUGE_PARAGRAPHS), large=2)
        (await client.post("/v1/documents", files={"file": (source.filename, source.content)})).raise_for_status()
    started = time.monotonic()

    async def ended() -> bool:
        return time.monotonic() > started + seconds

    await asyncio.gather(mine.every(4, ended), theirs.every(4, ended))
    mine.tell(report, "two huge files of the same tenant")
    theirs.tell(report, "two huge files of another tenant")
    took = time.monotonic() - started
    rows = await on.rows(
        "SELECT step, progress_done, (SELECT sum(attempts) FROM job_step WHERE job_id = job.id) FROM job "
        "WHERE large AND state <> 'succeeded'"
    )
    report.exactly("huge files still in progress", 2, len(rows))
    progress = ", ".join(f"{step} {done} in {attempts} turns" for step, done, attempts in rows)
    report.at_least(f"the huge files continue ({progress}): chunks", 10, sum(row[1] for row in rows) / took, "a second")


async def scenario(program: Path, count: int, seconds: float, keep_logs: Path | None = None, **settings: str) -> Report:
    report = Report(f"fairness: {count} small files, then two huge ones for {seconds:g} s {settings or ''}")
    small = itertools.cycle(sources(12, 2000, (1, 3), large=3000))
    usual = {"FOOTNOTE_WORKER_CONCURRENCY": "2", "FOOTNOTE_EMBEDDING_BATCH": "64"}
    async with provider(program) as fake, product(fake, keep_logs, **(usual | settings)) as on:
        await fake.order(**PROVIDER)
        await crowded(report, on, count, small)
        await huge(report, on, seconds, small)
    return report


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.faults.fairness", description=__doc__)
    parser.add_argument("--provider", type=Path, default=FAKE, help="the program that plays the provider")
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=90, help="to look at the huge ones")
    parser.add_argument("--keep-logs", type=Path, help="copy the product's logs to this directory")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the product")
    given = parser.parse_args()
    settings = dict(each.split("=", 1) for each in given.set)
    report = asyncio.run(scenario(given.provider, given.files, given.seconds, given.keep_logs, **settings))
    print(report)
    return 0 if report.met else 1


if __name__ == "__main__":
    sys.exit(main())
