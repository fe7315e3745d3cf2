"""What every scenario works with: the product, running, with a client and a watcher of its jobs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.system.faults import checks, corpus, edges
from tests.system.faults.load import Load
from tests.system.faults.report import Report
from tests.system.faults.stack import Stack
from tests.system.faults.watch import Watch


@dataclass(frozen=True)
class Options:
    seed: int = 1
    short: bool = False
    rounds: int = 3
    keep_logs: Path | None = None
    pgbouncer: bool = False  # between the product and Postgres


@dataclass
class Bench:
    """A running product with a client, a watch and a receiver of webhooks."""

    stack: Stack
    watch: Watch
    load: Load
    receiver: edges.Receiver

    async def finish(self, report: Report, sources: list[corpus.Source]) -> None:
        await self.watch.until_ended()
        await checks.documents(report, self.stack, self.watch, self.load, sources)


@asynccontextmanager
async def bench(
    options: Options, own: str = "", ready: str = "/readyz?strict=true", **settings: str
) -> AsyncIterator[Bench]:
    receiver, stack = edges.Receiver(), Stack(options.keep_logs, own, pgbouncer=options.pgbouncer, **settings)
    async with edges.serving(receiver.answer) as callback_url, stack:
        await stack.ready(ready)
        load = Load(stack, callback_url)
        async with load.client, Watch(stack) as watch:
            yield Bench(stack, watch, load, receiver)
