"""Files that several stores share, deleted while they are attached and read, and while processes are killed."""

import asyncio
import json
import random
import signal
from typing import Any

from footnote.documents.objects import RESERVED_SECONDS
from tests.system.faults import checks, corpus
from tests.system.faults.bench import Bench, Options, bench
from tests.system.faults.corpus import Source
from tests.system.faults.inflict import Faults
from tests.system.faults.report import Report
from tests.system.faults.stack import until

PATIENCE_SECONDS = 120.0
KILLED = ("api", "worker", "dispatcher", "api", "worker")
UNDONE = "SELECT count(*) FROM background_task WHERE state <> 'completed'"
# The file's own object, and what the chunk step had stored of documents that were deleted before they were ready.
RECEIPTS = (
    "SELECT count(*) FROM background_task WHERE kind = 'file.delete' AND CAST(counts ->> 'objects' AS bigint) >= 1"
)
LEFT = (
    "SELECT (SELECT count(*) FROM file) + (SELECT count(*) FROM document WHERE file_id IS NOT NULL)"
    " + (SELECT count(*) FROM file_batch_item WHERE document_id IS NOT NULL)"
)


async def _answer(on: Bench, kind: str, method: str, path: str, allowed: tuple[int, ...], **given: Any) -> Any:
    """The body of the first answer that is as it should be; what a killed process left open is sent again."""

    async def answered() -> tuple[int, bytes] | None:
        request, body = await on.load.send(kind, method, "/openai/v1" + path, **given)
        status = request.status or 0
        assert status < 500 or status == 503 or request.problem, request
        return (status, body) if status in allowed and not request.problem.startswith("Remote") else None

    status, body = await until(answered, PATIENCE_SECONDS, f"{kind} is answered")
    return json.loads(body) if status == 200 else None


async def _live(on: Bench, source: Source, stores: list[str], rng: random.Random) -> None:
    """Sends the file, attaches it to each store, and deletes it at any moment from then on."""
    await asyncio.sleep(rng.uniform(0, 20))
    sent = {"files": {"file": (source.filename, source.content)}, "data": {"purpose": "assistants"}}
    key = {"Idempotency-Key": source.name}
    file_id = (await _answer(on, "file", "POST", "/files", (200,), headers=key, **sent))["id"]

    async def attach(store: str) -> None:
        await asyncio.sleep(rng.uniform(0, 3))
        if rng.random() < 0.5:
            await _answer(on, "attach", "POST", f"{store}/files", (200, 404), json={"file_id": file_id})
        else:
            await _answer(on, "batch", "POST", f"{store}/file_batches", (200,), json={"file_ids": [file_id]})

    async def delete() -> None:
        await asyncio.sleep(rng.uniform(0, 8))
        await _answer(on, "delete file", "DELETE", f"/files/{file_id}", (200, 404))

    await asyncio.gather(*map(attach, stores), delete())


async def _kill(on: Bench, options: Options, rng: random.Random) -> None:
    faults = Faults(on.stack, on.watch, options.seed)
    for what in KILLED[: 3 if options.short else None]:
        await asyncio.sleep(rng.uniform(2, 5))
        await faults.end(what, signal.SIGKILL)


async def files(options: Options) -> Report:
    """A file goes with all its documents, its bytes once, and leaves receipts, though processes are killed."""
    rng = random.Random(options.seed)
    count = 20 if options.short else 40
    report = Report(f"files, seed {options.seed}: {count} attached to two stores each and deleted, processes killed")
    sources = corpus.sources(options.seed, 20 + count)
    kept, gone = sources[:20], sources[20:]
    async with bench(options) as on:
        made = [await _answer(on, "store", "POST", "/vector_stores", (200,), json={}) for _ in range(2)]
        stores = [f"/vector_stores/{each['id']}" for each in made]
        async with asyncio.TaskGroup() as group:
            group.create_task(on.load.upload_all(kept, 2))
            group.create_task(_kill(on, options, rng))
            for source in gone:
                group.create_task(_live(on, source, stores, rng))

        async def all_done() -> bool:
            return await checks.count(on.watch, UNDONE) == 0

        await until(all_done, PATIENCE_SECONDS, "all deletions and batches are completed")
        await on.finish(report, kept)
        report.exactly("receipts of deleted files", count, await checks.count(on.watch, RECEIPTS))
        report.exactly("files, and documents of files", 0, await checks.count(on.watch, LEFT))
        # What a killed API process had stored but not yet recorded is swept when its reservation is over.
        swept_after = int(RESERVED_SECONDS) + 30
        left = await checks.objects(on.stack, 20, swept_after)
        report.exactly(f"objects in the store, {swept_after} s later at most", 20, left)
    return report
