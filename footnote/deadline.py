"""Until when a request must be answered: one moment for all of it, and no wait on the way takes more than is left.

It ends with the first byte of the answer: what streams after it has limits of its own, as has what workers do.
"""

import asyncio
import time
from contextvars import ContextVar
from math import inf, isfinite


class Deadline:
    """Of one request. Tasks that are started for it share it."""

    def __init__(self, seconds: float) -> None:
        self._began = time.monotonic()
        self._at = self._began + seconds
        self._over = False

    def allow(self, seconds: float) -> None:
        """The deadline is that many seconds after the beginning instead; `inf`: as long as each wait allows itself."""
        if not self._over:
            self._at = self._began + seconds

    def spend(self) -> None:
        """No time is left: a required part is unavailable, and clean-up would only wait for it again."""
        if not self._over:
            self._at = self._began

    def end(self) -> None:
        """The answer has begun."""
        self._at, self._over = inf, True

    def left(self) -> float:
        return max(0.0, self._at - time.monotonic())


current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def left(most: float = inf) -> float:
    """Seconds that a wait may take: `most`, or what is left if that is less."""
    deadline = current.get()
    return most if deadline is None else min(most, deadline.left())


def limited(most: float = inf) -> asyncio.Timeout:
    """As `asyncio.timeout`: raises TimeoutError in a block that takes longer, and at once if nothing is left."""
    seconds = left(most)
    if seconds <= 0:
        raise TimeoutError("the request's time is over")
    return asyncio.timeout(seconds if isfinite(seconds) else None)


def allow(seconds: float) -> None:
    if deadline := current.get():
        deadline.allow(seconds)


def spend() -> None:
    if deadline := current.get():
        deadline.spend()


def end() -> None:
    if deadline := current.get():
        deadline.end()
