"""`make bench-vectors`: what the vector leg finds of what exact search finds, and how fast, filtered and not.

One collection of clustered vectors in an embedded Postgres, searched by `retrieval.search` as shipped, by its index at
any size of the scope, and, for the choice of layout, by a table of its own with its own index for each scope.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import asyncpg
import numpy as np

from benchmarks import rows
from benchmarks.provider import DIMENSIONS
from benchmarks.rows import Given, Vectors, clustered
from benchmarks.running import servers
from benchmarks.tables import table
from footnote import retrieval
from footnote.database.engine import connect
from footnote.filters import Among, Filter
from footnote.retrieval import vector_leg
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings

SHARES = {"all": 1, "one in 10": 10, "one in 100": 100}
TOP = 10


async def load(connection: "asyncpg.Connection[Any]", vectors: Vectors) -> None:
    """Each vector a document of one chunk; the index is built after them, as it would grow beside them."""
    await rows.prepare(connection)
    metadata = ", ".join(f"'{share}', place % {share}" for share in SHARES.values())
    places = list(map(str, range(len(vectors))))
    batch = rows.Batch(0, vectors, places, language="simple", metadata=f"jsonb_build_object({metadata})")
    await rows.load(connection, batch)
    await connection.execute("SET maintenance_work_mem = '1GB'")
    await connection.execute(rows.VECTOR_INDEX)
    for share in list(SHARES.values())[1:]:
        await connection.execute(
            f"""
            CREATE TABLE apart_{share} AS SELECT * FROM given WHERE place % {share} = 0;
            CREATE INDEX ON apart_{share} USING hnsw (embedding halfvec_cosine_ops) WITH (m = 16, ef_construction = 64);
            """
        )
    await connection.execute("VACUUM ANALYZE")


@dataclass(frozen=True)
class Scope:
    """What of the vectors is searched: those at places that `share` divides."""

    name: str
    share: int
    vectors: Vectors
    questions: Vectors

    @property
    def filter(self) -> Filter | None:
        return Among(str(self.share), (0,)) if self.share > 1 else None

    def best(self) -> list[set[int]]:
        """The places that exact search finds."""
        similarities = self.questions @ self.vectors[:: self.share].T
        return [set((np.argsort(-row)[:TOP] * self.share).tolist()) for row in similarities]


async def measured(scope: Scope, search: Callable[[int], Awaitable[set[int]]]) -> list[str]:
    """Recall@10 and the median and 95th percentile in milliseconds, over all questions, one after another."""
    recalls, times = [], []
    for question, best in enumerate(scope.best()):
        started = time.perf_counter()
        found = await search(question)
        times.append((time.perf_counter() - started) * 1000)
        recalls.append(len(found & best) / TOP)
    low, high = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    return [f"{statistics.mean(recalls):.3f}", f"{low:.1f} ms ({high:.1f})"]


async def compare(rt: Runtime, connection: "asyncpg.Connection[Any]", scope: Scope) -> list[list[str]]:
    async def shipped(question: int) -> set[int]:
        query = retrieval.Query(str(question), mode="vector", top_k=TOP, filter=scope.filter)
        return {int(hit.text) for hit in (await retrieval.search(rt.for_tenant(rows.TENANT), query)).hits}

    async def apart(question: int) -> set[int]:
        vector = "[" + ",".join(map(str, scope.questions[question])) + "]"
        table = f"apart_{scope.share}"
        nearest = await connection.fetch(
            f"SELECT place FROM {table} ORDER BY embedding <=> $1::text::halfvec LIMIT 10", vector
        )
        return {row["place"] for row in nearest}

    found = [[scope.name, "as shipped", *await measured(scope, shipped)]]
    with mock.patch.object(vector_leg, "EXACT_CHUNKS", 0):
        found.append([scope.name, "by the index at any size", *await measured(scope, shipped)])
    if scope.share > 1:
        found.append([scope.name, "a table and an index of its own", *await measured(scope, apart)])
    return found


async def run(settings: Settings, chunks: int, questions: int) -> None:
    vectors, asked = clustered(chunks, 1), clustered(questions, 2)
    connection = await connect(settings, statement_seconds=3600)
    started = time.monotonic()
    await load(connection, vectors)
    print(
        f"{chunks} vectors of {DIMENSIONS} numbers loaded and indexed in {time.monotonic() - started:.0f} s",
        flush=True,
    )
    async with open_runtime(settings) as opened:
        await rows.count_rows(opened)
        rt = replace(opened, embedder=Given(asked))
        found = [["in scope", "layout", "recall@10", "median (95 %)"]]
        for name, share in SHARES.items():
            found += await compare(rt, connection, Scope(name, share, vectors, asked))
    print("\n".join(table(found)), flush=True)
    await connection.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=200)
    given = parser.parse_args()
    with servers() as settings:
        asyncio.run(run(settings, given.chunks, given.questions))
    return 0


if __name__ == "__main__":
    sys.exit(main())
