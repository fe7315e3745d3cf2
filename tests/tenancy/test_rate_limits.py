"""GCRA on a real Valkey."""

import asyncio
from uuid import uuid4

import pytest

from footnote.database.redis_client import Shared, open_redis
from footnote.runtime import Runtime
from footnote.telemetry.metrics import limits_skipped_total
from footnote.tenancy import rate_limits
from footnote.tenancy.rate_limits import Allowance

pytestmark = pytest.mark.anyio


async def taken(rt: Runtime, key: str, limit: int) -> Allowance:
    taken = await rate_limits.count_request(rt.shared, key, "query", limit)
    assert taken is not None
    return taken


async def pass_time(rt: Runtime, key: str, seconds: float) -> None:
    """Moves what is kept into the past: the server's clock cannot be turned."""
    assert rt.redis is not None
    name = f"footnote:rate:{key}:query"
    kept = float(await rt.redis.get(name) or 0)
    await rt.redis.set(name, f"{kept - seconds * 1000:.3f}")


async def test_a_minutes_worth_comes_at_once_and_then_one_by_one(rt: Runtime) -> None:
    key = uuid4().hex
    found = [await taken(rt, key, 5) for _ in range(7)]
    assert [each.left for each in found] == [4, 3, 2, 1, 0, 0, 0]
    assert [bool(each.wait) for each in found] == [False] * 5 + [True] * 2
    assert all(10 < each.more <= 12 for each in found[:4]), "a minute / 5"
    assert 10 < found[-1].wait <= 12, "being refused costs nothing"
    assert found[-1].more - 1 < found[-1].wait <= found[-1].more
    await pass_time(rt, key, 12 + 7)
    last = await taken(rt, key, 5)
    assert (last.wait, last.left) == (0, 0)
    assert 3 < last.more <= 5, "what is left of 12"
    assert (await taken(rt, key, 5)).wait > 0
    await pass_time(rt, key, 600)
    assert [bool((await taken(rt, key, 5)).wait) for _ in range(6)] == [False] * 5 + [True], "nothing is saved up"


async def test_all_processes_count_together_to_the_request(rt: Runtime) -> None:
    key, others = uuid4().hex, [open_redis(rt.settings) for _ in range(4)]
    shared = [Shared(redis) for redis in others]
    found = await asyncio.gather(*(rate_limits.count_request(shared[n % 4], key, "query", 20) for n in range(60)))
    assert sum(each is not None and each.wait == 0 for each in found) == 20
    for redis in others:
        assert redis is not None
        await redis.aclose()


async def test_keys_and_classes_do_not_share(rt: Runtime) -> None:
    key = uuid4().hex
    assert (await taken(rt, key, 1)).wait == 0
    assert (await taken(rt, key, 1)).wait > 0
    assert (await taken(rt, key + "x", 1)).wait == 0
    other = await rate_limits.count_request(rt.shared, key, "read", 1)
    assert other is not None
    assert other.wait == 0


async def test_without_redis_nobody_is_limited_and_it_is_counted(rt: Runtime) -> None:
    redis = open_redis(rt.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"}))
    away, before = Shared(redis), limits_skipped_total._value.get()
    for _ in range(3):
        assert await rate_limits.count_request(away, "k", "query", 1) is None
    assert limits_skipped_total._value.get() == before + 3
    assert redis is not None
    await redis.aclose()
