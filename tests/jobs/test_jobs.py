"""The protocol of jobs: a worker must claim the job, and may write only while its claim is the newest."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import jobs
from footnote.database import leases
from footnote.database.leases import LeaseLost
from footnote.errors import Conflict, Crashed, FootnoteError, NotFound, RateLimited, Unavailable
from footnote.jobs import Claim, Lane, demand, listing, recovery, scheduling
from footnote.jobs.listing import JobFilter
from footnote.models import Job, WebhookDelivery
from footnote.runtime import Runtime
from tests import driving
from tests.driving import claim, job_of, set_job, step_states

pytestmark = pytest.mark.anyio

AWAY = Unavailable("provider_unavailable")


@pytest.fixture
async def tenant(rt: Runtime) -> str:
    return await driving.new_tenant(rt)


@pytest.fixture
async def job_id(rt: Runtime, tenant: str) -> str:
    return (await driving.accept(rt, tenant, "Some text.")).details.job.id


async def now(rt: Runtime) -> datetime:
    async with rt.sessions() as session:
        return (await session.scalars(select(func.now()))).one()


async def try_claim(rt: Runtime, job_id: str, step: str) -> Claim | None:
    async with rt.transaction() as session:
        return await jobs.claim(session, job_id, step, 30)


async def write(rt: Runtime, work: Callable[..., Awaitable[Any]], *arguments: Any, **options: Any) -> Any:
    async with rt.transaction() as session:
        return await work(session, *arguments, **options)


async def requeue_expired(rt: Runtime) -> tuple[list[str], list[Claim]]:
    async with rt.transaction() as session:
        return await recovery.requeue_expired(session, rt.settings)


async def take(rt: Runtime, room: int = 64, again: float = 30) -> list[tuple[str, str]]:
    async with rt.transaction() as session:
        return list(await scheduling.take_due(session, Lane.SMALL, room, again))


async def lease_ended(rt: Runtime, job_id: str) -> None:
    await set_job(rt, job_id, lease_until=func.now() - timedelta(milliseconds=1))


# -- claim ---------------------------------------------------------------------------------------------------


async def test_only_the_step_that_is_due_can_be_claimed(rt: Runtime, job_id: str) -> None:
    assert await try_claim(rt, job_id, "embed") is None
    assert await try_claim(rt, job_id, "upsert") is None
    held = await claim(rt, job_id, "chunk")
    assert await try_claim(rt, job_id, "chunk") is None, "a doubled message"
    await write(rt, jobs.finish_step, held, {})
    assert await try_claim(rt, job_id, "chunk") is None, "a late message"
    assert await try_claim(rt, job_id, "upsert") is None, "an early message"
    assert await try_claim(rt, job_id, "embed") is not None


async def test_a_message_for_an_unknown_job_finds_nothing(rt: Runtime) -> None:
    assert await try_claim(rt, "job_gone", "chunk") is None


async def test_a_waiting_job_is_not_claimed_before_its_time(rt: Runtime, job_id: str) -> None:
    await set_job(rt, job_id, state="waiting", next_attempt_at=func.now() + timedelta(milliseconds=1))
    assert await try_claim(rt, job_id, "chunk") is None
    await set_job(rt, job_id, next_attempt_at=func.now())
    assert await try_claim(rt, job_id, "chunk") is not None


async def test_every_claim_raises_the_token(rt: Runtime, job_id: str) -> None:
    first = await claim(rt, job_id)
    await write(rt, jobs.release, first)
    second = await claim(rt, job_id)
    assert second.token > first.token


async def test_of_ten_who_claim_at_once_one_gets_the_job(committing_rt: Runtime) -> None:
    tenant = await driving.new_tenant(committing_rt)
    job_id = (await driving.accept(committing_rt, tenant, "Some text.")).details.job.id
    claims = await asyncio.gather(*(try_claim(committing_rt, job_id, "chunk") for _ in range(10)))
    assert sum(found is not None for found in claims) == 1
    assert (await job_of(committing_rt, job_id)).attempts == 1


async def test_leases_and_waits_are_counted_on_the_clock_of_the_database(rt: Runtime, job_id: str) -> None:
    """`now()` stands still in the test's transaction, which no clock of ours does."""
    held, at = await claim(rt, job_id, lease_seconds=30), await now(rt)
    assert (await job_of(rt, job_id)).lease_until == at + timedelta(seconds=30)
    await write(rt, jobs.renew, held, 45)
    assert (await job_of(rt, job_id)).lease_until == at + timedelta(seconds=45)
    again = RateLimited("provider_unavailable", retry_after=17)
    await write(rt, jobs.postpone, held, again, rt.settings)
    assert (await job_of(rt, job_id)).next_attempt_at == at + timedelta(seconds=17)


