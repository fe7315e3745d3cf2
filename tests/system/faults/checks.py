"""What must hold at the end: every accepted document is stored once and whole, and its webhook came once."""

import asyncio
import subprocess
import sys
from typing import Any

from footnote.documents.idempotency import HELD_SECONDS
from tests.system.faults.corpus import Source
from tests.system.faults.edges import Receiver
from tests.system.faults.load import Load
from tests.system.faults.report import Report
from tests.system.faults.stack import Stack
from tests.system.faults.watch import Watch

REFUSED_SECONDS = 5.0
CHUNKS = """
    SELECT document_id, position, page_start, char_start, char_end, text FROM chunk ORDER BY document_id, position
"""
# The providers of these tests give a text the same vector each time.
OTHER_VECTORS = """
    SELECT count(*) FROM (SELECT FROM chunk GROUP BY tenant_id, space_id, text_sha256
                          HAVING count(DISTINCT embedding::text) > 1) AS texts
"""
STORED_TWICE = """
    SELECT count(*) FROM embedding JOIN document ON document.id = document_id JOIN job ON job.id = job_id
    WHERE job.state = 'succeeded'
"""
NAMING = """
    SELECT (SELECT count(*) FROM document WHERE id = ANY($1))
         + (SELECT count(*) FROM version WHERE document_id = ANY($1))
         + (SELECT count(*) FROM chunk WHERE document_id = ANY($1))
         + (SELECT count(*) FROM job WHERE document_id = ANY($1))
         + (SELECT count(*) FROM embedding WHERE document_id = ANY($1))
         + (SELECT count(*) FROM idempotency_key, unnest($1::text[]) AS each WHERE reply::text LIKE '%' || each || '%')
"""


async def documents(report: Report, stack: Stack, watch: Watch, load: Load, sources: list[Source]) -> None:
    """Against the chunks that the same parser and splitter make of the same bytes in peace."""
    report.exactly("uploads accepted", len(sources), len(load.accepted))
    states = await rows(watch, "SELECT state, count(*) FROM job GROUP BY state ORDER BY state")
    report.exactly("jobs", f"{len(sources)} succeeded", ", ".join(f"{count} {state}" for state, count in states))
    ids = set(load.accepted.values())
    there = {row[0] for row in await rows(watch, "SELECT id FROM document")}
    report.exactly("documents missing or duplicated", 0, len(ids ^ there) + len(load.accepted) - len(ids))
    found: dict[str, list[tuple[Any, ...]]] = {document_id: [] for document_id in ids}
    for document_id, *anchors in await rows(watch, CHUNKS):
        found.setdefault(document_id, []).append(tuple(anchors))
    wanted = {load.accepted[each.number]: each.anchors() for each in sources if each.number in load.accepted}
    report.exactly(
        "documents with other chunks than without faults", 0, sum(found[each] != wanted[each] for each in wanted)
    )
    report.exactly("texts with different vectors", 0, await count(watch, OTHER_VECTORS))
    report.exactly("vectors stored in addition to those of chunks", 0, await count(watch, STORED_TWICE))
    command = [sys.executable, "-m", "footnote", "audit"]
    audit = await asyncio.to_thread(subprocess.run, command, env=stack.env, capture_output=True, text=True)
    report.exactly("footnote audit", "0 found, 0 left.", (audit.stdout + audit.stderr).strip().rpartition("\n")[2])


async def webhooks(report: Report, watch: Watch, receiver: Receiver) -> None:
    """Every job that ended was told of, under one id."""
    ended = await rows(watch, "SELECT id FROM job WHERE state = 'succeeded'")
    events = {(row[0], "document.ready") for row in ended}
    report.exactly("events delivered", len(events), len(receiver.ids.keys() & events))
    wrong = [each for each, ids in receiver.ids.items() if len(ids) != 1 or each not in events]
    report.exactly("events delivered under several ids, or with wrong data", 0, len(wrong))


def requests(report: Report, watch: Watch, load: Load) -> None:
    """Redis, workers and the dispatcher may be away: who uploads or asks must not notice."""
    for kind, limit in (("upload", 100.0), ("query", 99.9), ("status", 99.9)):
        fair = [each for each in load.answered(kind) if not watch.excused(each)]
        bad = [each for each in fair if not each.ok]
        what = f"{kind} requests that succeed, while API and Postgres run ({len(fair)})"
        report.at_least(what, limit, 100 - 100 * len(bad) / max(1, len(fair)))
        for each in bad[:5]:
            print(f"{kind} failed after {each.seconds:.1f} s: {each.status} {each.problem}")
    report.at_most("an upload accepted, all tries together, slowest", HELD_SECONDS + 15, load.slowest_upload)


def refused(report: Report, what: str, load: Load, left: float, back: float) -> None:
    """What was sent while Postgres could not be reached was answered soon, and in words if it failed."""
    sent = [each for each in load.answered("upload", "query", "status", since=left) if each.started < back]
    told = [each for each in sent if each.retry_after and (each.status == 503 or "request_in_flight" in each.problem)]
    odd = [each for each in sent if not each.ok and each not in told]
    report.exactly(f"{what}: of {len(sent)} requests, failed without 503 and Retry-After", 0, len(odd))
    report.at_most(f"{what}: slowest answer", REFUSED_SECONDS, max(each.seconds for each in sent))


async def rows(watch: Watch, query: str, *values: object) -> list[Any]:
    found = await watch.rows(query, *values)
    assert found is not None, "Postgres is away"
    return found


async def count(watch: Watch, query: str, *values: object) -> int:
    return int((await rows(watch, query, *values))[0][0])


async def objects(stack: Stack, wanted: int, seconds: int = 10) -> int:
    """How many there are, once it is as many as wanted or the time is over."""
    for _ in range(seconds * 10):
        found = sum(each.is_file() for each in (stack.data_dir / "objects").rglob("*"))
        if found == wanted:
            break
        await asyncio.sleep(0.1)
    return found
