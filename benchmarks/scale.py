"""`make bench SCALE=1`: what a row, a search, a list and an upload cost beside 10,000 chunks of a tenant and more.

The chunks are generated (`benchmarks.rows`), ten a document. What grows faster than their logarithm shows in the table.
Read processor time: wall times of a shared machine say little. SIZES="10000 100000 1000000" takes about an hour.
"""

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

import asyncpg
import httpx2

from api.app import create_app
from benchmarks import rows
from benchmarks.bulk import footprint, goals
from benchmarks.bulk.goals import number
from benchmarks.corpus import sentence
from benchmarks.pipeline import put
from benchmarks.rows import Batch, Given, clustered, load
from benchmarks.running import servers
from benchmarks.tables import table
from footnote import ingest, jobs, retrieval
from footnote.database.engine import connect
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings
from footnote.tenancy import keys
from worker import housekeeping

SIZES = (10_000, 100_000)
PER_DOCUMENT = 10
STEP = 50_000  # chunks that are in memory at once
ADDED = 1_000  # chunks that are inserted with all indexes in place
QUESTIONS, LISTS, UPLOADS = 60, 40, 5
SENTENCES = 7  # of a chunk: about 110 words
POOL = 20_000
BUILD_MEMORY = "1GB"
GOALS = {"hybrid": goals.HYBRID_LARGE, "list": goals.LIST_LARGE, "upsert": goals.UPSERT_LARGE}

Work = Callable[[], Awaitable[object]]


@cache
def _pool() -> list[str]:
    rng = random.Random(3)
    return [sentence(rng) for _ in range(POOL)]


def texts(first: int, chunks: int) -> list[str]:
    """Of the chunks from place `first` on: other ones for each place."""
    rng = random.Random(first)
    return [" ".join(rng.choices(_pool(), k=SENTENCES)) for _ in range(chunks)]


def questions() -> list[str]:
    rng = random.Random(4)
    return [sentence(rng) for _ in range(QUESTIONS)]


@dataclass(frozen=True)
class Server:
    """The database as its machine sees it: one connection, and all its processes."""

    connection: "asyncpg.Connection[Any]"

    def _processes(self) -> list[int]:
        return footprint.tree(footprint.parent(self.connection.get_server_pid()))

    def processor(self) -> float:
        """Seconds, of those that have ended, too."""
        return sum(map(footprint.processor_seconds, self._processes()))

    def memory(self) -> float:
        """MiB."""
        return sum(map(footprint.memory_mib, self._processes()))

    @asynccontextmanager
    async def peak(self) -> AsyncIterator[list[float]]:
        """What it takes within the block beyond what it had: MiB, looked at five times a second."""
        before, seen = self.memory(), [0.0]

        async def look() -> None:
            while True:
                await asyncio.sleep(0.2)
                seen.append(await asyncio.to_thread(self.memory) - before)

        looking = asyncio.create_task(look())
        yield seen
        looking.cancel()


@dataclass
class Column:
    """What was found at one size, by what was measured."""

    chunks: int
    cells: dict[str, str] = field(default_factory=dict)

    async def clocked(self, name: str, server: Server, work: Sequence[Work]) -> None:
        """Median and 95th percentile on the clock, and the database's own time, each in milliseconds."""
        before, times = server.processor(), []
        for each in work:
            started = time.perf_counter()
            await each()
            times.append((time.perf_counter() - started) * 1000)
        processor = (server.processor() - before) / len(work) * 1000
        p50, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
        self.cells[name] = f"{number(processor)}; {number(p50)} ({number(p95)})"


async def grow(server: Server, start: int, size: int) -> None:
    for first in range(start, size, STEP):
        chunks = min(STEP, size - first)
        await load(server.connection, Batch(first, clustered(chunks, 10 + first), texts(first, chunks), PER_DOCUMENT))


