"""What all processes share in Redis, and doing without it while it is unavailable."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoScriptError, RedisError

from footnote import deadline
from footnote.database.redis_address import connected
from footnote.settings import Settings
from footnote.telemetry import log
from footnote.telemetry.metrics import limits_skipped_total

Answer = TypeVar("Answer")

REDIS_SECONDS = 0.5  # for one script; after that, Redis counts as unavailable
SKIP_SECONDS = 5.0  # during which Redis is then not called


def open_redis(settings: Settings) -> Redis | None:
    """Connects at first use. What asks it must get on without: it answers soon, or counts as away."""
    if not settings.redis_url:
        return None
    retry = Retry(NoBackoff(), 1, (ConnectionLost,))  # a connection of the pool that a restart has cut
    return connected(settings.redis_url, seconds=REDIS_SECONDS, retry=retry)


def script(package: str, name: str) -> str:
    """The text of a Lua script in the folder of `package`."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


@cache
def _sha1(script: str) -> str:
    """The name of a script in Redis."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


class Shared:
    """Redis, and doing without it while it is unavailable: the first request that notices waits, and then none does."""

    def __init__(self, redis: Redis | None) -> None:
        self._redis = redis
        self._away, self._look_at = False, 0.0  # when it is looked for again
        self._looking: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[Any]] = set()

    async def ask(self, what: Callable[[Redis], Awaitable[Answer]], seconds: float | None = None) -> Answer | None:
        """What Redis answers within `seconds`; None while it is unavailable."""
        clock = asyncio.get_running_loop().time
        if self._redis is None:
            return None
        if self._away:
            if clock() >= self._look_at and (self._looking is None or self._looking.done()):
                self._looking = asyncio.create_task(self._look(self._redis))
            return None
        patience = REDIS_SECONDS if seconds is None else seconds
        try:
            async with deadline.limited(patience):
                return await what(self._redis)
        except (RedisError, OSError, TimeoutError) as error:
            if isinstance(error, TimeoutError) and deadline.left() < patience:
                return None  # the request's time was over, which says nothing of Redis
            # With less patience than usual, it may be slow for a moment: then it is looked for at once.
            self._away, self._look_at = True, clock() + (SKIP_SECONDS if seconds is None else 0.0)
            say = log.warning if seconds is None else log.info
            say("doing without Redis", error=f"{type(error).__name__}: {error}"[:300])
            return None

    def send(self, what: Callable[[Redis], Awaitable[Any]], seconds: float | None = None) -> None:
        """As `ask`, for what nothing depends on: its answer is not waited for."""
        task = asyncio.create_task(self.ask(what, seconds))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def drain(self) -> None:
        """Waits for what was sent; each of it has its own limit, after which its connection is closed."""
        await asyncio.gather(*self._sending)
        await asyncio.sleep(0)

    async def _look(self, redis: Redis) -> None:
        """In the background of a request, which does not wait for it."""
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                await redis.ping()
        except (RedisError, OSError, TimeoutError):
            self._look_at = asyncio.get_running_loop().time() + SKIP_SECONDS
        else:
            self._away = False

    async def run(self, script: str, key: str, **asked: Any) -> dict[str, Any] | None:
        """What the script answers; None while Redis is unavailable."""
        given = json.dumps({name: value for name, value in asked.items() if value is not None})

        async def evaluated(redis: Redis) -> Any:
            try:
                return await redis.evalsha(_sha1(script), 1, key, given)
            except NoScriptError:  # not since Redis was started
                return await redis.eval(script, 1, key, given)

        answer = await self.ask(evaluated)
        if answer is not None:
            return dict(json.loads(answer))
        limits_skipped_total.inc(self._redis is not None)
        return None
