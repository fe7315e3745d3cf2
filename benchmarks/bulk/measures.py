"""What is measured, each beside the floor; the results, ready for the table."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.bulk import footprint, goals
from benchmarks.bulk.floor import Floor, Ingested
from benchmarks.bulk.goals import Goal, Measured
from benchmarks.bulk.product import CLIENTS, Loaded, Product, at_once
from benchmarks.corpus import Document, Shape, questions

QUESTIONS = 200  # of each measurement
SINGLES = 20
LISTS = 100
REST_SECONDS = 60.0

Search = Callable[[str], Awaitable[None]]


@dataclass(frozen=True)
class Load:
    """A load of the product, between two of the floor."""

    name: str
    before: Ingested
    ours: Loaded
    after: Ingested

    def measured(self, rate: Goal, processor: Goal) -> list[Measured]:
        """Documents a second, and seconds of the processor a document."""
        floors = (self.before, self.after)
        floor_rate = statistics.mean(each.rate for each in floors)
        floor_processor = statistics.mean(each.processor for each in floors) / self.ours.documents
        ours = sum(self.ours.processor.values()) / self.ours.documents
        return [Measured(rate, self.ours.rate, floor_rate), Measured(processor, ours, floor_processor)]

    def __str__(self) -> str:
        size = f"{self.ours.documents} documents, {self.ours.chunks} chunks (floor: {self.before.chunks})"
        rates = f"{self.before.rate:.1f} (floor before), {self.ours.rate:.1f}, {self.after.rate:.1f} (floor after)"
        return f"{self.name}: {size}; documents/s {rates}"


async def load(floor: Floor, product: Product, name: str, documents: Sequence[Document]) -> Load:
    """Into a new collection of this name."""
    before = await floor.ingest(documents)
    ours = await product.ingest(name, documents)
    found = Load(name, before, ours, await floor.ingest(documents))
    print(found, flush=True)
    return found


async def searches(floor: Floor, product: Product, collection: str, documents: Sequence[Document]) -> list[Measured]:
    """Of what both have ingested last, with other questions each time: the product remembers their vectors."""
    parts = iter(_parts(questions(documents, 6 * (1 + QUESTIONS))))

    def ours(mode: str) -> Search:
        return lambda question: product.search(collection, mode, question)

    alone = {}
    for mode in goals.SEARCH:
        before = footprint.taken(product.stack.pid)
        alone[mode] = await _clocked(1, ours(mode), next(parts))
        print(f"{mode} search, CPU ms: {_each(footprint.taken(product.stack.pid).since(before))}", flush=True)
    crowded = {mode: await _clocked(CLIENTS, ours(mode), next(parts)) for mode in goals.QPS}
    floor_alone = await _clocked(1, floor.search, next(parts))
    floor_crowded = await _clocked(CLIENTS, floor.search, next(parts))
    return [
        *(Measured(goal, alone[mode].p50, floor_alone.p50) for mode, goal in goals.SEARCH.items()),
        *(Measured(goal, crowded[mode].rate, floor_crowded.rate) for mode, goal in goals.QPS.items()),
    ]


def _each(spent: Mapping[str, float]) -> str:
    """Milliseconds of the processor for a question, by what the processes are."""
    shares = {name: seconds / (1 + QUESTIONS) * 1000 for name, seconds in spent.items()}
    return ", ".join(f"{name} {goals.number(share)}" for name, share in shares.items() if share >= 0.05)


def _parts(asked: Sequence[str]) -> list[Sequence[str]]:
    size = 1 + QUESTIONS
    return [asked[start : start + size] for start in range(0, len(asked), size)]


@dataclass(frozen=True)
class Clocked:
    """The median in milliseconds, and how many a second."""

    p50: float
    rate: float


async def _clocked(clients: int, search: Search, asked: Sequence[str]) -> Clocked:
    await search(asked[0])  # what is opened or loaded by the first
    started = time.perf_counter()
    times = await at_once(clients, asked[1:], search)
    return Clocked(statistics.median(times) * 1000, len(times) / (time.perf_counter() - started))


async def singles(product: Product, shape: Shape) -> Measured:
    """One after another, each on a system that does nothing else."""
    fresh = [Document(f"single-{each.name}", f"{each.text}\nOnce more.\n") for each in shape.corpus(SINGLES)]
    times = [await product.single(shape.name, document) for document in fresh]
    return Measured(goals.SINGLE, statistics.median(times) * 1000)


async def lists(product: Product) -> Measured:
    bare: list[float] = []
    ours: list[float] = []
    for turn in range(LISTS):
        bare += await at_once(1, [turn], product.healthz)
        ours += await at_once(1, [turn], product.list_one)
    return Measured(goals.LIST, statistics.median(ours) * 1000, statistics.median(bare) * 1000)


async def rest(product: Product) -> list[Measured]:
    """Of all processes together, while nothing is asked of them."""
    before = footprint.taken(product.stack.pid)
    await asyncio.sleep(REST_SECONDS)
    after = footprint.taken(product.stack.pid)
    share = sum(after.since(before).values()) / REST_SECONDS * 100
    return [Measured(goals.REST_MEMORY, sum(after.memory.values())), Measured(goals.REST_PROCESSOR, share)]
