"""Processes that count together: what one had counted is not lost with it, and the files are as many as processes."""

import os
import subprocess
import sys
from pathlib import Path

from tests import ROOT
from tests.metrics import series

# Three generations of two processes each, of which one is killed after it has counted.
PROGRAM = """
import os, signal, sys
from footnote.telemetry import exposition

exposition.share(os.environ)
from footnote.telemetry.metrics import chunks_embedded_total, requests_total

def process():
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        chunks_embedded_total.inc()
        requests_total.labels("/v1/jobs", "2xx").inc(2)
        os.write(writing, b"!")
        signal.pause()
    os.read(reading, 1)
    return pid

chunks_embedded_total.inc(100)
for generation in range(3):
    pids = [process(), process()]
    for pid, number in zip(pids, (signal.SIGKILL, signal.SIGTERM)):
        os.kill(pid, number)
        os.waitpid(pid, 0)
print(exposition.exposition())
directory = os.environ["PROMETHEUS_MULTIPROC_DIR"]
print("#", *sorted(name for name in os.listdir(directory) if name.endswith(".db")))
sys.stdout.flush()
if "killed" in sys.argv:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def run(tmp_path: Path, *arguments: str) -> str:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    environment = {"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True).stdout


def test_processes_count_together_and_leave_nothing_behind(tmp_path: Path) -> None:
    told = run(tmp_path)
    found = series(told)
    assert found["footnote_chunks_embedded_total"] == 106
    assert found['footnote_http_requests_total{route="/v1/jobs",status="2xx"}'] == 12
    assert found["footnote_memory_bytes"] > 10 * 1024**2
    (files,) = (line for line in told.splitlines() if line.startswith("# ") and ".db" in line)
    assert {name.rpartition("_")[2] for name in files.split()[1:]} == {"0.db", "1.db", "2.db"}, "one of each at a time"
    assert list(tmp_path.glob("footnote-metrics-*")) == [], "removed at its end"


def test_what_a_killed_program_left_is_removed_by_a_later_one(tmp_path: Path) -> None:
    run(tmp_path, "killed")
    run(tmp_path)
    (left,) = tmp_path.glob("footnote-metrics-*")  # one that young may belong to a program that starts
    os.utime(left, (0, 0))
    run(tmp_path)
    assert not left.exists()
