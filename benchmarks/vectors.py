"""`make bench-vectors`: what the vector leg finds of what exact search finds, and how fast, filtered and not.

One collection of clustered vectors in an embedded Postgres, searched by `retrieval.search` as shipped, by its index at
any size of the scope, and, for the choice of layout, by a table of its own with its own index for each scope.
"""

import argparse
import asyncio
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import asyncpg
import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import table
from footnote import retrieval
from footnote.database.engine import connect
from footnote.filters import Among, Filter
from footnote.local_stack.postgres import running_postgres
from footnote.operations import bootstrap
from footnote.providers import Embeddings
from footnote.retrieval import vector_leg
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings

Vectors = NDArray[np.float32]
DIMENSIONS = 384
# Embeddings of texts lie near a surface of far fewer dimensions than they have numbers.
INTRINSIC = 40
CLUSTERS = 300
SHARES = {"all": 1, "one in 10": 10, "one in 100": 100}
TOP = 10


class Given:
    """An embedder of questions that are numbers: the places of vectors made beforehand."""

    provider, model, address = "bench", "bench", None
    max_texts = max_tokens = 1_000_000
    longest_text = None

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def count_tokens(self, text: str) -> int:
        return len(text)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        return Embeddings(self._vectors[[int(text) for text in texts]], len(texts))

    async def close(self) -> None: ...


def clustered(count: int, seed: int) -> Vectors:
    """Unit vectors of shape (count, DIMENSIONS): the same clusters for any seed, other points."""
    shape = np.random.default_rng(0)
    centres = shape.normal(size=(CLUSTERS, INTRINSIC))
    spread = shape.normal(size=(INTRINSIC, DIMENSIONS))
    points = np.random.default_rng(seed)
    inner = centres[points.integers(CLUSTERS, size=count)] + points.normal(size=(count, INTRINSIC)) * 0.7
    vectors = inner @ spread + points.normal(size=(count, DIMENSIONS))
    unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


async def load(connection: "asyncpg.Connection[object]", vectors: Vectors) -> None:
    """Each vector a document of one chunk; the index is built after them, as it would grow beside them."""
    await connection.execute(
        f"""
        INSERT INTO tenant (id, name, webhook_secret) VALUES ('ten_b', 'bench', 'x');
        INSERT INTO embedding_space (id, provider, model, dimensions) VALUES (1, 'bench', 'bench', {DIMENSIONS});
        INSERT INTO collection (id, tenant_id, name, space_id, chunking) VALUES ('col_b', 'ten_b', 'bench', 1, '{{}}');
        CREATE TABLE given (place int, embedding halfvec({DIMENSIONS}));
        """
    )
    for start in range(0, len(vectors), 10_000):
        lines = (
            f"{place}\t[{','.join(map('{:.4f}'.format, vector))}]\n"
            for place, vector in enumerate(vectors[start : start + 10_000], start)
        )
        await connection.copy_to_table("given", source=io.BytesIO("".join(lines).encode()))
    metadata = ", ".join(f"'{share}', place % {share}" for share in SHARES.values())
    await connection.execute(
        f"""
        INSERT INTO document (id, tenant_id, collection_id, filename, metadata, sha256, active_version_id, job_id)
            SELECT 'doc_' || place, 'ten_b', 'col_b', 'f', jsonb_build_object({metadata}), '', 'ver_' || place, 'job'
            FROM given;
        INSERT INTO version (id, tenant_id, document_id, number, filename, media_type, sha256, bytes, pages, chunks)
            SELECT 'ver_' || place, 'ten_b', 'doc_' || place, 1, 'f', 'text/plain', '', 1, 1, 1 FROM given;
        INSERT INTO chunk (version_id, position, tenant_id, collection_id, document_id, space_id, language, page_start,
                           page_end, char_start, char_end, heading, context, text, words, text_sha256, embedding, tsv)
            SELECT 'ver_' || place, 0, 'ten_b', 'col_b', 'doc_' || place, 1, 'simple', 1, 1, 0, 1, '', '',
                   CAST(place AS text), 1, '', embedding, to_tsvector('simple', CAST(place AS text)) FROM given;
        SET maintenance_work_mem = '1GB';
        CREATE INDEX ON chunk USING hnsw ((embedding::halfvec({DIMENSIONS})) halfvec_cosine_ops)
            WITH (m = 16, ef_construction = 64) WHERE space_id = 1;
        """
    )
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


async def compare(rt: Runtime, connection: "asyncpg.Connection[object]", scope: Scope) -> list[list[str]]:
    async def shipped(question: int) -> set[int]:
        query = retrieval.Query(str(question), mode="vector", top_k=TOP, filter=scope.filter)
        return {int(hit.text) for hit in (await retrieval.search(rt.for_tenant("ten_b"), query)).hits}

    async def apart(question: int) -> set[int]:
        vector = "[" + ",".join(map(str, scope.questions[question])) + "]"
        table = f"apart_{scope.share}"
        rows = await connection.fetch(
            f"SELECT place FROM {table} ORDER BY embedding <=> $1::text::halfvec LIMIT 10", vector
        )
        return {row["place"] for row in rows}

    rows = [[scope.name, "as shipped", *await measured(scope, shipped)]]
    with mock.patch.object(vector_leg, "EXACT_CHUNKS", 0):
        rows.append([scope.name, "by the index at any size", *await measured(scope, shipped)])
    if scope.share > 1:
        rows.append([scope.name, "a table and an index of its own", *await measured(scope, apart)])
    return rows


async def run(settings: Settings, chunks: int, questions: int) -> None:
    vectors, asked = clustered(chunks, 1), clustered(questions, 2)
    connection = await connect(settings, statement_seconds=3600)
    started = time.monotonic()
    await load(connection, vectors)
    print(
        f"{chunks} vectors of {DIMENSIONS} numbers loaded and indexed in {time.monotonic() - started:.0f} s", flush=True
    )
    async with open_runtime(settings) as opened:
        rt = replace(opened, embedder=Given(asked))
        rows = [["in scope", "layout", "recall@10", "median (95 %)"]]
        for name, share in SHARES.items():
            rows += await compare(rt, connection, Scope(name, share, vectors, asked))
    print("\n".join(table(rows)), flush=True)
    await connection.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=200)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="fn-") as directory,
        running_postgres(Path(directory) / "pg") as database_url,
    ):
        settings = Settings(_env_file=None, database_url=database_url, storage_url=(Path(directory) / "o").as_uri())
        os.environ["DATABASE_URL"] = database_url
        bootstrap.migrate()
        asyncio.run(run(settings, given.chunks, given.questions))
    return 0


if __name__ == "__main__":
    sys.exit(main())
