"""Limits, pauses and circuits on a real Valkey, as several processes see them: each endpoint has its own client."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from footnote.database import redis_client
from footnote.database.redis_client import Shared, open_redis
from footnote.errors import BatchTooLarge, CircuitOpen, ProviderRejected, RateLimited, TimedOut, Unavailable
from footnote.local_stack.valkey import running_valkey
from footnote.providers import throttle
from footnote.providers.throttle import INTERACTIVE, PIPELINE, Endpoint, Quota, Urgency
from footnote.settings import Settings
from footnote.telemetry.metrics import limits_skipped_total

pytestmark = pytest.mark.anyio
Make = Callable[..., Endpoint]
AWAY = Unavailable("provider_unavailable", "The provider answered 500.")


def client(url: str) -> Redis:
    redis = open_redis(Settings(_env_file=None, redis_url=url))
    assert redis is not None
    return redis


@pytest.fixture
async def make(redis_url: str) -> AsyncIterator[Make]:
    """Endpoints of one provider, each as a process of its own would open it."""
    address, opened = f"http://{uuid4()}", []

    def made(urgency: Urgency = PIPELINE, **configured: float) -> Endpoint:
        opened.append(client(redis_url))
        return Endpoint(Shared(opened[-1]), "openai", address, "m", configured, urgency)

    yield made
    for redis in opened:
        await redis.aclose()


async def call(
    endpoint: Endpoint,
    tokens: int = 1,
    *,
    ends: BaseException | None = None,
    quota: Quota | None = None,
    patience: float | None = None,
    divisible: bool = False,
) -> None:
    patience = endpoint.urgency.patience if patience is None else patience
    async with endpoint.calling(tokens, patience=patience, divisible=divisible) as made:
        made.quota = quota
        if ends:
            raise ends


async def refused(endpoint: Endpoint, tokens: int = 1, **options: Any) -> RateLimited:
    with pytest.raises(RateLimited) as raised:
        await call(endpoint, tokens, patience=0, **options)
    assert raised.value.retry_after
    return raised.value


async def fails(endpoint: Endpoint, times: int = 1, error: Unavailable | TimedOut = AWAY) -> None:
    for _ in range(times):
        with pytest.raises(type(error)):
            await call(endpoint, ends=error)


async def limited(endpoint: Endpoint, retry_after: float | None = None, quota: Quota | None = None) -> RateLimited:
    """A call that the provider answers with 429."""
    error = RateLimited("provider_unavailable", "The provider answered 429.", retry_after=retry_after)
    error.quota = quota
    with pytest.raises(RateLimited) as raised:
        await call(endpoint, ends=error)
    assert raised.value is error
    return error


async def state(endpoint: Endpoint) -> dict[str, Any]:
    redis = endpoint.shared._redis
    assert redis is not None
    found: dict[str, Any] = json.loads(await redis.get(endpoint.key) or "{}")
    return found


async def pass_time(endpoint: Endpoint, seconds: float) -> None:
    """Moves every stored time into the past: the server's clock cannot be set."""
    kept = await state(endpoint)
    for name in ("pause_until", "turn_at", "open_until", "trial_until"):
        if name in kept:
            kept[name] -= seconds * 1000
    for times in (kept["ours"], kept["theirs"]):
        for name in times:
            times[name] -= seconds * 1000
    redis = endpoint.shared._redis
    assert redis is not None
    await redis.set(endpoint.key, json.dumps(kept))


# -- rates ---------------------------------------------------------------------------------------------------


async def test_the_calls_of_all_processes_together_keep_to_the_limit(make: Make) -> None:
    clock, granted = asyncio.get_running_loop().time, []

    async def process(endpoint: Endpoint) -> None:
        for _ in range(12):
            await call(endpoint, patience=30)
            granted.append(clock())

    await asyncio.gather(*(process(make(requests=1200)) for _ in range(4)))
    assert len(granted) == 48
    for first, start in enumerate(granted):
        for last, end in enumerate(granted[first:], first):
            # A second's worth at once, and 20 a second; 50 ms for what a busy machine is late.
            assert last - first + 1 <= 20 + 20 * (end - start + 0.05)
    assert granted[-1] - granted[0] < 4, "it is also used"