async def fill(server: Server, column: Column, start: int) -> None:
    """To the column's size. The large indexes are built after that, and then grow by ADDED chunks."""
    found = await server.connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'chunk' AND indexdef ~ 'USING (gin|hnsw)'"
    )
    indexes = dict(map(tuple, found))
    for name in indexes:
        await server.connection.execute(f"DROP INDEX {name}")
    indexes.setdefault(f"ix_chunk_embedding_space_{rows.SPACE}", rows.VECTOR_INDEX)
    await grow(server, start, column.chunks - ADDED)
    await server.connection.execute(f"SET maintenance_work_mem = '{BUILD_MEMORY}'")
    for name, definition in sorted(indexes.items()):
        before, started = server.processor(), time.perf_counter()
        async with server.peak() as peak:
            await server.connection.execute(definition)
        seconds, processor = time.perf_counter() - started, server.processor() - before
        built = f"{number(processor)}; {number(seconds)}; {number(max(peak))}"
        column.cells[f"build {name}: CPU s; s; MiB at most"] = built
    before = server.processor()
    await grow(server, column.chunks - ADDED, column.chunks)
    column.cells["insert with all indexes: rows a CPU second"] = number(ADDED / (server.processor() - before))
    await server.connection.execute("VACUUM ANALYZE")


async def keep_house(rt: Runtime) -> None:
    """As the dispatcher does all the time."""
    await rows.count_rows(rt)
    for chore in housekeeping.EVERY:
        await chore(rt)


async def search(rt: Runtime, server: Server, column: Column) -> None:
    modes: tuple[retrieval.Mode, ...] = ("vector", "keyword", "hybrid")
    for mode in modes:
        work = [
            partial(retrieval.search, rt.for_tenant(rows.TENANT), retrieval.Query(each, mode=mode))
            for each in questions()
        ]
        await work[0]()
        await column.clocked(mode, server, work)


async def lists(rt: Runtime, server: Server, column: Column) -> None:
    """Through the whole API, in this process."""
    async with rt.transaction() as session:
        _, key = await keys.create(session, rows.TENANT, "bench")
    app = create_app(runtime=rt)
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://bench", headers=headers) as client,
    ):

        async def one() -> None:
            (await client.get("/v1/documents", params={"limit": 1})).raise_for_status()

        await one()
        await column.clocked("list", server, [one] * LISTS)


async def uploads(rt: Runtime, server: Server, column: Column) -> None:
    """The last step of the pipeline, for one document after another."""
    accepted = [await _embedded(rt, column.chunks + place) for place in range(1 + UPLOADS)]
    left = iter(accepted)

    async def upsert() -> None:
        await ingest.run_step(rt, next(left), jobs.STEPS[-1])

    await upsert()
    await column.clocked("upsert", server, [upsert] * UPLOADS)
    done = await server.connection.fetchval(
        "SELECT count(*) FROM job WHERE state = 'succeeded' AND id = ANY($1)", accepted
    )
    if done != len(accepted):
        raise SystemExit(f"Of {len(accepted)} documents {done} are ready.")


async def _embedded(rt: Runtime, place: int) -> str:
    """The job of a new document that is ready for the last step."""
    job_id = await put(rt, rows.TENANT, "\n\n".join(texts(-place, PER_DOCUMENT)).encode())
    for step in jobs.STEPS[:-1]:
        await ingest.run_step(rt, job_id, step)
    return job_id


def rendered(columns: Sequence[Column]) -> list[list[str]]:
    """What was measured, a column for each size, and its goal."""
    found = [["", *(f"{column.chunks:,} chunks" for column in columns), "goal"]]
    for name in columns[0].cells:
        goal = f"{GOALS[name].what}: {GOALS[name]}" if name in GOALS else ""
        unit = ": server CPU ms; ms (95 %)" if name.isalpha() else ""
        found.append([f"{name}{unit}", *(column.cells.get(name, "") for column in columns), goal])
    return found


async def run(settings: Settings, sizes: Sequence[int]) -> None:
    server = Server(await connect(settings, statement_seconds=7200))
    await rows.prepare(server.connection)
    columns: list[Column] = []
    async with open_runtime(settings) as opened:
        rt = replace(opened, embedder=Given(clustered(QUESTIONS, 2), questions()))
        for size in sizes:
            started, column = time.perf_counter(), Column(size)
            await fill(server, column, columns[-1].chunks if columns else 0)
            await keep_house(opened)
            await search(rt, server, column)
            await lists(rt, server, column)
            await uploads(rt, server, column)
            columns.append(column)
            print(f"{size:,} chunks: {time.perf_counter() - started:.0f} s", flush=True)
    print(*table(rendered(columns)), sep="\n")
    await server.connection.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="chunks, the fewest first")
    given = parser.parse_args()
    with servers() as settings:
        asyncio.run(run(settings, given.sizes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
