"""A child's restarts and its log."""

import signal
import time

import pytest

from footnote.local_stack.child import Child, Restarts
from footnote.local_stack.services import Service
from tests.local_stack.stack_under_test import DEADLINE, wait_for


def test_the_delay_doubles_up_to_half_a_minute_and_starts_anew_after_health():
    restarts = Restarts()
    delays = [restarts.after_exit(now, lived=1.0) - now for now in map(float, range(0, 1000, 100))]
    assert delays[:4] == pytest.approx([0.2, 0.4, 0.8, 1.6])
    assert delays[-1] == 30.0
    assert restarts.after_exit(1000.0, lived=59.0) == 1030.0
    assert restarts.after_exit(1100.0, lived=60.0) == 1100.2


@pytest.mark.parametrize(("step", "looping"), [(14.0, True), (16.0, False)])
def test_five_exits_within_a_minute_are_a_crash_loop(step, looping):
    restarts = Restarts()
    for n in range(4):
        restarts.after_exit(n * step, lived=0.0)
    assert not restarts.looping
    restarts.after_exit(4 * step, lived=0.0)
    assert restarts.looping is looping


def test_a_dead_child_is_started_when_it_is_due(tmp_path):
    prepared = []
    service = Service("worker", ["sh", "-c", "echo hello; exit 3"], before_start=lambda: prepared.append(True))
    child = Child(service, tmp_path, env=None)
    child.start(0.0)
    assert wait_for(lambda: child.check(1.0)) == 3
    assert child.next_start(1.0) == pytest.approx(0.2)
    assert child.check(1.19) is None
    assert not child.process
    assert child.check(1.21) is None
    assert wait_for(lambda: child.check(2.0)) == 3
    assert (tmp_path / "worker.log").read_text() == "hello\nhello\n"
    assert len(prepared) == 2


def test_a_stopped_child_stays_stopped(tmp_path):
    child = Child(Service("worker", ["sleep", "1000"]), tmp_path, env=None)
    child.start(time.monotonic())
    child.ask_to_stop()
    assert child.stop(time.monotonic() + DEADLINE), "by itself, however busy the machine"
    assert child.check(time.monotonic() + 1000) is None
    assert child.process is None


def test_the_stop_signal_is_the_services_own(tmp_path):
    script = "trap 'echo interrupted; exit' INT; echo up; while :; do sleep 0.05; done"
    child = Child(Service("postgres", ["sh", "-c", script], stop=signal.SIGINT), tmp_path, env=None)
    child.start(time.monotonic())
    wait_for(lambda: "up" in child.log.read_text())
    child.ask_to_stop()
    assert child.stop(time.monotonic() + DEADLINE), "by itself, however busy the machine"
    assert "interrupted" in child.log.read_text()


def test_the_log_of_the_previous_start_is_kept(tmp_path):
    log = tmp_path / "worker.log"
    for text in ("first", "second", "third"):
        Child(Service("worker", ["true"]), tmp_path, env=None)
        log.write_text(text)
    assert log.read_text() == "third"
    assert (tmp_path / "worker.log.1").read_text() == "second"
    assert (tmp_path / "worker.log.2").read_text() == "first"