async def test_a_slow_limit_allows_no_burst_at_all(make: Make) -> None:
    await call(make(requests=60))
    for _ in range(3):
        error = await refused(make(requests=60))
        assert 0.5 < (error.retry_after or 0) <= 60 / 60 / throttle.PACE, "being refused costs nothing"
    assert "takes 60 requests a minute" in error.message


async def test_who_has_the_patience_gets_the_next_turn_and_the_others_are_sent_away_at_once(make: Make) -> None:
    clock, waits = asyncio.get_running_loop().time, list[float | None]()
    a_turn = 60 / 30 / throttle.PACE
    patience = a_turn + 0.1
    started = clock()
    await call(make(requests=30))

    async def one() -> None:
        try:
            await call(make(requests=30), patience=patience)
        except RateLimited as error:
            waits.append(error.retry_after)
        else:
            waits.append(None)

    await asyncio.gather(*(one() for _ in range(4)))
    assert clock() - started > a_turn - 0.1
    assert waits[3] is None
    assert all(wait and patience < wait <= 2 * a_turn for wait in waits[:3]), "before the patient one had its turn"


async def test_tokens_are_counted_and_corrected(make: Make) -> None:
    endpoint = make(tokens=6000)
    async with endpoint.calling(3000, patience=0) as made:
        made.tokens = 1000
    error = await refused(make(tokens=6000))
    assert 8 < (error.retry_after or 0) <= 1000 / 6000 * 60 / throttle.PACE
    assert "takes 6000 tokens a minute" in error.message


async def test_a_question_passes_where_the_pipeline_has_spent_its_share(make: Make) -> None:
    await call(make(tokens=60_000, requests=60), 30_000)
    await refused(make(tokens=60_000, requests=60))
    for _ in range(3):
        await call(make(INTERACTIVE, tokens=60_000, requests=60), 20, patience=0)
    assert ((await refused(make(tokens=60_000, requests=60))).retry_after or 0) > 15


async def test_what_may_be_divided_is_not_sent_if_it_takes_more_than_half_a_minutes_tokens(make: Make) -> None:
    endpoint = make(tokens=1000)
    with pytest.raises(BatchTooLarge, match="1000 tokens a minute; 501 at once"):
        await call(endpoint, 501, divisible=True)
    await call(endpoint, 500, divisible=True)
    await pass_time(endpoint, 120)
    await call(endpoint, 5000)


# -- what is learned -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({}, None),
        ({"x-ratelimit-remaining-requests": "5"}, None),
        ({"x-ratelimit-limit-requests": "0", "x-ratelimit-remaining-requests": "0"}, None),
        ({"x-ratelimit-limit-requests": "many"}, None),
        ({"x-ratelimit-limit-requests": "60"}, Quota({"requests": 60}, {}, None)),
        (
            {
                "x-ratelimit-limit-requests": "60",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "6m0.5s",
                "x-ratelimit-limit-tokens": "150000",
                "x-ratelimit-remaining-tokens": "149000",
                "x-ratelimit-reset-tokens": "1h",
            },
            Quota({"requests": 60, "tokens": 150_000}, {"requests": 0, "tokens": 149_000}, 360.5),
        ),
        (
            {
                "x-ratelimit-limit-tokens": "9",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "120ms",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "7",
            },
            Quota({"tokens": 9}, {"tokens": 0}, 0.12),
        ),
        (
            {
                "x-ratelimit-limit-tokens": "9",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "2026-01-01T00:00:00Z",
            },
            Quota({"tokens": 9}, {"tokens": 0}, None),
        ),
    ],
)
def test_what_a_provider_says_of_its_limits(headers: dict[str, str], wanted: Quota | None) -> None:
    assert Quota.read(headers) == wanted


async def test_limits_that_one_process_learned_hold_for_all(make: Make) -> None:
    first, other = make(), make()
    await call(first, quota=Quota({"requests": 60}, {"requests": 59}, None))
    await call(other)
    assert other.known == {"requests": 60}
    assert "takes 60 requests a minute" in (await refused(first)).message


async def test_what_is_configured_counts_more_than_what_is_learned(make: Make) -> None:
    endpoint = make(requests=6000)
    await call(endpoint, quota=Quota({"requests": 6}, {}, None))
    for _ in range(20):
        await call(endpoint, patience=0)


