"""Which lane a worker looks into first when it has a free slot."""

from collections.abc import Iterable
from time import monotonic

from celery.worker import state

from footnote.queue import LANES, task_name

LARGE_EVERY_SECONDS = 10.0  # the longest that large documents wait for a free slot because of small ones
GIVES_WAY = task_name("embed")


class SmallFirst:
    """The order in which kombu looks into queues; its own round robin would fill all slots with large documents.

    Small documents go first; a large one does if none was begun for some time, so that none starves. Steps of large
    documents that cannot give way get all slots but one, if there are several.
    """

    def __init__(self, slots: int) -> None:
        self._at_most = max(1, slots - 1)
        self._large_begun = -LARGE_EVERY_SECONDS
        self._consumed: frozenset[str] = frozenset()

    def update(self, queues: Iterable[str]) -> None:
        """The queues that may be looked into: none when the worker is to stop."""
        self._consumed = frozenset(queues)

    def consume(self, _most: int) -> list[str]:
        """The queues of the next look, in this order."""
        small, large = LANES
        held = (each.name for each in state.reserved_requests if each.delivery_info["routing_key"] == large)
        if sum(name != GIVES_WAY for name in held) >= self._at_most:
            order = [small]
        else:
            late = monotonic() - self._large_begun > LARGE_EVERY_SECONDS
            order = [large, small] if late else [small, large]
        return [queue for queue in order if queue in self._consumed]

    def rotate(self, last_used: str) -> None:
        """Told of the queue that a message came from."""
        if last_used == LANES[True]:
            self._large_begun = monotonic()
