"""Workers come and go by `footnote_slots_wanted`, as an autoscaler would have it: all is done, and nothing twice."""

import asyncio
import math
import signal
import sys
import time
from collections import Counter
from typing import Any

import httpx2

from footnote.local_stack.processes import Process, spawn
from tests import metrics
from tests.system.faults import corpus, edges, processes
from tests.system.faults.bench import Bench, Options, bench
from tests.system.faults.report import Report
from tests.system.faults.stack import free_ports

DOCUMENTS, WAVES, PAUSE_SECONDS = 500, 2, 20.0
SLOTS = 2  # of a worker
MOST = 4  # workers
LOOK_SECONDS = 1.0
PATIENCE_LOOKS = 3  # with fewer that are wanted, before one goes
CALL_SECONDS = 0.3  # of the provider


class Provider(edges.Lengths):
    """Takes its time, and counts which texts it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.texts = Counter[str]()

    def answer(self, headers: edges.Headers, body: Any, ports: edges.Ports) -> Any:
        time.sleep(CALL_SECONDS)
        self.texts.update([body["input"]] if isinstance(body["input"], str) else body["input"])
        return super().answer(headers, body, ports)


class Autoscaler:
    """Starts and stops workers beside the first one, which the product itself runs."""

    def __init__(self, on: Bench, port: int) -> None:
        stack = on.stack
        servers = {"DATABASE_URL": stack.database_url, "REDIS_URL": stack.valkey.url}
        self.env = stack.env | servers | {"STORAGE_URL": (stack.data_dir / "objects").as_uri()}
        del self.env["FOOTNOTE_METRICS_PORT"]
        self.port, self.log = port, stack.data_dir / "workers.log"
        self.workers: list[Process] = []
        self.leaving: list[Process] = []
        self.seen = Counter[int]()  # looks, by the number of workers

    async def run(self) -> None:
        """Until cancelled."""
        low = 0
        while True:
            wanted = await self._wanted()
            low = low + 1 if wanted < 1 + len(self.workers) else 0
            while 1 + len(self.workers) < wanted:
                with self.log.open("ab") as out:
                    self.workers.append(spawn([sys.executable, "-m", "worker"], out, env=self.env))
            if low >= PATIENCE_LOOKS:
                low = 0
                self.leaving.append(self.workers.pop())
                processes.send(signal.SIGTERM, [self.leaving[-1].pid])
            self.seen[1 + len(self.workers)] += 1
            await asyncio.sleep(LOOK_SECONDS)

    async def _wanted(self) -> int:
        async with httpx2.AsyncClient(timeout=10) as client:
            told = metrics.series((await client.get(f"http://127.0.0.1:{self.port}/metrics")).text)
        wanted = told.get("footnote_slots_wanted")  # missing while Postgres is slow: then all stay
        return 1 + len(self.workers) if wanted is None else min(MOST, max(1, math.ceil(wanted / SLOTS)))


async def scaling(options: Options) -> Report:
    """500 documents in two waves, worked on by one to four workers."""
    report = Report(f"scaling: {DOCUMENTS} documents, {MOST} workers at most")
    sources, ports, provider = corpus.sources(options.seed, DOCUMENTS, (1, 1)), free_ports(3), Provider()
    async with edges.serving(provider.answer) as url:
        own = {"FOOTNOTE_EMBEDDER": "openai", "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "none"}
        own |= {"FOOTNOTE_METRICS_PORT": str(ports[0]), "FOOTNOTE_WORKER_CONCURRENCY": str(SLOTS)}
        own |= {"FOOTNOTE_LEASE_SECONDS": "30", "FOOTNOTE_HEARTBEAT_SECONDS": "10"}  # as by default
        async with bench(options, **own) as on:
            autoscaler = Autoscaler(on, ports[2])
            running = asyncio.create_task(autoscaler.run())
            for wave in range(WAVES):
                await on.load.upload_all(sources[wave::WAVES], 50)
                await on.watch.until_ended()
                await asyncio.sleep(PAUSE_SECONDS)
            assert not running.done(), running.exception()
            running.cancel()
            report.exactly("most workers", MOST, max(autoscaler.seen))
            report.exactly("workers at the end", 1, 1 + len(autoscaler.workers))
            report.exactly("workers that were stopped", True, len(autoscaler.leaving) >= MOST - 1)
            await on.finish(report, sources)
    repeated = [text for text, count in provider.texts.items() if count > 1]
    twice = [each for each in sources if any(each.name in text for text in repeated)]
    report.exactly("documents of which a text was embedded twice", 0, len(twice))
    return report
