"""`python -m tests.system.faults`: runs scenarios, prints their tables, fails if a goal is missed."""

import argparse
import asyncio
import os
import platform
import signal
import sys
import time
import traceback
from pathlib import Path

from tests.system.faults.bench import Options
from tests.system.faults.report import Report, fault_table
from tests.system.faults.scenarios import SCENARIOS

ON_DEMAND = {"soak", "scaling", "alerts"}  # the last one needs a Prometheus
READ_WITH = "[Reliability](reliability.md#test-it) explains the scenarios."


async def run(name: str, options: Options) -> Report:
    """A scenario that does not come to its end has missed its goals."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await SCENARIOS[name](options)
    except Exception as error:
        traceback.print_exc()
        report = Report(f"{name}, seed {options.seed}")
        report.goal("runs to its end", "yes", f"{error}"[:100], met=False)
        return report


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.faults", description=__doc__)
    parser.add_argument("--scenario", nargs="+", choices=SCENARIOS, default=sorted(SCENARIOS.keys() - ON_DEMAND))
    parser.add_argument("--seed", nargs="+", type=int, default=[1], help="of storm; others take the first")
    parser.add_argument("--short", action="store_true", help="a small storm, for CI")
    parser.add_argument("--rounds", type=int, default=3, help="of blackout")
    parser.add_argument("--report", type=Path, help="write the tables to this file, as Markdown")
    parser.add_argument("--keep-logs", type=Path, help="copy the product's logs to this directory")
    parser.add_argument("--pgbouncer", action="store_true", help="reach Postgres through the program of PGBOUNCER")
    given = parser.parse_args()
    reports = []
    for name in given.scenario:
        for seed in given.seed if name == "storm" else given.seed[:1]:
            started = time.monotonic()
            options = Options(seed, given.short, given.rounds, given.keep_logs, given.pgbouncer)
            reports.append(asyncio.run(run(name, options)))
            print(reports[-1], f"({time.monotonic() - started:.0f} s)\n", sep="\n", flush=True)
    if given.report:
        machine = f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
        head = f"# Reliability report\n\nWritten by `make faults` on {machine}. {READ_WITH}\n"
        faults = fault_table([fault for report in reports for fault in report.faults])
        text = [
            head,
            *(report.summary() for report in reports),
            *(["## Faults of all storms", "", *faults] if faults else []),
        ]
        given.report.write_text("\n".join(text))
    return 0 if all(report.met for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
