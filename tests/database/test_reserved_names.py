"""Names that are reserved ahead: as many as are used, and none that is too old."""

from collections.abc import Sequence
from itertools import count

import pytest

from footnote.database import reserved_names
from footnote.database.reserved_names import MOST, QUICK_SECONDS, USABLE_SECONDS, ReservedNames

pytestmark = pytest.mark.anyio


class Reserving:
    """Reserves numbers; the clock is set by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.asked: list[int] = []
        self._numbers = count()
        self._spares = ReservedNames()
        monkeypatch.setattr(reserved_names, "monotonic", lambda: self.now)

    async def _reserve(self, number: int) -> Sequence[str]:
        self.asked.append(number)
        return [str(next(self._numbers)) for _ in range(number)]

    async def take(self, times: int = 1) -> list[str]:
        return [await self._spares.take(self._reserve) for _ in range(times)]


@pytest.fixture
def reserving(monkeypatch: pytest.MonkeyPatch) -> Reserving:
    return Reserving(monkeypatch)


async def test_more_are_reserved_at_once_the_quicker_they_are_used(reserving: Reserving) -> None:
    names = await reserving.take(100)
    assert len(set(names)) == 100
    assert reserving.asked[:7] == [1, 2, 4, 8, MOST, MOST, MOST]


async def test_one_that_is_alone_is_reserved_alone(reserving: Reserving) -> None:
    for _ in range(5):
        await reserving.take()
        reserving.now += QUICK_SECONDS
    assert reserving.asked == [1] * 5


async def test_fewer_are_reserved_when_they_are_used_slowly(reserving: Reserving) -> None:
    await reserving.take(31)
    reserving.now += QUICK_SECONDS
    await reserving.take(9)
    assert reserving.asked == [1, 2, 4, 8, 16, 8, 16]


async def test_what_is_too_old_is_not_used(reserving: Reserving) -> None:
    used = await reserving.take(4)
    reserving.now += USABLE_SECONDS
    assert set(await reserving.take(3)).isdisjoint({*used, "4", "5", "6"})
