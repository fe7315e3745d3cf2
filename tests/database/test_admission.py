"""The queue for connections: the oldest request comes first, and no request is refused while the queue moves."""

import asyncio
from dataclasses import dataclass

import pytest

from footnote.database import admission
from footnote.database.admission import AdmissionQueue, began

pytestmark = pytest.mark.anyio

PATIENCE = 0.01


@dataclass
class Clock:
    now: float = 100.0
    looks: int = 0

    def monotonic(self) -> float:
        self.looks += 1
        return self.now

    async def looked_at(self) -> None:
        """Somebody who waits has seen what time it is."""
        seen = self.looks
        while self.looks < seen + 2:
            await asyncio.sleep(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(admission, "time", clock)
    return clock


class Visitor:
    def __init__(self, of: AdmissionQueue, since: float | None = None) -> None:
        self.inside, self.leaves = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self._visit(of, since))

    async def _visit(self, of: AdmissionQueue, since: float | None) -> None:
        if since is not None:
            began.set(since)
        async with of.admission():
            self.inside.set()
            await self.leaves.wait()

    async def leave(self) -> None:
        self.leaves.set()
        await self.task


async def test_who_began_first_comes_first(clock: Clock) -> None:
    of = AdmissionQueue(1, PATIENCE)
    first = Visitor(of)
    await first.inside.wait()
    young, old, middle = Visitor(of, 30.0), Visitor(of, 10.0), Visitor(of, 20.0)
    await asyncio.sleep(0)
    order = []
    await first.leave()
    for visitor in (old, middle, young):
        await visitor.inside.wait()
        order.append([each.inside.is_set() for each in (old, middle, young)])
        await visitor.leave()
    assert order == [[True, False, False], [True, True, False], [True, True, True]]


async def test_as_many_as_there_are_places_come_in_at_once(clock: Clock) -> None:
    of = AdmissionQueue(2, PATIENCE)
    visitors = [Visitor(of) for _ in range(3)]
    await asyncio.gather(*(each.inside.wait() for each in visitors[:2]))
    assert not visitors[2].inside.is_set()
    for each in visitors:
        await each.leave()
    again = [Visitor(of) for _ in range(2)]
    await asyncio.gather(*(each.inside.wait() for each in again))
    for each in again:
        await each.leave()


async def test_it_ends_once_it_stands_still_and_not_before(clock: Clock) -> None:
    of = AdmissionQueue(1, PATIENCE)
    first = Visitor(of)
    await first.inside.wait()
    second, third = Visitor(of, 1.0), Visitor(of, 2.0)
    clock.now += 0.8 * PATIENCE
    await clock.looked_at()
    await first.leave()
    await second.inside.wait()
    clock.now += 0.8 * PATIENCE
    await clock.looked_at()
    assert not third.task.done(), "longer than its patience, but another one ended meanwhile"
    clock.now += 0.4 * PATIENCE
    with pytest.raises(TimeoutError):
        await third.task
    await second.leave()
    await Visitor(of).leave()


async def test_who_leaves_the_line_takes_no_place_with_it(clock: Clock) -> None:
    of = AdmissionQueue(1, PATIENCE)
    first = Visitor(of)
    await first.inside.wait()
    waiting, chosen = Visitor(of, 1.0), Visitor(of, 2.0)
    await asyncio.sleep(0)
    waiting.task.cancel()
    await asyncio.wait({waiting.task})
    await first.leave()
    chosen.task.cancel()  # its turn has come, and it does not know yet
    await asyncio.wait({chosen.task})
    assert waiting.task.cancelled()
    assert chosen.task.cancelled()
    assert not chosen.inside.is_set()
    await Visitor(of).leave()
