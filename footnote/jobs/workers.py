"""Which workers are alive: each writes a heartbeat to Redis every few seconds. It is used for display only."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis import Redis

from footnote.database.redis_client import Shared

if TYPE_CHECKING:
    from redis.asyncio import Redis as AsyncRedis

SAY_SECONDS = 5.0
ALIVE_SECONDS = 20  # without a heartbeat, after which a worker counts as stopped
_KEY = "footnote:workers"

# By the clock of Redis: those of the machines may differ.
_SAY = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""
_ALIVE = """
return redis.call('ZRANGEBYSCORE', KEYS[1], tonumber(redis.call('TIME')[1]) - tonumber(ARGV[1]), '+inf')
"""


@dataclass(frozen=True)
class Workers:
    """How many are alive, and how many steps they can work on at once."""

    alive: int
    slots: int


def say(redis: "Redis", name: str, slots: int) -> None:
    """Writes the heartbeat of a worker. Raises RedisError."""
    redis.eval(_SAY, 1, _KEY, f"{name} {slots}", str(ALIVE_SECONDS))


async def alive(shared: Shared) -> Workers | None:
    """None while Redis is unavailable."""

    async def asked(redis: "AsyncRedis") -> list[bytes]:
        found: list[bytes] = await redis.eval(_ALIVE, 1, _KEY, str(ALIVE_SECONDS))
        return found

    names = await shared.ask(asked)
    if names is None:
        return None
    return Workers(len(names), sum(int(each.rpartition(b" ")[2]) for each in names))