# -- fencing -------------------------------------------------------------------------------------------------


STALE_WRITES: dict[str, Callable[[AsyncSession, Claim, Runtime], Awaitable[Any]]] = {
    "renew": lambda session, held, rt: jobs.renew(session, held, 30),
    "finish": lambda session, held, rt: jobs.finish_step(session, held, {}),
    "postpone": lambda session, held, rt: jobs.postpone(session, held, AWAY, rt.settings),
    "release": lambda session, held, rt: jobs.release(session, held),
    "fail": lambda session, held, rt: jobs.fail(session, held, "internal_error", "x"),
}


@pytest.mark.parametrize("name", STALE_WRITES)
@pytest.mark.parametrize("loss", ["requeued", "requeued and claimed again", "cancelled"])
async def test_whoever_lost_the_lease_writes_nothing(
    rt: Runtime, tenant: str, job_id: str, name: str, loss: str
) -> None:
    stale = await claim(rt, job_id)
    if loss == "cancelled":
        await write(rt.for_tenant(tenant), jobs.cancel, job_id)
    else:
        await lease_ended(rt, job_id)
        await requeue_expired(rt)
    if loss == "requeued and claimed again":
        await set_job(rt, job_id, next_attempt_at=func.now())
        await claim(rt, job_id)
    before = await job_of(rt, job_id)
    with pytest.raises(LeaseLost):
        await write(rt, STALE_WRITES[name], stale, rt)
    after = await job_of(rt, job_id)
    for column in ("state", "step", "token", "attempts", "retries", "lease_until", "next_attempt_at", "error_code"):
        assert getattr(after, column) == getattr(before, column), column


async def test_a_finished_step_moves_the_cursor_and_starts_counting_anew(rt: Runtime, job_id: str) -> None:
    for step, last in (("chunk", False), ("embed", False), ("upsert", True)):
        await set_job(rt, job_id, attempts=2, retries=3)
        held = await claim(rt, job_id, step)
        assert await write(rt, jobs.finish_step, held, {"n": 1}) is last
        job = await job_of(rt, job_id)
        assert (job.lease_until, job.error_code) == (None, None)
        assert last or (job.attempts, job.retries) == (0, 0)
    assert job.state == "succeeded"
    assert job.finished_at is not None
    assert job.next_attempt_at is None or job.state in jobs.TERMINAL
    assert set((await step_states(rt, job_id)).values()) == {"succeeded"}


# -- postponed, released, failed -----------------------------------------------------------------------------


async def test_a_wait_says_why_and_is_not_counted_as_a_crash(rt: Runtime, job_id: str) -> None:
    held = await claim(rt, job_id)
    error = RateLimited("provider_unavailable", "The provider answered 429: slow down", retry_after=9)
    assert await write(rt, jobs.postpone, held, error, rt.settings)
    job = await job_of(rt, job_id)
    assert (job.state, job.attempts, job.retries, job.lease_until) == ("waiting", 0, 0, None)
    assert job.waiting_for == "the provider's rate limit: The provider answered 429: slow down"
    assert (await step_states(rt, job_id))["chunk"] == "waiting"


async def test_the_wait_grows_with_every_retry_up_to_ten_minutes(rt: Runtime, job_id: str) -> None:
    at = await now(rt)
    for retries in range(12):
        await write(rt, jobs.postpone, await claim(rt, job_id), AWAY, rt.settings)
        next_attempt = (await job_of(rt, job_id)).next_attempt_at
        assert next_attempt is not None
        longest = min(600, 2**retries)
        assert longest / 2 <= (next_attempt - at).total_seconds() <= longest
        await set_job(rt, job_id, next_attempt_at=func.now())


