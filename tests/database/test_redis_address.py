"""REDIS_URL of a server and of sentinels; and a primary that is killed."""

import asyncio
from contextlib import suppress

import pytest
from kombu.exceptions import OperationalError
from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis.exceptions import RedisError

from footnote.database.redis_address import connected, connected_blocking, sentinels_of
from footnote.errors import Invalid
from footnote.queue import broker_url, make_app, start_batches
from footnote.settings import Settings
from tests import sentinels

pytestmark = pytest.mark.anyio


def test_addresses_of_sentinels() -> None:
    found = sentinels_of("sentinel://app:p%40@one,[::1]:5000,three:26380/main?db=2")
    assert found is not None
    assert found.hosts == (("one", 26379), ("::1", 5000), ("three", 26380))
    assert (found.primary, found.login, found.db) == ("main", {"username": "app", "password": "p@"}, 2)
    assert broker_url("sentinel://:p%40@one,two:5/main?db=2") == "sentinel://:p%40@one:26379/2;sentinel://:p%40@two:5/2"
    options = make_app(Settings(_env_file=None, redis_url="sentinel://one/main")).conf.broker_transport_options
    assert options["master_name"] == "main"
    assert sentinels_of("rediss://user:secret@host:6380/1") is None


@pytest.mark.parametrize(
    "wrong", ["amqp://guest:secret@host", "sentinel://one,two", "sentinel:///main", "sentinel://a:b/m"]
)
def test_others_are_refused_without_their_password(wrong: str) -> None:
    with pytest.raises(Invalid, match="REDIS_URL") as refused:
        sentinels_of(wrong)
    assert "secret" not in refused.value.message


async def test_those_that_ask_find_the_new_primary() -> None:
    with sentinels.running(down_ms=300) as watched, connected_blocking(watched.url, seconds=1) as other:
        app = make_app(Settings(_env_file=None, redis_url=watched.url))
        redis = connected(watched.url, seconds=1)
        assert await redis.set("asked", "before")
        assert other.get("asked") == b"before"
        start_batches(app, ["bat_1"])
        before = watched.primary()
        watched.kill_primary()
        # On a busy machine, sentinels may take the new primary for dead, too, and make the third server primary: what
        # was not yet copied is then lost.
        async with asyncio.timeout(90):
            while not await _set(redis) or _asked(other) != b"after" or watched.primary() in (None, before):
                await asyncio.sleep(0.05)
        with suppress(OperationalError):  # as the dispatcher does, which sends again
            start_batches(app, ["bat_2"])
        start_batches(app, ["bat_2"])
        assert await redis.llen("ingest") >= 1
        await redis.aclose()
        app.close()


async def _set(redis: Redis) -> bool:
    with suppress(RedisError):
        return bool(await redis.set("asked", "after"))
    return False


def _asked(redis: SyncRedis) -> object:
    with suppress(RedisError):
        return redis.get("asked")
    return None
