"""The parent's thread that ends the leases of a pool process that died."""

import os
from collections.abc import Sequence
from threading import Event, Thread

import pytest

from footnote.settings import Settings
from worker import lost_workers


def test_no_process_is_forked_while_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would inherit locks that nothing releases."""
    begun, ended = Event(), Event()

    async def slowly(_settings: Settings, _row_ids: Sequence[str], _message: str) -> None:
        begun.set()
        ended.wait(0.5)
        ended.set()

    monkeypatch.setattr(lost_workers, "_end_leases", slowly)
    thread = Thread(target=lost_workers.end_leases, args=(Settings(_env_file=None), ["job_1"], "message"))
    thread.start()
    assert begun.wait(60)
    child = os.fork()
    if not child:
        os._exit(0 if ended.is_set() and lost_workers._working.acquire(blocking=False) else 1)
    assert os.waitpid(child, 0)[1] == 0
    thread.join()
    assert lost_workers._working.acquire(blocking=False), "and the parent has its lock back"
    lost_workers._working.release()
