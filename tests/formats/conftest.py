import contextlib
import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from footnote.formats.sandbox import starting
from tests.parsers import children, parsers_of


def connections() -> int:
    """How many pipes and sockets are open."""
    names = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            names.append(str(entry.readlink()))
    return sum(name.startswith(("pipe:", "socket:")) for name in names)


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """After the test there are as many processes as before, and no more pipes and sockets."""
    starting._running_server()
    deadline = time.monotonic() + 60
    while parsers_of("self") and time.monotonic() < deadline:  # of the test before: killed, and not yet waited for
        time.sleep(0.01)
    before, open_before = (parsers_of("self"), len(children("self"))), connections()
    yield
    starting._running_server()
    assert (parsers_of("self"), len(children("self"))) == before
    deadline = time.monotonic() + 60  # a closed event loop lets its own go when it is collected
    while connections() > open_before and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.05)
    assert connections() <= open_before


@pytest.fixture(params=["forked", "fresh"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsers forked from the server, and, as where that cannot be, fresh processes."""
    monkeypatch.setattr(starting, "FORKS", request.param == "forked")


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A file that its reader waits for without end."""
    path = tmp_path / "endless.txt"
    os.mkfifo(path)
    return path
