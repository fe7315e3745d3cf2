"""The worker's main process says that it is alive, with Celery's heartbeat, so that it needs no timer."""

import uuid
from contextlib import suppress
from time import monotonic
from typing import Any

from celery import signals
from redis.exceptions import RedisError

from footnote.database.redis_address import connected_blocking
from footnote.jobs import workers
from footnote.settings import Settings

_PATIENCE_SECONDS = 0.5


def attach(settings: Settings) -> None:
    """In the worker's main process."""
    name, said = uuid.uuid4().hex, -workers.SAY_SECONDS
    redis = connected_blocking(settings.redis_url or "", seconds=_PATIENCE_SECONDS)

    def say(**_: Any) -> None:
        nonlocal said
        if monotonic() - said >= workers.SAY_SECONDS:
            said = monotonic()
            with suppress(RedisError):  # it will be said again
                workers.say(redis, name, settings.worker_concurrency)

    signals.heartbeat_sent.connect(say, weak=False)
