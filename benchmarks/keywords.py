"""`python -m benchmarks.keywords`: what the keyword leg costs as a collection grows.

Chunks of words with natural frequencies in an embedded Postgres, ten to a document, searched by `retrieval.search` as
shipped. Processor time is that of Postgres, for all of a search.
"""

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import Iterator
from itertools import accumulate

import asyncpg
import psutil  # type: ignore[import-untyped]

from benchmarks.running import servers
from benchmarks.tables import table
from footnote import retrieval
from footnote.database.engine import connect
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings

VOCABULARY, WORDS, OF_A_DOCUMENT, BATCH = 100_000, 120, 10, 200
QUESTION_WORDS = 8

_PREPARED = """
INSERT INTO tenant (id, name, webhook_secret) VALUES ('ten_b', 'bench', 'x');
INSERT INTO embedding_space (id, provider, model, dimensions) VALUES (1, 'bench', 'bench', 2);
INSERT INTO collection (id, tenant_id, name, space_id, chunking) VALUES ('col_b', 'ten_b', 'bench', 1, '{}')
"""
# $1 are numbers of documents, $2 the texts of their chunks.
_DOCUMENTS = (
    """
    INSERT INTO document (id, tenant_id, collection_id, filename, metadata, sha256, active_version_id, job_id)
    SELECT 'doc_' || n, 'ten_b', 'col_b', 'f', '{}', '', 'ver_' || n, 'job' FROM unnest($1::int[]) AS n
    """,
    """
    INSERT INTO version (id, tenant_id, document_id, number, filename, media_type, sha256, bytes, pages, chunks)
    SELECT 'ver_' || n, 'ten_b', 'doc_' || n, 1, 'f', 'text/plain', '', 1, 1, 10 FROM unnest($1::int[]) AS n
    """,
)
_CHUNKS = f"""
INSERT INTO chunk (version_id, position, tenant_id, collection_id, document_id, space_id, language, page_start,
                   page_end, char_start, char_end, heading, context, text, words, text_sha256, embedding, tsv)
SELECT 'ver_' || document, place, 'ten_b', 'col_b', 'doc_' || document, 1, 'simple', 1, 1, 0, 1, '', '', t.text,
       {WORDS}, '', '[1,0]', to_tsvector('simple', t.text)
FROM unnest($2::text[]) WITH ORDINALITY AS t(text, number),
     LATERAL (SELECT ($1::int[])[(t.number - 1) / {OF_A_DOCUMENT} + 1] AS document,
                     (t.number - 1) % {OF_A_DOCUMENT} AS place) AS at
"""


class Words:
    """Words whose frequencies follow Zipf's law; the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._weights = list(accumulate(1 / (rank + 2.7) for rank in range(VOCABULARY)))

    def text(self, words: int) -> str:
        ranks = self._chance.choices(range(VOCABULARY), cum_weights=self._weights, k=words)
        return " ".join(f"w{rank}" for rank in ranks)


async def load(connection: "asyncpg.Connection[object]", chunks: int, words: Words) -> None:
    """Stores the documents in batches, as many uploads at a time would."""
    await connection.execute(_PREPARED)
    for numbers in _batches(chunks // OF_A_DOCUMENT):
        texts = [words.text(WORDS) for _ in range(len(numbers) * OF_A_DOCUMENT)]
        for statement in _DOCUMENTS:
            await connection.execute(statement, numbers)
        await connection.execute(_CHUNKS, numbers, texts)
    await connection.execute("VACUUM ANALYZE")


def _batches(documents: int) -> Iterator[list[int]]:
    for start in range(0, documents, BATCH):
        yield list(range(start, min(start + BATCH, documents)))


def processor_seconds() -> float:
    """Of the processes of Postgres, those that have ended included, as children of this process's children."""
    every = psutil.Process().children(recursive=True)
    return sum(sum(each.cpu_times()) for each in every)


async def measured(rt: Runtime, questions: list[str]) -> list[str]:
    """Processor time of Postgres and the median time of a search, in milliseconds."""
    times, before = [], processor_seconds()
    for question in questions:
        started = time.perf_counter()
        await retrieval.search(rt, retrieval.Query(question, mode="keyword"))
        times.append((time.perf_counter() - started) * 1000)
    spent = (processor_seconds() - before) / len(questions) * 1000
    return [f"{spent:.1f} ms", f"{statistics.median(times):.1f} ms"]


async def run(settings: Settings, chunks: int, questions: int) -> list[str]:
    connection = await connect(settings, statement_seconds=3600)
    started = processor_seconds()
    await load(connection, chunks, Words(1))
    inserted = f"{(processor_seconds() - started) / chunks * 1e6:.0f} us"
    size = await connection.fetchval(
        "SELECT pg_total_relation_size('posting') + pg_total_relation_size('posting_block')"
    )
    await connection.close()
    asked = Words(2)
    async with open_runtime(settings) as rt:
        each = rt.for_tenant("ten_b")
        await measured(each, ["w1 w2"])
        row = await measured(each, [asked.text(QUESTION_WORDS) for _ in range(questions)])
    return [f"{chunks:,}", *row, inserted, f"{size / chunks:,.0f} bytes"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--questions", type=int, default=100)
    given = parser.parse_args()
    rows = [["chunks", "processor time", "median", "insertion of a chunk", "postings of a chunk"]]
    for chunks in given.chunks:
        with servers() as settings:
            rows.append(asyncio.run(run(settings, chunks, given.questions)))
    print("\n".join(table(rows)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