async def test_what_others_have_used_up_is_waited_for(make: Make) -> None:
    """Another program has the same key: the provider says what is left, for questions as well."""
    await call(make(), 300, quota=Quota({"tokens": 6000}, {"tokens": 100}, None))
    await call(make(INTERACTIVE), 90, patience=0)
    error = await refused(make(INTERACTIVE), 300)
    assert 2 < (error.retry_after or 0) <= 290 / 6000 * 60 / throttle.PACE


# -- pauses --------------------------------------------------------------------------------------------------


async def test_a_pause_holds_for_all_and_for_as_long_as_the_provider_said(make: Make) -> None:
    error = await limited(make(), retry_after=30)
    assert error.retry_after == 30
    for urgency in (PIPELINE, INTERACTIVE):
        kept_off = await refused(make(urgency))
        assert 15 < (kept_off.retry_after or 0) <= 30
        assert "asked for a pause until 2" in kept_off.message
    await limited_straggler(make())
    endpoint = make()
    await pass_time(endpoint, 30)
    await call(endpoint)


async def limited_straggler(endpoint: Endpoint) -> None:
    """A 429 to a call that was on its way when the pause began makes it no shorter."""
    await endpoint._leave(throttle.Call({"requests": 1, "tokens": 1}), "limited", 1)
    assert ((await refused(endpoint)).retry_after or 0) > 15


async def test_an_answer_to_an_earlier_call_does_not_end_a_pause(make: Make) -> None:
    slow = make()
    async with slow.calling(1, patience=0):
        await limited(make(), retry_after=30)
    assert ((await refused(make())).retry_after or 0) > 15


async def test_whoever_waits_for_a_turn_learns_of_a_pause(make: Make) -> None:
    endpoint = make(requests=60)
    await call(endpoint)
    before = (await state(endpoint))["ours"]["requests"]
    waiting = asyncio.create_task(call(make(requests=60), patience=5))
    while (await state(endpoint))["ours"]["requests"] == before:
        await asyncio.sleep(0)
    await endpoint._leave(throttle.Call({"requests": 1, "tokens": 1}), "limited", 30)
    with pytest.raises(RateLimited) as raised:
        await waiting
    assert 15 < (raised.value.retry_after or 0) < 29.5, "asked after its wait"


async def test_without_a_time_pauses_grow_until_an_answer_comes(make: Make) -> None:
    endpoint, pauses = make(), []
    for _ in range(9):
        pauses.append((await limited(endpoint)).retry_after)
        await pass_time(endpoint, 61)
    assert pauses == pytest.approx([0.5, 1, 2, 4, 8, 16, 32, 60, 60], abs=0.05)
    await call(endpoint)
    assert (await limited(endpoint)).retry_after == pytest.approx(0.5, abs=0.05)


async def test_after_a_pause_one_goes_first(make: Make) -> None:
    first, other = make(), make()
    await limited(first, retry_after=10)
    await pass_time(first, 10)
    async with first.calling(1, patience=0):
        assert ((await refused(other)).retry_after or 0) <= 1
    await call(other, patience=0)


async def test_no_pause_makes_room_for_more_tokens_than_a_minute_has(make: Make) -> None:
    endpoint = make()
    error = RateLimited("provider_unavailable", "Too many tokens.", retry_after=900)
    error.quota = Quota({"tokens": 1000}, {}, None)
    with pytest.raises(BatchTooLarge, match="Too many tokens"):
        await call(endpoint, 16_000, ends=error, divisible=True)
    assert endpoint.known == {"tokens": 1000}
    assert "pause_until" not in await state(endpoint)


# -- the circuit ---------------------------------------------------------------------------------------------


async def open_circuit(make: Make) -> None:
    for _ in range(5):
        await fails(make())


async def kept_off(endpoint: Endpoint) -> CircuitOpen:
    with pytest.raises(CircuitOpen) as raised:
        await call(endpoint)
    assert raised.value.retry_after
    return raised.value


