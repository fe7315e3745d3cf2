"""A Prometheus watches the product while it is broken on purpose: each fault has its alert, and peace has none."""

import asyncio
import re
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from footnote.local_stack.processes import Process, spawn
from tests import ROOT
from tests.system.faults import checks, corpus, edges, processes
from tests.system.faults.bench import Bench, Options, bench
from tests.system.faults.report import Report
from tests.system.faults.stack import free_ports, until

RULES = ROOT / "ops" / "prometheus" / "rules.yml"
QUIET_SECONDS = 30
FIRES_SECONDS, ENDS_SECONDS = 120.0, 180.0
CONFIG = """
global: {{scrape_interval: 3s, scrape_timeout: 3s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - {{job_name: footnote, static_configs: [{{targets: {targets}}}]}}
"""
WAITING = "SELECT count(*) FROM webhook_delivery WHERE endpoint_id = $1 AND held_until IS NULL"
AGED = "UPDATE webhook_delivery SET next_attempt_at = now() - interval '1 hour' WHERE held_until IS NULL"


def _twice(minutes: re.Match[str]) -> str:
    return f"{2 * int(minutes[1])}s"


class Prometheus:
    """A server of its own, with the rules as they are, but for a minute they have two seconds."""

    def __init__(self, directory: Path, ports: list[int]) -> None:
        (directory / "rules.yml").write_text(re.sub(r"\b(\d+)m\b", _twice, RULES.read_text()))
        (directory / "prometheus.yml").write_text(CONFIG.format(targets=[f"127.0.0.1:{port}" for port in ports[:3]]))
        self.url = f"http://127.0.0.1:{ports[3]}"
        places = (f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'data'}")
        self.command = ["prometheus", *places, f"--web.listen-address=127.0.0.1:{ports[3]}", "--log.level=warn"]
        self.log = directory / "log"

    async def firing(self) -> set[str]:
        async with httpx2.AsyncClient(timeout=10) as client:
            told = (await client.get(f"{self.url}/api/v1/alerts")).json()
        return {each["labels"]["alertname"] for each in told["data"]["alerts"] if each["state"] == "firing"}

    def start(self) -> Process:
        with self.log.open("ab") as out:
            return spawn(self.command, out)


@asynccontextmanager
async def watching(on: Bench, ports: list[int]) -> AsyncIterator[Prometheus]:
    directory = on.stack.data_dir / "prometheus"
    directory.mkdir()
    prometheus = Prometheus(directory, ports)
    process = prometheus.start()

    async def answers() -> bool:
        async with httpx2.AsyncClient(timeout=2) as client:
            try:
                return (await client.get(f"{prometheus.url}/-/ready")).status_code == 200
            except httpx2.TransportError:
                return False

    try:
        await until(answers, 60, "Prometheus answers")
        yield prometheus
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


Action = Callable[[], Awaitable[None]]


