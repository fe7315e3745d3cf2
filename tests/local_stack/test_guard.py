"""What a killed supervisor leaves is ended, whether it wants to or not."""

import os
import signal
import subprocess

import pytest

from footnote.local_stack.guard import Guard
from tests.local_stack.stack_under_test import lives, processes_with, wait_for


@pytest.fixture
def lock():
    read, write = os.pipe()
    yield write
    os.close(read)
    os.close(write)


@pytest.fixture
def group():
    """A process that ignores SIGTERM and has a child of its own."""
    script = f"trap '' TERM; sleep 99{os.getpid()} & while :; do sleep 0.1; done"
    with subprocess.Popen(["sh", "-c", script], start_new_session=True) as process:
        wait_for(grandchildren)
        yield process
        process.kill()


def grandchildren():
    return processes_with("sleep\0" + f"99{os.getpid()}")


def test_the_end_of_the_pipe_ends_the_groups_by_force_if_need_be(lock, group):
    guard = Guard(lock, seconds=1)
    guard.watch([group.pid])
    guard._shell.communicate()  # closes the pipe, as the death of the supervisor does
    assert group.wait(60) == -signal.SIGKILL
    wait_for(lambda: not grandchildren())


def test_a_closed_guard_ends_nothing(lock, group):
    guard = Guard(lock, seconds=1)
    guard.watch([group.pid])
    guard.close()
    assert not lives(guard.pid)
    assert group.poll() is None
    assert grandchildren()


def test_a_guard_that_was_killed_is_replaced(lock, group):
    guard = Guard(lock, seconds=1)
    first = guard.pid
    guard.watch([group.pid])
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not lives(first))
    guard.watch([group.pid])
    assert guard.pid != first
    guard._shell.communicate()
    assert group.wait(60) == -signal.SIGKILL