async def test_five_failures_in_a_row_open_the_circuit_for_all(make: Make) -> None:
    await fails(make(), 4)
    await call(make())
    await fails(make(), 4, TimedOut("provider_unavailable", "Too slow.", retry_after=5))
    assert await make().circuit() == "closed"
    await fails(make())
    for urgency in (PIPELINE, INTERACTIVE):
        error = await kept_off(make(urgency))
        assert 2 < (error.retry_after or 0) <= 5
        assert "openai/m failed 5 times in a row and is not asked before 2" in error.message
    until = await make().circuit()
    assert until is not None
    assert until in error.message


async def test_limits_and_refusals_are_no_failures_but_show_that_it_works(make: Make) -> None:
    for ends in (RateLimited("x", retry_after=0.0), ProviderRejected("provider_rejected", "401"), BatchTooLarge("x")):
        endpoint = make()
        for error in (AWAY, AWAY, AWAY, AWAY, ends, AWAY, AWAY, AWAY, AWAY):
            with pytest.raises(type(error)):
                await call(endpoint, ends=error)
            await pass_time(endpoint, 10)
        assert await endpoint.circuit() == "closed"
        await call(endpoint)


async def test_our_own_mistakes_and_readers_who_leave_say_nothing_of_the_provider(make: Make) -> None:
    for ends in (ZeroDivisionError(), asyncio.CancelledError(), GeneratorExit()):
        for _ in range(6):
            with pytest.raises(type(ends)):
                await call(make(), ends=ends)
    assert await make().circuit() == "closed"


async def test_one_call_tries_whether_the_provider_works_again(make: Make) -> None:
    await open_circuit(make)
    endpoint = make()
    await pass_time(endpoint, 5)
    async with endpoint.calling(1, patience=0) as made:
        assert made.trial
        for _ in range(3):
            assert ((await kept_off(make())).retry_after or 0) <= 2
    assert await make().circuit() == "closed"
    await asyncio.gather(*(call(make()) for _ in range(4)))


async def test_a_circuit_stays_open_longer_after_every_failed_trial_up_to_a_minute(make: Make) -> None:
    await open_circuit(make)
    endpoint, lengths = make(), []
    for _ in range(6):
        lengths.append((await kept_off(endpoint)).retry_after)
        await pass_time(endpoint, lengths[-1] or 0)
        await fails(endpoint)
    assert lengths == pytest.approx([5, 10, 20, 40, 60, 60], abs=2)
    await pass_time(endpoint, 60)
    await call(endpoint)
    await open_circuit(make)
    assert (await kept_off(endpoint)).retry_after == pytest.approx(5, abs=2)


async def test_failures_of_calls_that_were_on_their_way_prolong_nothing(make: Make) -> None:
    async def slow(endpoint: Endpoint) -> None:
        async with endpoint.calling(1, patience=0):
            await open_circuit(make)
            raise AWAY

    with pytest.raises(Unavailable):
        await slow(make())
    assert ((await kept_off(make())).retry_after or 0) <= 5


async def test_a_trial_that_was_given_up_is_anothers(make: Make) -> None:
    await open_circuit(make)
    endpoint = make()
    await pass_time(endpoint, 5)
    with pytest.raises(asyncio.CancelledError):
        await call(endpoint, ends=asyncio.CancelledError())
    await call(make())


async def test_a_trial_whose_process_died_is_anothers_in_the_end(make: Make) -> None:
    await open_circuit(make)
    endpoint = make()
    await pass_time(endpoint, 5)
    await endpoint._enter(throttle.Call({"requests": 1, "tokens": 1}), 0, False)
    await kept_off(make())
    await pass_time(endpoint, 90)
    await call(make())


async def test_endpoints_do_not_share_their_troubles(make: Make) -> None:
    await open_circuit(make)
    for other in ({"provider": "x"}, {"address": "http://elsewhere"}, {"model": "y"}):
        given = {"provider": "openai", "address": make().address, "model": "m"} | other
        endpoint = Endpoint(make().shared, **given, configured={}, urgency=PIPELINE)
        await call(endpoint)


# -- Redis away ----------------------------------------------------------------------------------------------


async def works_without(endpoint: Endpoint) -> float:
    """Seconds that calls of all kinds take, none of which is held up by anything."""
    clock = asyncio.get_running_loop().time
    started = clock()
    for _ in range(3):
        await call(endpoint)
    await fails(endpoint, 9)
    assert (await limited(endpoint, retry_after=30)).retry_after == 30
    await call(endpoint)
    assert await endpoint.circuit() is None
    return clock() - started