@dataclass
class Broken:
    """What can be broken, and mended; each fault with the alerts that it must have."""

    on: Bench
    provider: edges.Lengths
    url: str  # of a receiver that is silent
    sources: list[corpus.Source]
    endpoint: str = ""
    held: list[int] = field(default_factory=list)

    def faults(self) -> list[tuple[str, set[str], Action, Action]]:
        server = self.on.stack.own
        return [
            ("the dispatcher is frozen", {"FootnoteNoDispatcher"}, self.freeze_dispatcher, self.thaw),
            ("the workers are frozen", {"FootnoteJobsStandStill"}, self.freeze_workers, self.thaw),
            (
                "the provider fails",
                {"FootnoteProviderAway", "FootnoteRequestsFail"},
                self.break_model,
                self.mend_model,
            ),
            ("a receiver is silent", {"FootnoteWebhooksWait"}, self.fall_silent, self.forget_receiver),
            ("the store is unavailable", {"FootnoteRequestsFail"}, self.take_store_away, self.bring_store_back),
            ("Postgres is frozen", {"FootnoteDatabaseAway", "FootnoteRequestsFail"}, server.freeze, server.thaw),
        ]

    async def upload(self) -> None:
        await self.on.load.upload(self.sources.pop())

    async def freeze_dispatcher(self) -> None:
        pid = self.on.stack.dispatcher()
        assert pid is not None
        self._freeze([pid])

    async def freeze_workers(self) -> None:
        self._freeze([*(self.on.stack.worker() or ())])
        await self.upload()

    def _freeze(self, pids: list[int]) -> None:
        self.held = pids
        processes.send(signal.SIGSTOP, pids)

    async def thaw(self) -> None:
        processes.send(signal.SIGCONT, self.held)

    async def break_model(self) -> None:
        self.provider.length = 0  # no vector at all
        for _ in range(6):
            await self.upload()

    async def mend_model(self) -> None:
        self.provider.length = edges.DIMENSIONS

    async def fall_silent(self) -> None:
        body = {"url": f"{self.url}/silent", "events": ["document.ready"]}
        self.endpoint = (await self.on.load.client.post("/v1/webhook_endpoints", json=body)).json()["id"]
        await until(self._backlog, 120, "webhooks wait for the receiver")
        await checks.rows(self.on.watch, AGED)

    async def _backlog(self) -> bool:
        return await checks.count(self.on.watch, WAITING, self.endpoint) > 10

    async def forget_receiver(self) -> None:
        await self.on.load.client.delete(f"/v1/webhook_endpoints/{self.endpoint}")

    async def take_store_away(self) -> None:
        store = self.on.stack.data_dir / "objects"
        await asyncio.to_thread(shutil.move, store, store.with_name("away"))
        store.touch()

    async def bring_store_back(self) -> None:
        store = self.on.stack.data_dir / "objects"
        store.unlink()
        await asyncio.to_thread(shutil.move, store.with_name("away"), store)


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, asyncio.CancelledError):
        await reader.read()
    writer.close()


async def asking_and_uploading(on: Bench) -> None:
    """A little of everything, whatever becomes of it, until cancelled."""
    number = 0
    while True:
        number += 1
        text = {"text": f"Lamp {number} burns.", "filename": f"{number}.txt"}
        await asyncio.gather(
            on.load.send("upload", "POST", "/v1/documents/text", json=text),
            on.load.send("query", "POST", "/v1/query", json={"question": f"What does lamp {number} do?"}),
        )
        await asyncio.sleep(0.5)


async def alerts(options: Options) -> Report:
    """Each fault fires its alert, which ends with it; in peace nothing fires. A minute of the rules has two seconds."""
    report = Report("alerts: Prometheus during faults")
    provider, ports = edges.Lengths(), free_ports(3)
    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    async with silent, edges.serving(provider.answer) as url:
        own = {"FOOTNOTE_EMBEDDER": "openai", "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "none"}
        own |= {"FOOTNOTE_METRICS_PORT": str(ports[0]), "FOOTNOTE_WEBHOOK_TIMEOUT_SECONDS": "30"}
        async with bench(options, own="postgres", **own) as on, watching(on, ports) as prometheus:
            asking = asyncio.create_task(asking_and_uploading(on))
            broken = Broken(on, provider, address, corpus.sources(options.seed, 40, (1, 1)))
            await _look_on(report, prometheus, broken)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
    return report


async def _look_on(report: Report, prometheus: Prometheus, broken: Broken) -> None:
    seen = set[str]()
    for _ in range(QUIET_SECONDS):
        await asyncio.sleep(1)
        seen |= await prometheus.firing()
    report.exactly(f"alerts in {QUIET_SECONDS} s of peace", set(), seen)
    for fault, wanted, break_it, mend_it in broken.faults():
        started = time.monotonic()
        await break_it()
        report.exactly(fault, sorted(wanted), sorted(await _fired(prometheus, wanted)))
        report.tell(f"{fault}: until the alert", time.monotonic() - started)
        await mend_it()
        report.exactly(f"{fault}: alerts after it is mended", set(), await _ended(prometheus))


async def _fired(prometheus: Prometheus, wanted: set[str]) -> set[str]:
    """What fires once the wanted alerts do, or at the end of patience."""
    deadline = time.monotonic() + FIRES_SECONDS
    while not (found := await prometheus.firing()) >= wanted and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
    return found


async def _ended(prometheus: Prometheus) -> set[str]:
    deadline = time.monotonic() + ENDS_SECONDS
    while (found := await prometheus.firing()) and time.monotonic() < deadline:
        await asyncio.sleep(1)
    return found
