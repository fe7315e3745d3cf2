"""`python -m tests.system.hostile`: uploads hostile files to the running product, and checks what the product promises.

Each file must end as one of the outcomes that are right, within its limits, and harm nothing else.
"""

import argparse
import asyncio
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from footnote.settings import Settings
from tests.hostile.files import Hostile, everything
from tests.system.faults import edges, processes
from tests.system.faults.report import Report
from tests.system.faults.stack import Stack, until

CPU_SECONDS = 60
MEMORY_MIB = 768
DAMAGED = Path("../shared/corpora/dev_set")  # real files, some of them damaged
OVER = {"ready", "failed", "cancelled"}
TICKS = os.sysconf("SC_CLK_TCK")
END_SECONDS = 900
LEASES = ("FOOTNOTE_LEASE_SECONDS", "FOOTNOTE_HEARTBEAT_SECONDS")


@dataclass
class Watch:
    """The most that any parser's process used, looked at ten times a second."""

    stack: Stack
    cpu_seconds: dict[int, float] = field(default_factory=dict)
    memory_mib: dict[int, float] = field(default_factory=dict)

    async def run(self) -> None:
        while True:
            for pid in await asyncio.to_thread(processes.parsers, self.stack.data_dir):
                self._look(pid)
            await asyncio.sleep(0.1)

    def _look(self, pid: int) -> None:
        try:
            fields = (processes.PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            return
        self.cpu_seconds[pid] = (int(fields[11]) + int(fields[12])) / TICKS
        self.memory_mib[pid] = max(self.memory_mib.get(pid, 0.0), processes.resident_kib(pid) / 1024)


@dataclass
class Thrown:
    """A file and what became of it: an outcome of ours, or the status of a refusal that is none."""

    name: str
    right: set[str] | None  # None: any of ours
    document_id: str | None = None
    outcome: str = ""

    @property
    def met(self) -> bool:
        return not self.outcome.startswith(("5", "never")) and (self.right is None or self.outcome in self.right)


async def throw(client: httpx2.AsyncClient, thrown: Thrown, content: bytes) -> None:
    answer = await client.post("/v1/documents", files={"file": (thrown.name, content)})
    body = answer.json()
    if answer.status_code == 202:
        thrown.document_id = body["document"]["id"]
    else:
        thrown.outcome = body["code"] if answer.status_code < 500 else str(answer.status_code)


async def follow(client: httpx2.AsyncClient, thrown: list[Thrown]) -> None:
    """Until each is over."""
    deadline = time.monotonic() + END_SECONDS
    left = [each for each in thrown if each.document_id]
    while left and time.monotonic() < deadline:
        for each in list(left):
            status = (await client.get(f"/v1/documents/{each.document_id}/status")).json()
            if status["status"] in OVER:
                left.remove(each)
                each.outcome = status["error"]["code"] if status["error"] else status["status"]
        await asyncio.sleep(1)
    for each in left:
        each.outcome = "never over"


def main(folder: Path, report_file: Path | None, keep_logs: Path | None) -> int:
    real = [path for path in sorted(folder.rglob("*")) if path.is_file()] if folder.is_dir() else []
    report, tables = asyncio.run(run(everything(), real, keep_logs))
    print(report, tables, sep="\n")
    if report_file:
        report_file.write_text(f"# Hostile files\n\nWritten by `make hostile`.\n\n{report}\n{tables}")
    return 0 if report.met else 1


async def run(files: list[Hostile], real: list[Path], keep_logs: Path | None) -> tuple[Report, str]:
    report = Report("hostile files")
    # What is tried is the reading; vectors from the edge of the network leave it the processors.
    provider = edges.Provider("no text kills here")
    settings = {"FOOTNOTE_EMBEDDER": "openai", "OPENAI_API_KEY": "none"}
    # As shipped: on a busy machine a worker of the test profile is taken for dead, and its document is begun again.
    settings |= {name: str(Settings.model_fields[name[9:].lower()].default) for name in LEASES}
    async with (
        edges.serving(provider.answer) as url,
        Stack(keep_logs, pgbouncer=False, **settings, OPENAI_BASE_URL=f"{url}/v1") as stack,
    ):
        await stack.ready()
        worker = await until(lambda: asyncio.to_thread(stack.worker), 60, "the worker is there")
        watch = Watch(stack)
        watching = asyncio.create_task(watch.run())
        headers = {"Authorization": f"Bearer {stack.key}"}
        async with httpx2.AsyncClient(base_url=stack.url, headers=headers, timeout=120) as client:
            thrown = [Thrown(each.name, each.outcomes) for each in files]
            for one, file in zip(thrown, files, strict=True):
                await throw(client, one, await asyncio.to_thread(file.make))
            theirs = [Thrown(path.name, None) for path in real]
            for one, path in zip(theirs, real, strict=True):
                await throw(client, one, await asyncio.to_thread(path.read_bytes))
            await follow(client, thrown + theirs)
            alive = (await client.get("/readyz")).status_code
        watching.cancel()
        after = stack.worker()
        same = after is not None and worker[0] == after[0]
    _goals(report, thrown, theirs, watch, same and alive == 200)
    return report, f"{_table(thrown)}\n{_real(theirs)}"


def _goals(report: Report, thrown: list[Thrown], theirs: list[Thrown], watch: Watch, unharmed: bool) -> None:
    everyone = thrown + theirs
    report.exactly("hostile files that did not end as they should", 0, sum(not each.met for each in thrown))
    report.exactly("real files that did not end", 0, sum(not each.met for each in theirs))
    report.exactly("answers of 5xx", 0, sum(each.outcome.startswith("5") for each in everyone))
    report.exactly("the worker and the API are the same and well", "yes", "yes" if unharmed else "no")
    report.exactly("parsers were seen at work", "yes", "yes" if watch.memory_mib else "no")
    report.at_most("CPU of a parser, the most", CPU_SECONDS + 2, max(watch.cpu_seconds.values(), default=0.0))
    report.at_most("memory of a parser, the most", MEMORY_MIB, max(watch.memory_mib.values(), default=0.0), "MiB")


def _table(thrown: list[Thrown]) -> str:
    lines = ["| file | right | became |", "| --- | --- | --- |"]
    for each in thrown:
        right = ", ".join(sorted(each.right or set()))
        lines.append(f"| {each.name} | {right} | {each.outcome}{'' if each.met else ' **WRONG**'} |")
    return "\n".join(lines) + "\n"


def _real(theirs: list[Thrown]) -> str:
    if not theirs:
        return ""
    counts: dict[str, Any] = Counter(each.outcome for each in theirs)
    told = ", ".join(f"{outcome} {count}" for outcome, count in sorted(counts.items()))
    return f"{len(theirs)} real files: {told}.\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.system.hostile", description=__doc__)
    parser.add_argument("--folder", type=Path, default=DAMAGED, help="real files to throw as well; may be missing")
    parser.add_argument("--report", type=Path, help="write the tables to this file, as Markdown")
    parser.add_argument("--keep-logs", type=Path, help="copy the product's logs to this directory")
    given = parser.parse_args()
    sys.exit(main(given.folder, given.report, given.keep_logs))
