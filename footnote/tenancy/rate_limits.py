"""Limits how often a key may make requests, and how many requests a tenant may have in flight.

How often: the generic cell rate algorithm (GCRA), its virtual scheduling form; ITU-T I.371 (2004), annex A; ATM Forum
Traffic Management 4.0, section 4.4.2. A request moves the theoretical arrival time (TAT) by a minute / limit, and is
refused if that would take it further than a minute from now: so a minute's worth may come at once, and then as much as
the limit says. One script on Redis, on its clock; without Redis there is no limit.
"""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from footnote.database.redis_client import Shared, script
from footnote.errors import TooManyRequests

WINDOW_SECONDS = 60
_GCRA = script(__package__, "gcra.lua")


@dataclass(frozen=True)
class Allowance:
    """What a key has left in one class of routes: requests, and seconds until there is one more."""

    limit: int
    left: int
    more: int
    wait: float  # seconds until the next is let through; 0: this one was


async def count_request(shared: Shared, key_id: str, route_class: str, limit: int) -> Allowance | None:
    """Counts one request against `limit` a minute; None while Redis is unavailable. A refused one costs nothing."""
    found = await shared.run(_GCRA, f"footnote:rate:{key_id}:{route_class}", window=WINDOW_SECONDS * 1000, limit=limit)
    if found is None:
        return None
    return Allowance(limit, found["left"], math.ceil(found["more"] / 1000), found["wait"] / 1000)


def refusal(allowance: Allowance, route_class: str) -> TooManyRequests:
    message = f"The API key may make {allowance.limit} requests of the class {route_class!r} a minute."
    return TooManyRequests("rate_limited", message, retry_after=allowance.wait)


@contextmanager
def counted_in_flight(in_flight: Counter[str], tenant_id: str, most: int) -> Iterator[None]:
    """Counts a request of the tenant as in flight until the block ends. Raises TooManyRequests beyond `most`."""
    if most and in_flight[tenant_id] >= most:
        message = f"{most} requests at once are being answered; another may be made when one of them is."
        raise TooManyRequests("too_many_at_once", message, retry_after=1.0)
    in_flight[tenant_id] += 1
    try:
        yield
    finally:
        in_flight[tenant_id] -= 1
        if not in_flight[tenant_id]:
            del in_flight[tenant_id]
