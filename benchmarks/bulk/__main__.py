"""`python -m benchmarks.bulk`: loads, searches and rest, each beside the floor in one run. Quote ratios, not times.

The status is 0 whatever was reached; with `--at-least`, 1 if a rate of documents is below that part of the floor's.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from benchmarks import provider
from benchmarks.bulk import goals, measures
from benchmarks.bulk.floor import Floor, opened
from benchmarks.bulk.goals import Measured, number
from benchmarks.bulk.measures import Load
from benchmarks.bulk.product import Product, running
from benchmarks.corpus import LONG, SHORT, Shape
from benchmarks.tables import Row, table

SHORT_RUN = 60  # documents of a short run
TRIES = 3
WARM = Shape(3, 8)  # with which processes import what they need

Found = tuple[list[Measured], list[Load]]
Way = Callable[[Floor, Product, int, float], Awaitable[Found]]


async def short(floor: Floor, product: Product, documents: int, at_least: float) -> Found:
    """One small load; a few, of other documents, as long as the rate is too low: a machine can be busy for a moment."""
    for turn in range(TRIES):
        mine = SHORT.corpus((turn + 1) * documents)[turn * documents :]
        small = await measures.load(floor, product, f"{SHORT.name}-{turn}", mine)
        measured = small.measured(goals.SHORT_RATE, goals.SHORT_PROCESSOR)
        if measured[0].value >= at_least:
            break
    return measured, [small]


async def whole(floor: Floor, product: Product, most: int, _at_least: float) -> Found:
    documents = SHORT.corpus(min(most, SHORT.documents))
    long = await measures.load(floor, product, LONG.name, LONG.corpus(min(most, LONG.documents)))
    small = await measures.load(floor, product, SHORT.name, documents)
    measured = long.measured(goals.LONG_RATE, goals.LONG_PROCESSOR)
    measured += small.measured(goals.SHORT_RATE, goals.SHORT_PROCESSOR)
    measured += await measures.searches(floor, product, SHORT.name, documents)
    measured += [await measures.singles(product, SHORT), await measures.lists(product)]
    await floor.close()
    return measured + await measures.rest(product), [long, small]


def by_process(loads: Sequence[Load]) -> list[Row]:
    """Milliseconds of the processor for a document, and memory, by what the processes are."""
    units = ("CPU ms a document", "MiB (PSS)")
    rows: list[Row] = [["process", *(f"{each.name}: {unit}" for each in loads for unit in units)]]
    for name in dict.fromkeys(name for each in loads for name in each.ours.processor):
        cells: list[str] = []
        for ours in (each.ours for each in loads):
            cells += [number(ours.processor.get(name, 0.0) / ours.documents * 1000), number(ours.memory.get(name, 0.0))]
        rows.append([name, *cells])
    return rows


async def run(directory: Path, provider_url: str, way: Way, documents: int, at_least: float) -> Found:
    async with (
        running(directory, provider_url) as product,
        opened(product.stack.database_url, provider_url) as floor,
    ):
        await floor.ingest(SHORT.corpus(SHORT_RUN))  # imports, and the provider draws its words
        await product.ingest("warm", WARM.corpus())
        return await way(floor, product, documents, at_least)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bulk", description=__doc__)
    parser.add_argument("--short", action="store_true", help=f"one load, of {SHORT_RUN} documents")
    parser.add_argument("--documents", type=int, default=SHORT.documents, help="the most of a load")
    parser.add_argument("--at-least", type=float, default=0.0, metavar="RATIO")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that the provider takes for a request")
    given = parser.parse_args()
    way = short if given.short else whole
    documents = min(given.documents, SHORT_RUN) if given.short else given.documents
    with tempfile.TemporaryDirectory(prefix="fn-") as directory, provider.running(given.latency) as url:
        measured, loads = asyncio.run(run(Path(directory).resolve(), url, way, documents, given.at_least))
    print(*table(list(goals.rows(measured))), "", *table(by_process(loads)), sep="\n")
    print(f"\nLoad of the machine (1, 5, 15 minutes): {', '.join(map(number, os.getloadavg()))}")
    rates = [each.value for each in measured if each.goal in (goals.LONG_RATE, goals.SHORT_RATE)]
    return int(min(rates) < given.at_least)


if __name__ == "__main__":
    sys.exit(main())
