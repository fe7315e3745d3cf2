"""Drives a running Footnote as its user would: adds the samples, asks about them, kills the worker meanwhile.

Takes the address and the data directory from the settings, as the command line does.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from footnote.settings import Settings
from tests import ROOT

SAMPLES = ROOT / "tests" / "samples"
START_SECONDS = 120
SETTINGS = Settings()
BASE = f"http://127.0.0.1:{SETTINGS.port}"


def footnote(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "footnote", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def wait_until_ready() -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{BASE}/readyz?strict=true", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.5)
    raise SystemExit("Footnote did not become ready.")


def wait_until_working() -> None:
    """Over HTTP: the command line takes as long to start as a small document takes to be stored."""
    key = (SETTINGS.data_dir / "api_key").read_text().strip()
    running = urllib.request.Request(f"{BASE}/v1/jobs?status=running", headers={"Authorization": f"Bearer {key}"})
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with urllib.request.urlopen(running, timeout=5) as answer:
            if json.load(answer)["data"]:
                return
        time.sleep(0.02)
    raise SystemExit("No job was ever seen running.")


def long_document(folder: Path) -> Path:
    """About two hundred chunks, so that the worker is busy for some seconds."""
    path = folder / "log.txt"
    path.write_text(
        "\n\n".join(f"Entry {number}: the keeper looked after lamp {number}. " * 12 for number in range(200))
    )
    return path


def kill_worker() -> int:
    """Kills the worker while it works; the pid it had. Its pool dies with it, its supervisor starts another."""
    ours = f"FOOTNOTE_DATA_DIR={SETTINGS.data_dir}".encode()
    workers = {pid for pid, line in _processes(ours) if line.endswith(" -m worker")}
    mains = [pid for pid in workers if _parent(pid) not in workers]
    if len(mains) != 1:
        raise SystemExit(f"Expected one worker to kill, found {mains}.")
    os.kill(mains[0], signal.SIGKILL)
    return mains[0]


def _processes(environment: bytes) -> Iterator[tuple[int, str]]:
    """Pid and command line of the processes with `environment` among their variables."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if environment in (path / "environ").read_bytes().split(b"\0"):
                yield int(path.name), (path / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            continue  # ended meanwhile, or another user's


def _parent(pid: int) -> int:
    return int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])


def check_answers() -> int:
    wrong = 0
    for line in (SAMPLES / "questions.jsonl").read_text().splitlines():
        question: dict[str, Any] = json.loads(line)
        asked = footnote("ask", "--json", question["question"])
        cited = json.loads(asked.stdout)["citations"] if asked.returncode == 0 else []
        first = cited[0] if cited else {}
        right = first.get("filename") == question["file"] and first.get("verified")
        if question.get("page"):
            right = right and first["page_start"] == question["page"]
        print("right" if right else f"WRONG ({asked.stdout[:300]} {asked.stderr[:300]})", "-", question["question"])
        wrong += not right
    return wrong


def main() -> int:
    wait_until_ready()
    good = sorted({json.loads(line)["file"] for line in (SAMPLES / "questions.jsonl").read_text().splitlines()})
    with tempfile.TemporaryDirectory() as folder:
        files = [str(long_document(Path(folder))), *(str(SAMPLES / name) for name in good)]
        adding = subprocess.Popen([sys.executable, "-m", "footnote", "add", *files], text=True)
        wait_until_working()
        killed = kill_worker()
        if adding.wait(timeout=300):
            raise SystemExit("`footnote add` did not end with every document ready.")
    print(f"added {len(files)} documents; the worker {killed} was killed meanwhile")
    refused = footnote("add", str(SAMPLES / "encrypted.pdf"))
    if refused.returncode != 1 or "encrypted" not in refused.stdout + refused.stderr:
        raise SystemExit(f"An encrypted PDF was not refused: {refused}")
    return check_answers()


if __name__ == "__main__":
    sys.exit(main())
