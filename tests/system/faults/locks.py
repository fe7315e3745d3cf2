"""Crowds that want the same locks: deletions of one tenant, and uploads of the same bytes."""

import asyncio
from collections import Counter
from statistics import median

import httpx2

from tests.system.faults import checks, corpus
from tests.system.faults.bench import Bench, Options, bench
from tests.system.faults.load import Load, Request
from tests.system.faults.report import Report

MANY = 200
SETTINGS = {"FOOTNOTE_REQUESTS_AT_ONCE": "0"}  # of a tenant: what is measured is not how many are turned away
SAME = {"files": {"file": ("same.txt", b"The same bytes, sent by many.")}}
BOILERPLATE = (
    b" ".join(b"Rule %d of the house is known to all of its keepers." % number for number in range(17)) + b"\n\n"
)
SHARED = (
    "SELECT max(number) FROM (SELECT count(DISTINCT document_id) AS number FROM chunk GROUP BY text_sha256) AS found"
)
SLOWEST_SECONDS = 60.0


def _sharing(sources: list[corpus.Source]) -> list[corpus.Source]:
    """With a first chunk that all of them have, so that each deletion may have to wait for another."""
    return [corpus.Source(each.number, each.name, "handbook.txt", BOILERPLATE + each.content) for each in sources]


async def _crowd(on: Bench, documents: list[str]) -> list[Request]:
    """All of them at once, on connections of their own."""
    many = Load(on.stack, "")
    many.client = httpx2.AsyncClient(
        base_url=on.stack.url,
        headers=on.load.client.headers,
        timeout=2 * SLOWEST_SECONDS,
        limits=httpx2.Limits(max_connections=3 * MANY),
    )
    async with many.client, asyncio.TaskGroup() as group:
        sent = [
            group.create_task(work)
            for each in documents
            for work in (
                many.send("delete", "DELETE", f"/v1/documents/{each}"),
                many.send("same", "POST", "/v1/documents", **SAME),
            )
        ]
    return [task.result()[0] for task in sent]


async def locks(options: Options) -> Report:
    """200 deletions and 200 uploads of the same bytes, while others upload and ask: no request is refused."""
    report = Report(f"locks: {MANY} deletions of one tenant and {MANY} uploads of the same bytes, all at once")
    sources = [each for each in corpus.sources(options.seed, 4 * MANY, (1, 1)) if each.filename.endswith(".txt")]
    going, others = _sharing(sources[:MANY]), sources[MANY : MANY + 40]
    async with bench(options, **SETTINGS) as on:
        await on.load.upload_all(going, 15)
        await on.watch.until_ended()
        report.exactly("documents that share a text", MANY, await checks.count(on.watch, SHARED))
        documents = [on.load.accepted.pop(each.number) for each in going]
        async with on.load.asking(), asyncio.TaskGroup() as group:
            group.create_task(on.load.upload_all(others, 4))
            answers = await _crowd(on, documents)
        for kind in ("delete", "same"):
            times = sorted(each.seconds for each in answers if each.kind == kind)
            statuses = Counter(each.status for each in answers if each.kind == kind and not each.ok)
            report.exactly(f"{kind}: of {len(times)} at once, refused", {}, dict(statuses))
            report.tell(f"{kind}: median", median(times))
            report.at_most(f"{kind}: slowest", SLOWEST_SECONDS, times[-1])
    return report
