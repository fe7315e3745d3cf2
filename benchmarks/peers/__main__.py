"""`python -m benchmarks.peers --python PATH`: floor, each peer, Footnote, floor; one table of ratios."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import provider
from benchmarks.bulk import footprint
from benchmarks.bulk.floor import Floor, database, opened
from benchmarks.bulk.goals import number
from benchmarks.bulk.product import Product, running
from benchmarks.corpus import SHORT, Document
from benchmarks.peers.work import Work
from benchmarks.tables import Row, table
from footnote import __version__

ROOT = Path(__file__).parents[2]
PEERS = {"LangChain": "with_langchain", "LlamaIndex": "with_llamaindex", "txtai": "with_txtai"}


@dataclass(frozen=True)
class Done:
    """By one of them: seconds on the clock, and seconds of the processor with the database's."""

    name: str
    versions: str
    documents: int
    chunks: int
    seconds: float
    processor: float

    def row(self, floor_seconds: float) -> Row:
        rate, ratio = self.documents / self.seconds, floor_seconds / self.seconds
        processor = number(self.processor / self.documents * 1000)
        return self.name, self.versions, str(self.chunks), number(rate), f"{ratio:.2f}", processor


HEAD: Row = ("", "versions", "chunks", "documents/s", "of the floor", "CPU ms a document")


@contextmanager
def folder(documents: Sequence[Document]) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="fn-") as directory:
        for each in documents:
            (Path(directory) / each.name).write_text(each.text)
        yield directory


async def through_peer(python: Path, name: str, work: Work, postmaster: int, documents: int) -> Done:
    """In a process of its own, while this one waits."""
    before = _database_processor(postmaster)
    command = [str(python), "-m", f"benchmarks.peers.{PEERS[name]}", json.dumps(asdict(work))]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    processor = told["processor"] + _database_processor(postmaster) - before
    return Done(name, ", ".join(told["versions"]), documents, told["chunks"], told["seconds"], processor)


def _database_processor(postmaster: int) -> float:
    return sum(map(footprint.processor_seconds, footprint.tree(postmaster)))


async def through_floor(floor: Floor, documents: Sequence[Document], name: str) -> Done:
    found = await floor.ingest(documents)
    return Done(name, "", found.documents, found.chunks, found.seconds, found.processor)


async def through_footnote(product: Product, documents: Sequence[Document]) -> Done:
    found = await product.ingest("peers", documents)
    return Done("Footnote", __version__, found.documents, found.chunks, found.seconds, sum(found.processor.values()))


async def run(python: Path, documents: Sequence[Document], directory: Path, provider_url: str) -> list[Done]:
    async with (
        running(directory, provider_url) as product,
        opened(product.stack.database_url, provider_url) as floor,
    ):
        address = await database(product.stack.database_url, "peers")
        postmaster = footprint.parent(floor.connection.get_server_pid())
        await floor.ingest(documents[:50])  # imports, and the provider draws its words
        done = [await through_floor(floor, documents, "floor, before")]
        with folder(documents) as corpus:
            work = Work(corpus, provider_url, provider.MODEL, provider.DIMENSIONS, address)
            for name in PEERS:
                done.append(await through_peer(python, name, work, postmaster, len(documents)))
        done.append(await through_footnote(product, documents))
        done.append(await through_floor(floor, documents, "floor, after"))
        return done


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--python", type=Path, required=True, help="of the environment that has the peers")
    parser.add_argument("--documents", type=int, default=SHORT.documents)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fn-") as directory, provider.running() as url:
        documents = SHORT.corpus(given.documents)
        done = asyncio.run(run(given.python, documents, Path(directory).resolve(), url))
    floor_seconds = (done[0].seconds + done[-1].seconds) / 2
    print(*table([HEAD, *(each.row(floor_seconds) for each in done)]), sep="\n")
    print(f"\nLoad of the machine (1, 5, 15 minutes): {', '.join(map(number, os.getloadavg()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
