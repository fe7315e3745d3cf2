"""Queues for connections and locks: the request that began first is admitted first."""

import asyncio
import heapq
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from itertools import count

from footnote import deadline

# When the current request began (monotonic); not set: it begins now.
began: ContextVar[float] = ContextVar("began")


class AdmissionQueue:
    """Admits `slots` at a time; the others wait.

    A request that has begun is finished before later ones begin: under load some are answered soon, instead of all of
    them late. A waiting request does not time out while others are admitted.
    """

    def __init__(self, slots: int, patience: float) -> None:
        """`patience`: seconds without any admission after which waiting ends."""
        self._free = slots
        self._patience = patience
        self._moved = 0.0
        self._numbers = count()
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def admission(self) -> AsyncIterator[None]:
        """Raises TimeoutError if no slot became free for as long as the patience."""
        if self._free:
            self._free -= 1
        else:
            await self._wait()
        try:
            yield
        finally:
            self._leave()

    async def _wait(self) -> None:
        come = time.monotonic()
        admitted = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (began.get(come), next(self._numbers), admitted))
        try:
            while not admitted.done():
                left = deadline.left(max(come, self._moved) + self._patience - time.monotonic())
                if left <= 0:
                    raise TimeoutError("no slot became free in time")
                await asyncio.wait({admitted}, timeout=left)
        except BaseException:
            if not admitted.cancel() and not admitted.exception():  # at the last moment: the next one is
                self._leave()
            raise
        admitted.result()

    def reject_all(self) -> None:
        """Ends all waiting with TimeoutError, because the database is unavailable."""
        while self._waiting:
            _, _, admitted = heapq.heappop(self._waiting)
            if not admitted.done():
                admitted.set_exception(TimeoutError("what is waited for is away"))

    def _leave(self) -> None:
        self._moved = time.monotonic()
        while self._waiting:
            _, _, admitted = heapq.heappop(self._waiting)
            if not admitted.done():
                admitted.set_result(None)
                return
        self._free += 1


class AdmissionQueues:
    """A queue for each name, for as long as it is used.

    Work that would wait for the same lock in Postgres waits here instead, without holding a connection.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._queues: dict[str, AdmissionQueue] = {}
        self._users: Counter[str] = Counter()

    @asynccontextmanager
    async def admission(self, name: str, slots: int = 1) -> AsyncIterator[None]:
        """One of `slots`. Raises TimeoutError as `AdmissionQueue.admission` does."""
        queue = self._queues.setdefault(name, AdmissionQueue(slots, self._patience))
        self._users[name] += 1
        try:
            async with queue.admission():
                yield
        finally:
            self._users[name] -= 1
            if not self._users[name]:
                del self._queues[name], self._users[name]
