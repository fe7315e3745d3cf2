"""A line before something of which there are only so many, where whoever began first comes first."""

import asyncio
import heapq
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from itertools import count

from footnote import deadline

# When the request began for which something is done (monotonic); not set: it begins now.
began: ContextVar[float] = ContextVar("began")


class AdmissionQueue:
    """So many places, for as long as each is needed.

    What a request began is so brought to its end before others begin: in a crowd some are answered soon, and not all of
    them late. It ends for nobody as long as it moves.
    """

    def __init__(self, places: int, patience: float) -> None:
        """`patience` in seconds: for any place to become free."""
        self._free = places
        self._patience = patience
        self._moved = 0.0
        self._numbers = count()
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Raises TimeoutError once the line stands still."""
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
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (began.get(come), next(self._numbers), turn))
        try:
            while not turn.done():
                left = deadline.left(max(come, self._moved) + self._patience - time.monotonic())
                if left <= 0:
                    raise TimeoutError("no place became free in time")
                await asyncio.wait({turn}, timeout=left)
        except BaseException:
            if not turn.cancel() and not turn.exception():  # a place came at the last moment: to the next one
                self._leave()
            raise
        turn.result()

    def turn_away(self) -> None:
        """Ends all waiting: what the places are for is away."""
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_exception(TimeoutError("what is waited for is away"))

    def _leave(self) -> None:
        self._moved = time.monotonic()
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class AdmissionQueues:
    """A line of its own before each thing that has a name, as long as anybody needs it.

    Who would wait for the same lock in Postgres waits here instead, without a connection that others need.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._lines: dict[str, AdmissionQueue] = {}
        self._users: Counter[str] = Counter()

    @asynccontextmanager
    async def place(self, name: str, places: int = 1) -> AsyncIterator[None]:
        """One of so many places. Raises TimeoutError once the line stands still."""
        line = self._lines.setdefault(name, AdmissionQueue(places, self._patience))
        self._users[name] += 1
        try:
            async with line.place():
                yield
        finally:
            self._users[name] -= 1
            if not self._users[name]:
                del self._lines[name], self._users[name]