async def test_a_rate_limit_never_uses_the_retries_up_and_its_wait_stays_short(rt: Runtime, job_id: str) -> None:
    limited = RateLimited("provider_unavailable", "Slow down.", retry_after=0)
    few = rt.settings.model_copy(update={"max_retries": 3})
    for _ in range(8):
        assert await write(rt, jobs.postpone, await claim(rt, job_id), limited, few)
        job = await job_of(rt, job_id)
        assert job.next_attempt_at is not None
        assert 0 < (job.next_attempt_at - await now(rt)).total_seconds() <= 1
        await set_job(rt, job_id, next_attempt_at=func.now())
    assert await write(rt, jobs.postpone, await claim(rt, job_id), AWAY, few)
    assert (await job_of(rt, job_id)).retries == 1


async def test_only_errors_that_nobody_foresaw_count_against_one_another(rt: Runtime, job_id: str) -> None:
    async def postponed(error: FootnoteError) -> bool:
        held = await claim(rt, job_id)
        again = await write(rt, jobs.postpone, held, error, rt.settings)
        await set_job(rt, job_id, next_attempt_at=func.now())
        return bool(again)

    for error in [RateLimited("provider_unavailable", retry_after=1), AWAY] * 5:
        assert await postponed(error)
    for _ in range(3):
        assert await postponed(Crashed())
        assert await postponed(AWAY)
    assert not await postponed(Crashed())


async def test_progress_starts_the_counts_of_crashes_and_retries_anew(rt: Runtime, job_id: str) -> None:
    await set_job(rt, job_id, attempts=4, retries=7)
    held = await claim(rt, job_id)
    await write(rt, jobs.checkpoint, held, 30, 64, 128, {"embedded": 64})
    job = await job_of(rt, job_id)
    assert (job.attempts, job.retries, job.progress_done) == (1, 0, 64)


async def test_with_the_retries_used_up_postponing_is_refused(rt: Runtime, job_id: str) -> None:
    await set_job(rt, job_id, retries=rt.settings.max_retries)
    held = await claim(rt, job_id)
    assert not await write(rt, jobs.postpone, held, AWAY, rt.settings)
    assert (await job_of(rt, job_id)).state == "running"


async def test_a_released_step_is_due_at_once_and_not_counted_as_a_crash(rt: Runtime, job_id: str) -> None:
    held = await claim(rt, job_id)
    await write(rt, jobs.release, held)
    job = await job_of(rt, job_id)
    assert (job.state, job.attempts, job.lease_until) == ("queued", 0, None)
    assert (await step_states(rt, job_id))["chunk"] == "pending"
    assert await take(rt) == [(job_id, "chunk")]


@pytest.mark.parametrize("message", ["a\x00b", "a\udcffb"])
async def test_an_error_message_that_postgres_cannot_store_still_ends_the_job(
    rt: Runtime, job_id: str, message: str
) -> None:
    held = await claim(rt, job_id)
    await write(rt, jobs.postpone, held, Unavailable("x", message), rt.settings)
    await set_job(rt, job_id, next_attempt_at=func.now())
    held = await claim(rt, job_id)
    await write(rt, jobs.fail, held, "provider_rejected", message)
    assert (await job_of(rt, job_id)).error_message == "ab"


# -- requeued ------------------------------------------------------------------------------------------------


async def test_a_silent_worker_loses_the_job_which_waits_and_is_due_again(rt: Runtime, job_id: str) -> None:
    stale = await claim(rt, job_id)
    await lease_ended(rt, job_id)
    assert await requeue_expired(rt) == ([job_id], [])
    job = await job_of(rt, job_id)
    assert (job.state, job.lease_until, job.attempts) == ("waiting", None, 1)
    assert job.token > stale.token
    assert job.waiting_for
    assert job.next_attempt_at is not None
    assert job.next_attempt_at > await now(rt)
    assert (await step_states(rt, job_id))["chunk"] == "waiting"
    await set_job(rt, job_id, next_attempt_at=func.now())
    assert await take(rt) == [(job_id, "chunk")]
    assert (await claim(rt, job_id)).attempts == 2


async def test_a_live_lease_is_left_alone(rt: Runtime, job_id: str) -> None:
    await claim(rt, job_id)
    assert await requeue_expired(rt) == ([], [])