@pytest.mark.parametrize("url", [None, "unix:///nowhere/at/all.sock", "redis://127.0.0.1:1/0"])
async def test_without_redis_every_call_goes_ahead(url: str | None) -> None:
    redis = open_redis(Settings(_env_file=None, redis_url=url))
    endpoint = Endpoint(Shared(redis), "openai", "http://x", "m", {"requests": 1}, PIPELINE)
    before = limits_skipped_total._value.get()
    assert await works_without(endpoint) < 5
    assert (limits_skipped_total._value.get() > before) is (url is not None)
    if redis:
        await redis.aclose()


async def test_a_frozen_redis_is_soon_left_alone_and_asked_again_later(
    stack_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_client, "SKIP_SECONDS", 1.0)
    monkeypatch.setattr(redis_client, "REDIS_SECONDS", 0.5)
    with running_valkey(stack_directory / "frozen") as url:
        redis = client(url)
        endpoint = Endpoint(Shared(redis), "openai", "http://x", "m", {"requests": 60}, PIPELINE)
        await call(endpoint)
        pid = (await redis.info("server"))["process_id"]
        os.kill(pid, signal.SIGSTOP)
        try:
            assert 0.5 <= await works_without(endpoint) < 5
        finally:
            os.kill(pid, signal.SIGCONT)
        async with asyncio.timeout(60):
            while "ours" not in await state(endpoint) or await endpoint.circuit() is None:
                await asyncio.sleep(0.05)
        await call(endpoint)
        await refused(endpoint)
        await redis.aclose()


class Silent:
    """A server that takes what is asked, and answers nothing until it is told to; how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers = False

    async def ping(self) -> bool:
        self.asked += 1
        if not self.answers:
            await asyncio.Event().wait()
        return True


async def test_a_redis_that_is_away_is_waited_for_once_and_then_looked_for_in_the_background(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_client, "REDIS_SECONDS", 0.05)
    monkeypatch.setattr(redis_client, "SKIP_SECONDS", 3600.0)
    redis = Silent()
    asked = Shared(cast(Redis, redis))
    for _ in range(5):  # for all users of Redis: limits of providers and keys, vectors of questions
        assert await asked.ask(lambda each: each.ping()) is None
    assert redis.asked == 1
    asked._look_at = 0.0  # the time has passed
    assert await asked.ask(lambda each: each.ping()) is None
    assert redis.asked == 1, "the request did not wait for it"
    async with asyncio.timeout(60):
        while redis.asked < 2 or asked._look_at == 0.0:
            await asyncio.sleep(0)
    redis.answers, asked._look_at = True, 0.0
    async with asyncio.timeout(60):
        while not await asked.ask(lambda each: each.ping()):
            await asyncio.sleep(0)


async def test_a_redis_that_lost_everything_learns_again(make: Make) -> None:
    endpoint = make(requests=60)
    await call(endpoint)
    redis = endpoint.shared._redis
    assert redis is not None
    await redis.delete(endpoint.key)
    await redis.script_flush()
    await redis.connection_pool.disconnect()
    before = limits_skipped_total._value.get()
    await call(endpoint)
    await refused(endpoint)
    assert limits_skipped_total._value.get() == before


async def test_an_answer_that_tells_nothing_new_is_not_recorded(make: Make) -> None:
    """But the end of failures is, and what the provider says of its limits."""
    endpoint, told = make(), []
    leave = Endpoint._leave

    async def noted(self: Endpoint, call: throttle.Call, outcome: throttle.Outcome, *more: Any) -> float:
        told.append(outcome)
        return await leave(self, call, outcome, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Endpoint, "_leave", noted)
        await call(endpoint)
        assert told == []
        with pytest.raises(Unavailable):
            await call(endpoint, ends=AWAY)
        await call(endpoint)
        await call(endpoint)
        assert told == ["failed", "answered"]
        await call(endpoint, quota=Quota({"tokens": 1000.0}, {"tokens": 900.0}, None))
        await call(endpoint)
        assert told == ["failed", "answered", "answered", "answered"]
