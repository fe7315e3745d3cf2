"""`make bench TRACES=1`: what traces add to the processor time of ingestion.

Two installations, one of which sends its spans, ingest the same documents in turns. Processor time is the sum of
the API's, the worker's and the dispatcher's.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks import provider
from benchmarks.bulk.product import Product, running
from benchmarks.corpus import SHORT, Document
from benchmarks.tables import Row, table
from tests.collecting import Collector, collecting

DOCUMENTS, ROUNDS = 100, 6
OURS = ("API", "worker", "dispatcher", "Celery parent")


async def milliseconds(product: Product, collection: str, documents: Sequence[Document]) -> float:
    """Of the processor, for a document."""
    spent = (await product.ingest(collection, documents)).processor
    return sum(spent.get(name, 0.0) for name in OURS) / len(documents) * 1000


async def compared(directory: Path, url: str, collector: Collector, rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each round, without traces and with them."""
    documents = SHORT.corpus((rounds + 1) * DOCUMENTS)
    async with AsyncExitStack() as entered:
        products = []
        for name, settings in (("off", {}), ("on", {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})):
            (directory / name).mkdir()
            products.append(await entered.enter_async_context(running(directory / name, url, **settings)))
        found: tuple[list[float], list[float]] = ([], [])
        for turn in range(rounds + 1):
            mine = documents[turn * DOCUMENTS : (turn + 1) * DOCUMENTS]
            for place in (0, 1) if turn % 2 else (1, 0):
                found[place].append(await milliseconds(products[place], f"round{turn}", mine))
            print(f"round {turn}: {found[0][-1]:.2f} ms off, {found[1][-1]:.2f} ms on", flush=True)
    return found[0][1:], found[1][1:]  # without the first, in which processes import what they need


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.traces", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of {DOCUMENTS} documents each")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fn-") as directory, provider.running() as url, collecting() as collector:
        off, on = asyncio.run(compared(Path(directory).resolve(), url, collector, given.rounds))
    more = statistics.median(b / a - 1 for a, b in zip(off, on, strict=True))
    rows: list[Row] = [("", "CPU ms a document, median"), ("traces off", f"{statistics.median(off):.2f}")]
    rows += [("traces on", f"{statistics.median(on):.2f}"), ("more, median of the pairs", f"{more:.1%}")]
    rows.append(("spans a document", f"{len(collector.spans) / DOCUMENTS / (given.rounds + 1):.1f}"))
    print(*table(rows), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
