"""One event loop and one Runtime per worker process; `run` is the only bridge from Celery's sync world.

A loop per task would break pooled connections at the second task and cost several times as much.

A worker that is asked to stop waits for its steps (Celery's warm shutdown); a pipe signals that to the processes of the
pool, which then give their steps back.
"""

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

from celery import signals

from footnote import formats
from footnote.formats.sandbox import starting
from footnote.runtime import Runtime, open_runtime, preload
from footnote.settings import Settings
from footnote.telemetry import configure_logging, traces

Result = TypeVar("Result")

GRACE_SECONDS = 8.0  # for a step to end or to come to its next checkpoint when the worker should stop
STOP_SECONDS = 14  # after which the worker is gone in any case, and the lease runs out


@dataclass
class _Process:
    loop: asyncio.AbstractEventLoop
    stack: AsyncExitStack
    runtime: Runtime
    step: "asyncio.Task[Any] | None" = None

    def stop(self, pipe: int) -> None:
        self.loop.remove_reader(pipe)
        self.runtime.stopping.set()
        if self.step is not None:
            self.loop.call_later(GRACE_SECONDS, self.step.cancel)


_process: _Process | None = None


def attach(settings: Settings) -> None:
    """Opens a Runtime in every pool process when it starts, closes it when it ends."""
    reading, writing = os.pipe()

    def open_process(**_: Any) -> None:
        global _process
        die_with_parent()
        configure_logging(settings)
        loop = asyncio.new_event_loop()
        stack = AsyncExitStack()
        # Few: each takes Postgres 10 MiB and as much time to get ready as half a small document.
        opening = open_runtime(settings, pool_size=settings.worker_connections)
        runtime = loop.run_until_complete(stack.enter_async_context(opening))
        stack.enter_context(traces.exporting("worker", settings))
        _process = _Process(loop, stack, runtime)
        loop.add_reader(reading, _process.stop, reading)
        starting.ahead()

    def close_process(**_: Any) -> None:
        global _process
        if _process is not None:
            _process.loop.run_until_complete(_process.stack.aclose())
            _process.loop.close()
            _process = None

    def stop(**_: Any) -> None:
        os.write(writing, b"!")  # no process takes it out of the pipe, so that all of them see it
        signal.alarm(STOP_SECONDS)

    signals.worker_shutting_down.connect(stop, weak=False)
    signals.worker_process_init.connect(open_process, weak=False)
    signals.worker_process_shutdown.connect(close_process, weak=False)
    signals.setup_logging.connect(lambda **_: configure_logging(settings), weak=False)
    signals.worker_init.connect(lambda **_: share(settings), weak=False)
    # Not celeryd_init: that is sent before the worker knows its pool.
    signals.worker_init.connect(refuse_other_pools, weak=False)


def share(settings: Settings) -> None:
    """In the worker's main process: imports what the processes of its pool, which are forked from it, share."""
    preload(settings)
    formats.modules()
    for name in ("langchain_text_splitters", "numpy", "pgvector"):
        import_module(name)
    gc.collect()
    gc.freeze()  # so that their collectors neither look through it nor copy its pages


def refuse_other_pools(sender: Any = None, **_: Any) -> None:
    pool = str(sender.pool_cls)
    if "prefork" not in pool:
        raise SystemExit(f"The worker runs on the prefork pool only: {pool} ignores time limits and shares one loop.")


def die_with_parent() -> None:
    """A pool process must not outlive a worker that was killed: its lease would be renewed without end."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, Linux only
    except (OSError, AttributeError):
        pass


def run(work: Callable[[Runtime], Awaitable[Result]]) -> Result:
    """Runs `work` to its end on this process's loop.

    Interrupted from outside (time limit, cold shutdown), the coroutine is cancelled and awaited first: otherwise it
    would continue inside the next task. The outcome leaves the loop as a value and is raised here, because an
    exception that a future holds keeps its frames alive. Raises CancelledError when the worker stops.
    """
    if _process is None:
        raise RuntimeError("no Runtime in this process; the worker runs on the prefork pool only")
    if _process.runtime.stopping.is_set():
        raise asyncio.CancelledError
    task = _process.loop.create_task(_outcome(work(_process.runtime)))
    _process.step = task
    try:
        value, error = _process.loop.run_until_complete(task)
    except BaseException:
        task.cancel()
        _process.loop.run_until_complete(asyncio.wait({task}))
        raise
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


async def _outcome(work: Awaitable[Result]) -> tuple[Result | None, Exception | None]:
    try:
        return await work, None
    except Exception as error:
        return None, error.with_traceback(None)
