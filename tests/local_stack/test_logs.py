"""Logs that are full: they are begun again, and what watches or shows them goes on."""

import sys
import time

import pytest

from footnote.local_stack import logs
from footnote.local_stack.child import Child
from footnote.local_stack.logs import last_lines
from footnote.local_stack.services import Service
from tests.local_stack.stack_under_test import wait_for


@pytest.fixture
def full_at_200_bytes(monkeypatch):
    monkeypatch.setattr(logs, "ROTATE_BYTES", 200)


def test_a_full_log_is_begun_again_and_its_size_and_number_are_bounded(tmp_path, full_at_200_bytes):
    # A line is one write, as of a logger: halves of one could stand around what the rotation writes.
    script = "import os, time\nn = 0\nwhile True: os.write(1, b'WARNING %d\\n' % n); n += 1; time.sleep(0.001)"
    child = Child(Service("worker", [sys.executable, "-c", script]), tmp_path, env=None)
    child.start(time.monotonic())
    shown = []
    try:
        for _ in range(6):
            wait_for(lambda: child.log.stat().st_size >= 200)
            shown += child.tail.lines()
            child.rotate_log()
            assert child.log.read_text().count("\n") < 20
    finally:
        child.kill()
        child.stop(time.monotonic())
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"worker.log", "worker.log.1", "worker.log.2", "worker.log.3"}
    numbers = [int(line.split()[1]) for line in shown if line.startswith("WARNING")]
    assert numbers == sorted(set(numbers)), "what was shown is not shown again"
    assert logs.CONTINUED in child.log.read_text().split("\n")[:3], "before it stands what came at that moment"
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())


def test_the_end_of_a_log_is_shown_across_a_rotation(tmp_path, full_at_200_bytes):
    log = tmp_path / "api.log"
    log.write_text("".join(f"line {number} of many\n" for number in range(30)))
    assert logs.rotate(log)
    with log.open("a") as file:
        file.write("the last line\n")
    assert last_lines(log, 3) == "line 28 of many\nline 29 of many\nthe last line"
    logs.begin(log)
    with log.open("a") as file:
        file.write("of the next start\n")
    assert last_lines(log, 3) == "of the next start"
