"""The lane that a worker looks into first when it has a free slot."""

from collections.abc import Iterable
from time import monotonic

from celery.worker import state

from footnote.jobs import Lane
from footnote.queue import task_name

PATIENCE_SECONDS = 10.0  # for which large documents leave every free slot to small ones
YIELDS = task_name("embed")  # yields after every batch; other steps yield late or never


class SmallFirst:
    """The order in which kombu looks into queues; its own round robin would fill all slots with large documents.

    Small documents go first; a large one does if none had a slot for some time, so that it is not starved. If
    there are several slots, large documents in the step `embed`, which yields after every batch, get all but one.
    """

    def __init__(self, slots: int) -> None:
        self._at_most = max(1, slots - 1)
        self._large_served = False
        self._large_last = -PATIENCE_SECONDS  # when a large document was last known to have a slot
        self._consumed: frozenset[str] = frozenset()

    def update(self, queues: Iterable[str]) -> None:
        """The queues that may be looked into: none when the worker is to stop."""
        self._consumed = frozenset(queues)

    def consume(self, _most: int) -> list[str]:
        """The queues of the next look, in this order."""
        small, large = Lane.SMALL.value, Lane.LARGE.value
        held = [each.name for each in state.reserved_requests if each.delivery_info["routing_key"] == large]
        if held or self._large_served:
            self._large_last = monotonic()
        self._large_served = bool(held)
        if sum(name != YIELDS for name in held) >= self._at_most:
            order = [small]
        elif monotonic() - self._large_last > PATIENCE_SECONDS:
            order = [large, small]
        else:
            order = [small, large]
        return [queue for queue in order if queue in self._consumed]

    def rotate(self, last_used: str) -> None:
        """Called with the queue that a message came from."""
        if last_used == Lane.LARGE:
            self._large_served = True  # until the next look, which comes when a slot is free again
