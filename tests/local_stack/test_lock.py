"""One stack per data directory."""

import fcntl
import os
import time

import pytest

from footnote.local_stack.lock import AlreadyRunning, exclusive
from footnote.local_stack.processes import StackFailed


def test_the_second_is_told_who_is_first(tmp_path):
    told = pytest.raises(AlreadyRunning, match=f"pid {os.getpid()}, http://127.0.0.1:8000")
    with exclusive(tmp_path, "http://127.0.0.1:8000"), told, exclusive(tmp_path, "-"):
        pass
    with exclusive(tmp_path, "-"):
        pass


def test_the_rest_of_an_earlier_stack_is_waited_for(tmp_path):
    with (tmp_path / "guard.lock").open("w") as rest:
        fcntl.flock(rest, fcntl.LOCK_EX)
        begun = time.monotonic()
        with pytest.raises(StackFailed, match="earlier start"), exclusive(tmp_path, "-", wait_seconds=0.2):
            pass
        assert time.monotonic() - begun >= 0.2
    with exclusive(tmp_path, "-"):
        pass
