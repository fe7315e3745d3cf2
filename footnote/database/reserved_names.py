"""Names that are reserved by a commit, several at a time where many are asked for in quick succession."""

from collections.abc import Awaitable, Callable, Sequence
from math import inf
from time import monotonic

QUICK_SECONDS = 1.0  # names that are used up this soon were too few
USABLE_SECONDS = 10.0
MOST = 16


class ReservedNames:
    """Hands out reserved names. One that stays unused for USABLE_SECONDS is forgotten: its reservation must run out."""

    def __init__(self) -> None:
        self._names: list[tuple[float, str]] = []  # and until when they are usable
        self._count = 0
        self._reserved = -inf

    async def take(self, reserve: Callable[[int], Awaitable[Sequence[str]]]) -> str:
        """A name; if there is none, `reserve` makes as many as are asked for."""
        now = monotonic()
        while self._names:
            until, name = self._names.pop()
            if until > now:
                return name
        quick = now - self._reserved < QUICK_SECONDS
        self._count, self._reserved = min(2 * self._count, MOST) if quick else max(self._count // 2, 1), now
        name, *others = await reserve(self._count)
        self._names += [(now + USABLE_SECONDS, other) for other in others]
        return name