async def test_the_death_of_its_holder_ends_a_lease_and_nobody_elses(rt: Runtime, job_id: str) -> None:
    for holder, died, taken_back in (("a", "b", False), ("a", "a", True)):
        async with rt.transaction() as session:
            assert await jobs.claim(session, job_id, "chunk", 30, holder)
            await leases.holder_died(session, Job, job_id, died)
        await set_job(
            rt, job_id, lease_until=Job.lease_until - timedelta(microseconds=1)
        )  # the test's time stands still
        assert await requeue_expired(rt) == ([job_id] if taken_back else [], [])
        if not taken_back:
            await set_job(rt, job_id, state="queued", next_attempt_at=func.now())
    job = await job_of(rt, job_id)
    assert (job.state, job.attempts) == ("waiting", 2), "counted"


async def test_a_chain_that_died_with_its_step_done_is_sent_anew(rt: Runtime, job_id: str) -> None:
    async with rt.transaction() as session:
        held = await jobs.claim(session, job_id, "chunk", 30, "a")
        assert held is not None
        await jobs.finish_step(session, held, {})
    assert await take(rt) == [], "it is on its way"
    await write(rt, leases.holder_died, Job, job_id, "a")
    assert await take(rt) == [(job_id, "embed")]


async def test_two_processes_do_not_requeue_the_same_job(committing_rt: Runtime) -> None:
    tenant = await driving.new_tenant(committing_rt)
    job_id = (await driving.accept(committing_rt, tenant, "Some text.")).details.job.id
    await claim(committing_rt, job_id)
    await lease_ended(committing_rt, job_id)
    async with committing_rt.transaction() as session:
        assert (await recovery.requeue_expired(session, committing_rt.settings))[0] == [job_id]
        assert await requeue_expired(committing_rt) == ([], [])


async def test_five_crashes_on_a_step_fail_the_document_and_tell_whoever_asked(rt: Runtime, tenant: str) -> None:
    accepted = await driving.accept(rt, tenant, "Some text.", callback_url="http://example.com/hook")
    job_id = accepted.details.job.id
    for attempt in range(1, 6):
        assert (await claim(rt, job_id)).attempts == attempt
        await lease_ended(rt, job_id)
        again, poison = await requeue_expired(rt)
        await set_job(rt, job_id, next_attempt_at=func.now())
        assert (again == [job_id]) is (attempt < 5)
    assert [each.job_id for each in poison] == [job_id]
    await write(rt, jobs.fail, poison[0], "worker_crashed", "It died.")
    job = await job_of(rt, job_id)
    assert (job.state, job.error_code, job.error_message) == ("failed", "worker_crashed", "It died.")
    async with rt.sessions() as session:
        assert await session.scalar(select(WebhookDelivery.event).filter_by(job_id=job_id)) == "document.failed"


# -- dispatched ----------------------------------------------------------------------------------------------


async def many(rt: Runtime, tenant: str, count: int) -> list[str]:
    made = [await driving.accept(rt, tenant, f"Text {number} of {tenant}.") for number in range(count)]
    ids = [each.details.job.id for each in made]
    for age, job_id in enumerate(reversed(ids)):
        await set_job(rt, job_id, next_attempt_at=func.now() - timedelta(seconds=age))
    return ids


async def test_no_more_is_sent_than_there_is_room_for_and_nothing_twice(rt: Runtime, tenant: str) -> None:
    ids = await many(rt, tenant, 5)
    assert await take(rt, room=0) == []
    first, second = await take(rt, room=3), await take(rt, room=3)
    assert {job_id for job_id, _ in first} == set(ids[:3]), "the oldest first"
    assert {job_id for job_id, _ in second} == set(ids[3:])
    assert await take(rt) == []


@pytest.mark.parametrize("begun", [{"attempts": 1}, {"step": "embed"}])
async def test_what_was_begun_does_not_wait_behind_a_long_queue_again(
    rt: Runtime, tenant: str, begun: dict[str, Any]
) -> None:
    ids = await many(rt, tenant, 5)
    await set_job(rt, ids[0], state="waiting", next_attempt_at=func.now(), **begun)
    assert [job_id for job_id, _ in await take(rt, room=1)] == [ids[0]]


