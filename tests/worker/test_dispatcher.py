"""The dispatcher against a real Valkey: what it sends, that nothing is lost with the broker, nothing sent twice."""

import asyncio
import base64
import json
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import func

from footnote import jobs
from footnote.errors import Invalid
from footnote.jobs import Lane, scheduling
from footnote.local_stack.valkey import Valkey
from footnote.queue import broker_url, make_app
from footnote.runtime import Runtime
from tests import driving
from tests.driving import claim, job_of, set_job
from tests.waking import waking
from worker.dispatcher import Dispatcher

pytestmark = pytest.mark.anyio


@dataclass
class Broker:
    """A Valkey of the test's own, which can be killed and started again."""

    server: Valkey
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        self.process = subprocess.Popen(self.server.command(), stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not self.server.answers():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def broker() -> Iterator[Broker]:
    directory = Path(tempfile.mkdtemp(prefix="fn-"))
    broker = Broker(Valkey.within(directory))
    broker.start()
    yield broker
    broker.kill()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def rt_with_broker(committing_rt: Runtime, broker: Broker) -> Runtime:
    return with_settings(committing_rt, redis_url=broker.server.url)


def with_settings(rt: Runtime, **values: Any) -> Runtime:
    return replace(rt, settings=rt.settings.model_copy(update=values))


@pytest.fixture
async def redis(broker: Broker) -> AsyncIterator[Redis]:
    client = Redis.from_url(broker.server.url, socket_timeout=30)
    yield client
    await client.aclose()


@pytest.fixture
async def dispatcher(rt_with_broker: Runtime, redis: Redis) -> AsyncIterator[Dispatcher]:
    dispatcher = Dispatcher(rt_with_broker, make_app(rt_with_broker.settings), redis)
    yield dispatcher
    dispatcher.app.close()


async def some_jobs(rt: Runtime, count: int, **options: Any) -> list[str]:
    tenant = await driving.new_tenant(rt)
    made = [await driving.accept(rt, tenant, f"Text {number}.", **options) for number in range(count)]
    return [each.details.job.id for each in made]


async def tick(dispatcher: Dispatcher) -> None:
    """What it does at least twice a second."""
    await dispatcher.requeue_expired()
    await dispatcher.refill()


async def messages(redis: Redis, queue: str = Lane.SMALL) -> list[dict[str, Any]]:
    """The broker's messages, the next one to be taken first."""
    return [json.loads(each) for each in reversed(await redis.lrange(queue, 0, -1))]


def jobs_in(found: list[dict[str, Any]]) -> list[str]:
    """The jobs that the messages name, in order."""
    return [job_id for each in found for job_id in json.loads(base64.b64decode(each["body"]))[0]]


# -- what is sent --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", jobs.STEPS)
async def test_a_due_job_is_sent_as_the_chain_of_its_remaining_steps_with_its_id_alone(
    dispatcher: Dispatcher, redis: Redis, step: str
) -> None:
    (job_id,) = await some_jobs(dispatcher.rt, 1)
    await set_job(dispatcher.rt, job_id, step=step)
    await tick(dispatcher)
    (message,) = await messages(redis)
    args, kwargs, embedded = json.loads(base64.b64decode(message["body"]))
    remaining = jobs.STEPS[jobs.STEPS.index(step) :]
    chained = list(reversed(embedded["chain"] or []))
    assert message["headers"]["task"] == f"footnote.{remaining[0]}"
    assert [each["task"] for each in chained] == [f"footnote.{name}" for name in remaining[1:]]
    assert [(each["args"], each["kwargs"]) for each in chained] == [([job_id], {})] * len(chained)
    assert (args, kwargs) == ([job_id], {})
    await tick(dispatcher)
    assert len(await messages(redis)) == 1, "not sent again while it waits to be answered"


async def test_small_documents_of_a_collection_share_a_message_which_has_no_chain(
    rt_with_broker: Runtime, redis: Redis
) -> None:
    rt = with_settings(rt_with_broker, queue_high_water=64)
    dispatcher = Dispatcher(rt, make_app(rt.settings), redis)
    ids = await some_jobs(rt, 40)
    await tick(dispatcher)
    found = await messages(redis)
    assert [len(jobs_in([each])) for each in found] == [16, 16, 8]
    assert sorted(jobs_in(found)) == sorted(ids)
    for each in found:
        _, _, embedded = json.loads(base64.b64decode(each["body"]))
        assert (each["headers"]["task"], embedded["chain"] or []) == ("footnote.chunk", [])
    dispatcher.app.close()


async def test_the_backlog_stays_in_postgres_beyond_the_high_water_mark(rt_with_broker: Runtime, redis: Redis) -> None:
    rt = with_settings(rt_with_broker, queue_high_water=3)
    dispatcher = Dispatcher(rt, make_app(rt.settings), redis)
    ids = await some_jobs(rt, 8)
    seen: list[str] = []
    for expected in (3, 3, 2):
        for _ in range(2):
            await tick(dispatcher)
        waiting = jobs_in(await messages(redis))
        assert len(waiting) == expected
        seen += waiting
        for job_id in waiting:
            await set_job(rt, job_id, state="succeeded")
        await redis.delete(*Lane)
    assert sorted(seen) == sorted(ids)
    dispatcher.app.close()


async def test_where_many_slots_are_busy_more_messages_wait(rt_with_broker: Runtime, redis: Redis) -> None:
    rt = with_settings(rt_with_broker, queue_high_water=1)
    dispatcher = Dispatcher(rt, make_app(rt.settings), redis)
    ids = await some_jobs(rt, 7)
    for job_id in ids[:2]:
        await claim(rt, job_id)
    assert await dispatcher.refill(), "there may be more"
    assert sorted(jobs_in(await messages(redis))) == ids[2:6]
    await redis.delete(*Lane)
    assert not await dispatcher.refill()
    assert jobs_in(await messages(redis)) == ids[6:]
    dispatcher.app.close()


async def test_messages_become_longer_while_there_is_a_backlog(rt_with_broker: Runtime, redis: Redis) -> None:
    """Each time the workers have taken half of what waits, as many follow as make it twice what runs."""
    rt = with_settings(rt_with_broker, queue_high_water=4, worker_concurrency=2)
    dispatcher = Dispatcher(rt, make_app(rt.settings), redis)
    await some_jobs(rt, 40)
    longest, claimed = [], 0
    for _ in range(3):
        await dispatcher.refill()
        assert await dispatcher.refill(), "full, and looked at again soon"
        waiting = await messages(redis)
        longest.append(max(len(jobs_in([each])) for each in waiting))
        for job_id in jobs_in(waiting):
            claimed += 1
            await claim(rt, job_id)
        await redis.delete(*Lane)
    assert (longest, claimed) == ([2, 4, 12], 4 + 8 + 24)
    dispatcher.app.close()


async def test_large_documents_have_a_lane_of_their_own_to_the_end(dispatcher: Dispatcher, redis: Redis) -> None:
    small, large = await some_jobs(dispatcher.rt, 2)
    await set_job(dispatcher.rt, large, large=True)
    await tick(dispatcher)
    for lane, job_id in zip(Lane, (small, large), strict=True):
        (message,) = await messages(redis, lane)
        assert jobs_in([message]) == [job_id]
        _, _, embedded = json.loads(base64.b64decode(message["body"]))
        assert {each["options"]["queue"] for each in embedded["chain"]} == {lane}


async def test_while_paused_nothing_is_sent_and_dead_leases_are_still_found(
    dispatcher: Dispatcher, redis: Redis
) -> None:
    rt = dispatcher.rt
    waiting, silent = await some_jobs(rt, 2)
    await claim(rt, silent)
    await set_job(rt, silent, lease_until=func.now() - timedelta(seconds=1))
    async with rt.transaction() as session:
        await scheduling.pause(session)
    await tick(dispatcher)
    assert await messages(redis) == []
    assert (await job_of(rt, silent)).state == "waiting"
    async with rt.transaction() as session:
        await scheduling.resume(session)
    await tick(dispatcher)
    assert jobs_in(await messages(redis)) == [waiting]


async def test_two_dispatchers_send_a_job_once(rt_with_broker: Runtime, redis: Redis) -> None:
    rt = with_settings(rt_with_broker, queue_high_water=64)
    both = [Dispatcher(rt, make_app(rt.settings), redis) for _ in range(2)]
    ids = await some_jobs(rt, 12)
    for _ in range(3):
        await asyncio.gather(*(tick(each) for each in both))
    assert sorted(jobs_in(await messages(redis))) == sorted(ids)
    for each in both:
        each.app.close()


async def test_a_silent_workers_job_is_taken_back_and_the_fifth_time_failed(dispatcher: Dispatcher) -> None:
    rt = dispatcher.rt
    (job_id,) = await some_jobs(rt, 1)
    for attempt in range(1, 6):
        await set_job(rt, job_id, next_attempt_at=func.now())
        await claim(rt, job_id)
        await set_job(rt, job_id, lease_until=func.now() - timedelta(seconds=1))
        await tick(dispatcher)
        assert (await job_of(rt, job_id)).state == ("waiting" if attempt < 5 else "failed")
    job = await job_of(rt, job_id)
    assert (job.error_code, job.error_message) == ("worker_crashed", "The worker died 5 times on the step 'chunk'.")


# -- the broker's troubles -----------------------------------------------------------------------------------


async def test_with_the_broker_away_nothing_is_lost_and_everything_sent_when_it_is_back(
    dispatcher: Dispatcher, redis: Redis, broker: Broker
) -> None:
    ids = await some_jobs(dispatcher.rt, 2)
    await tick(dispatcher)
    assert sorted(jobs_in(await messages(redis))) == sorted(ids)
    broker.kill()
    ids += await some_jobs(dispatcher.rt, 2)
    with pytest.raises(RedisError):
        await tick(dispatcher)
    broker.start()
    await tick(dispatcher)
    assert sorted(jobs_in(await messages(redis))) == sorted(ids), "at once, by the new run id"


async def test_a_broker_that_goes_away_while_sending_gets_the_jobs_later(
    dispatcher: Dispatcher, redis: Redis, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await some_jobs(dispatcher.rt, 3)
    await tick(dispatcher)
    await redis.delete(*Lane)
    for job_id in ids:
        await set_job(dispatcher.rt, job_id, dispatched_at=None)
    look = Dispatcher._broker

    async def look_then_lose(self: Dispatcher) -> dict[Lane, int]:
        found = await look(self)
        broker.kill()
        return found

    monkeypatch.setattr(Dispatcher, "_broker", look_then_lose)
    with pytest.raises(RedisError):
        await tick(dispatcher)
    monkeypatch.undo()
    broker.start()
    await tick(dispatcher)
    assert sorted(jobs_in(await messages(redis))) == sorted(ids)


async def test_messages_that_vanish_from_a_living_broker_are_sent_again(dispatcher: Dispatcher, redis: Redis) -> None:
    (job_id,) = await some_jobs(dispatcher.rt, 1)
    await tick(dispatcher)
    await redis.flushall()
    await tick(dispatcher)
    assert await messages(redis) == [], "it may just have been taken"
    await set_job(dispatcher.rt, job_id, dispatched_at=func.now() - timedelta(seconds=6))
    await tick(dispatcher)
    assert jobs_in(await messages(redis)) == [job_id]


async def test_the_loop_goes_on_by_itself_through_an_outage(
    dispatcher: Dispatcher, redis: Redis, broker: Broker
) -> None:
    loop = asyncio.create_task(dispatcher.run())
    broker.kill()
    await asyncio.sleep(0)
    ids = await some_jobs(dispatcher.rt, 2)
    broker.start()
    async with waking(dispatcher.rt, dispatcher.woken_for), asyncio.timeout(60):
        while sorted(jobs_in(await messages(redis))) != sorted(ids):
            assert not loop.done()
            await asyncio.sleep(0.05)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_a_broker_that_hangs_holds_up_no_recovery(dispatcher: Dispatcher, broker: Broker) -> None:
    rt = dispatcher.rt
    dispatcher.redis = redis = Redis.from_url(broker.server.url, socket_timeout=120)
    (job_id,) = await some_jobs(rt, 1)
    await claim(rt, job_id)
    assert broker.process
    broker.process.send_signal(signal.SIGSTOP)
    loop = asyncio.create_task(dispatcher.run())
    dispatcher.woken.set()
    while not redis.connection_pool._in_use_connections:
        await asyncio.sleep(0.01)
    await set_job(rt, job_id, lease_until=func.now() - timedelta(seconds=1))
    async with waking(rt, dispatcher.woken_for), asyncio.timeout(30):  # the broker is given two minutes to answer
        while (await job_of(rt, job_id)).state != "waiting":
            await asyncio.sleep(0.05)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    await redis.aclose()


# -- addresses -----------------------------------------------------------------------------------------------


def test_a_unix_socket_is_spelled_as_kombu_wants_it() -> None:
    assert broker_url("unix:///run/v.sock?db=2") == "redis+socket:///run/v.sock?virtual_host=2"
    assert broker_url("unix:///run/v.sock") == "redis+socket:///run/v.sock?virtual_host=0"
    assert broker_url("rediss://user:pw@host:6380/1") == "rediss://user:pw@host:6380/1"
    with pytest.raises(Invalid, match="bad_setting"):
        broker_url("amqp://host")