async def test_a_message_that_nobody_answers_is_sent_again(rt: Runtime, job_id: str) -> None:
    assert await take(rt) == [(job_id, "chunk")]
    await set_job(rt, job_id, dispatched_at=func.now() - timedelta(seconds=29))
    assert await take(rt, again=30) == []
    await set_job(rt, job_id, dispatched_at=func.now() - timedelta(seconds=31))
    assert await take(rt, again=30) == [(job_id, "chunk")]
    await claim(rt, job_id)
    await set_job(rt, job_id, dispatched_at=func.now() - timedelta(seconds=31))
    assert await take(rt, again=30) == [], "a worker is at work on it"


async def test_what_a_lost_broker_held_is_sent_again_at_once(rt: Runtime, job_id: str) -> None:
    await take(rt)
    await write(rt, leases.forget_dispatched, Job)
    assert await take(rt) == [(job_id, "chunk")]


async def test_tenants_take_turns_so_that_a_long_queue_delays_nobody_else(rt: Runtime, tenant: str) -> None:
    crowd = await many(rt, tenant, 10)
    one = (await many(rt, await driving.new_tenant(rt), 1))[0]
    taken = {job_id for job_id, _ in await take(rt, room=2)}
    assert taken == {crowd[0], one}


# -- cancelled, retried, asked about -------------------------------------------------------------------------


async def test_cancelling_ends_a_job_with_its_step_and_nothing_claims_it(rt: Runtime, tenant: str, job_id: str) -> None:
    await claim(rt, job_id)
    job = await write(rt.for_tenant(tenant), jobs.cancel, job_id)
    assert (job.state, job.waiting_for, job.next_attempt_at, job.lease_until) == ("cancelled", None, None, None)
    assert (await step_states(rt, job_id))["chunk"] == "pending", "no worker is at work on it any more"
    assert await try_claim(rt, job_id, "chunk") is None
    assert await take(rt) == []
    with pytest.raises(Conflict, match="job_finished"):
        await write(rt.for_tenant(tenant), jobs.cancel, job_id)


async def test_a_retry_goes_on_at_the_step_that_failed(rt: Runtime, tenant: str, job_id: str) -> None:
    held = await claim(rt, job_id)
    await write(rt, jobs.finish_step, held, {})
    held = await claim(rt, job_id, "embed")
    await write(rt, jobs.fail, held, "provider_rejected", "No.")
    job = await write(rt.for_tenant(tenant), jobs.retry, job_id)
    assert (job.state, job.step, job.attempts, job.retries) == ("queued", "embed", 0, 0)
    assert (job.error_code, job.error_message, job.finished_at) == (None, None, None)
    assert await step_states(rt, job_id) == {"chunk": "succeeded", "embed": "pending", "upsert": "pending"}
    assert await take(rt) == [(job_id, "embed")]


async def test_what_is_running_or_done_cannot_be_retried(rt: Runtime, tenant: str, job_id: str) -> None:
    for state in ("queued", "running", "waiting", "succeeded"):
        await set_job(rt, job_id, state=state)
        with pytest.raises(Conflict, match="job_not_retryable"):
            await write(rt.for_tenant(tenant), jobs.retry, job_id)


async def test_another_tenants_job_is_unknown(rt: Runtime, job_id: str) -> None:
    stranger = await driving.new_tenant(rt)
    for ask in (jobs.get, jobs.cancel, jobs.retry):
        with pytest.raises(NotFound, match="job_not_found"):
            await write(rt.for_tenant(stranger), ask, job_id)
    assert await write(rt.for_tenant(stranger), listing.list_jobs, JobFilter(), limit=9, before=None) == []


async def test_the_overview_tells_how_long_the_oldest_due_job_has_waited(rt: Runtime, job_id: str) -> None:
    await set_job(rt, job_id, next_attempt_at=func.now() - timedelta(seconds=90))
    small, large = await write(rt, demand.backlog)
    assert (small.due, small.running, small.later, small.oldest_due_seconds) == (1, 0, 0, 90)
    assert (large.due, large.oldest_due_seconds) == (0, 0)
    await set_job(rt, job_id, next_attempt_at=func.now() + timedelta(seconds=90))
    small, _ = await write(rt, demand.backlog)
    assert (small.due, small.later, small.oldest_due_seconds) == (0, 1, 0)
