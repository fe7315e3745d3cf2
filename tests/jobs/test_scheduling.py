"""Which job is next: lanes, tenants in rotation in them, long steps that yield, a pause."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, text

from footnote import ingest, jobs
from footnote.database.ids import new_id
from footnote.jobs import Lane, scheduling
from footnote.models import Embedding
from footnote.runtime import Runtime
from tests import driving
from tests.driving import chunks_of, claim, job_of, paragraphs, set_job, step_states
from tests.fakes import FakeEmbedder
from worker import queue_order
from worker.queue_order import SmallFirst

pytestmark = pytest.mark.anyio

SMALL, LARGE = False, True  # as the column has it


@pytest.fixture
async def tenant(rt: Runtime) -> str:
    return await driving.new_tenant(rt)


async def queued(rt: Runtime, tenant: str, count: int, **values: Any) -> list[str]:
    """Jobs that are due for a minute, the first for longest."""
    made = [await driving.accept(rt, tenant, f"Text {new_id('no')}.") for number in range(count)]
    ids = [each.details.job.id for each in made]
    for number, job_id in enumerate(ids):
        due = func.now() - timedelta(seconds=60 + count - number)
        await set_job(rt, job_id, **({"next_attempt_at": due} | values))
    return ids


async def take(rt: Runtime, room: int = 64, large: bool = SMALL) -> list[str]:
    async with rt.transaction() as session:
        return [
            job_id for job_id, _ in await scheduling.take_due(session, Lane.LARGE if large else Lane.SMALL, room, 30)
        ]


# -- lanes ---------------------------------------------------------------------------------------------------


async def test_many_bytes_make_a_document_large_until_its_chunks_are_counted(rt: Runtime, tenant: str) -> None:
    small = (await driving.accept(rt, tenant, b"x" * (jobs.LARGE_BYTES - 1))).details.job.id
    large = (await driving.accept(rt, tenant, b"x" * jobs.LARGE_BYTES)).details.job.id
    assert [(await job_of(rt, job_id)).large for job_id in (small, large)] == [False, True]
    assert (await take(rt, large=SMALL), await take(rt, large=LARGE)) == ([small], [large])


@pytest.mark.parametrize("before", [SMALL, LARGE])
@pytest.mark.parametrize(("chunks", "after"), [(jobs.LARGE_CHUNKS, SMALL), (jobs.LARGE_CHUNKS + 1, LARGE)])
async def test_the_number_of_chunks_decides_and_a_change_of_lanes_is_sent_anew(
    rt: Runtime, tenant: str, before: bool, chunks: int, after: bool
) -> None:
    (job_id,) = await queued(rt, tenant, 1, large=before)
    held = await claim(rt, job_id)
    async with rt.transaction() as session:
        await jobs.finish_step(session, held, {"chunks": chunks})
    assert (await job_of(rt, job_id)).large is after
    on_its_way = before is after
    assert await take(rt, large=after) == ([] if on_its_way else [job_id])


async def test_what_is_made_anew_stays_behind_large_uploads_however_small_it_is(rt: Runtime, tenant: str) -> None:
    (job_id,) = await queued(rt, tenant, 1, large=LARGE)
    await driving.set_job(rt, job_id, reingestion=True)
    held = await claim(rt, job_id)
    async with rt.transaction() as session:
        await jobs.finish_step(session, held, {"chunks": 1})
    assert (await job_of(rt, job_id)).large


# -- the tenants' turns --------------------------------------------------------------------------------------


async def test_a_tenant_with_much_in_flight_comes_after_the_others(rt: Runtime, tenant: str) -> None:
    crowd = await queued(rt, tenant, 6)
    assert await take(rt, room=2) == crowd[:2]
    await claim(rt, crowd[0])
    one, other = [(await queued(rt, await driving.new_tenant(rt), 1))[0] for _ in range(2)]
    assert set(await take(rt, room=2)) == {one, other}, "though the crowd's next is due for longer"


async def test_what_is_in_flight_in_one_lane_does_not_count_in_the_other(rt: Runtime, tenant: str) -> None:
    running, _ = await queued(rt, tenant, 2, large=LARGE)
    assert len(await take(rt, large=LARGE)) == 2
    await claim(rt, running)
    theirs = await queued(rt, await driving.new_tenant(rt), 1)
    mine = await queued(rt, tenant, 1, next_attempt_at=func.now() - timedelta(seconds=99))
    assert await take(rt, room=1) == mine
    assert await take(rt, room=1) == theirs


async def test_a_long_job_falls_behind_the_younger_ones_of_its_tenant(rt: Runtime, tenant: str) -> None:
    long, short = await queued(rt, tenant, 2, large=LARGE, step="embed")
    await set_job(rt, long, progress_done=999)
    assert await take(rt, room=1, large=LARGE) == [long]
    await set_job(rt, long, progress_done=1000, dispatched_at=None)
    assert await take(rt, room=1, large=LARGE) == [short]


async def test_a_job_that_is_not_due_holds_nobody_up(rt: Runtime, tenant: str) -> None:
    first, second = await queued(rt, tenant, 2)
    await set_job(rt, first, state="waiting", next_attempt_at=func.now() + timedelta(seconds=1))
    assert await take(rt) == [second]


async def test_a_look_costs_the_same_however_long_the_queue_is(committing_rt: Runtime) -> None:
    rt = committing_rt
    tenants = [await driving.new_tenant(rt) for _ in range(3)]
    (job_id,) = await queued(rt, tenants[0], 1)
    copy = text(
        "INSERT INTO job (id, tenant_id, document_id, version_id, step, state, next_attempt_at) "
        "SELECT 'job_' || lpad(number::text, 30, '0'), :tenant, document_id, version_id, 'chunk', "
        "CASE WHEN number % 2 = 0 THEN 'queued' ELSE 'waiting' END, "
        "now() + CASE WHEN number % 2 = 0 THEN -1 ELSE 3600 END * interval '1 s' "
        "FROM job, generate_series(CAST(:first AS int), CAST(:last AS int)) AS number WHERE id = :id"
    )
    async with rt.transaction() as session:
        for number, tenant in enumerate(tenants):
            first = number * 7000
            await session.execute(copy, {"tenant": tenant, "first": first, "last": first + 6999, "id": job_id})
    async with rt.transaction() as session:
        await session.execute(text("ANALYZE job"))
        plan = await session.scalars(
            text(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {scheduling._TAKE_DUE.text}"),
            {
                "large": SMALL,
                "room": 16,
                "again": 30.0,
            },
        )
        lines = plan.all()
    rows = [int(float(line.partition("rows=")[2].partition(" ")[0])) for line in lines if "rows=" in line]
    assert max(rows) <= 48, "\n".join(lines)


# -- giving way ----------------------------------------------------------------------------------------------


async def others_wait(rt: Runtime, job_id: str) -> bool:
    async with rt.transaction() as session:
        return await scheduling.others_wait(session, job_id)


@pytest.mark.parametrize(
    ("mine", "same_tenant", "others", "expected"),
    [
        ({"large": LARGE}, True, {"large": SMALL}, True),
        ({"large": LARGE}, False, {"large": SMALL}, True),
        ({"large": LARGE}, False, {"large": LARGE}, True),
        ({"large": SMALL}, False, {"large": SMALL}, True),
        ({"large": SMALL}, False, {"large": LARGE}, False),
        ({"large": SMALL}, True, {"large": SMALL}, False),
        ({"large": LARGE}, True, {"large": LARGE}, False),
        ({"large": LARGE, "progress_done": 1000}, True, {"large": LARGE}, True),
        ({"large": LARGE, "progress_done": 1999}, True, {"large": LARGE, "progress_done": 1000}, False),
        ({"large": LARGE}, True, {"large": SMALL, "state": "succeeded"}, False),
        ({"large": LARGE}, True, {"large": SMALL, "next_attempt_at": func.now() - timedelta(seconds=0.9)}, False),
    ],
)
async def test_who_goes_before_whom(
    rt: Runtime, tenant: str, mine: dict[str, Any], same_tenant: bool, others: dict[str, Any], expected: bool
) -> None:
    for _ in range(2):  # tenants of lower and of higher ids
        (job_id,) = await queued(rt, tenant, 1, **mine)
        await set_job(rt, job_id, state="running", next_attempt_at=None)
        other_tenant = tenant if same_tenant else await driving.new_tenant(rt)
        (other,) = await queued(rt, other_tenant, 1, **others)
        assert await others_wait(rt, job_id) is expected
        for each in (job_id, other):
            await set_job(rt, each, state="succeeded")
        tenant = other_tenant


def impatient(rt: Runtime, yield_seconds: float = 0) -> Runtime:
    return replace(rt, settings=rt.settings.model_copy(update={"yield_seconds": yield_seconds}))


def asked_for(rt: Runtime) -> Sequence[str]:
    assert isinstance(rt.embedder, FakeEmbedder)
    return [each for batch in rt.embedder.seen for each in batch]


async def long_one(rt: Runtime, tenant: str, chunks: int = 20) -> str:
    """A large job that is to be embedded next."""
    job_id = (await driving.accept(rt, tenant, paragraphs(chunks))).details.job.id
    assert await ingest.run_step(rt, job_id, "chunk")
    await set_job(rt, job_id, large=LARGE)
    return job_id


async def test_a_long_embedding_gives_way_goes_on_later_and_does_nothing_twice(rt: Runtime, tenant: str) -> None:
    rt = impatient(rt)
    job_id = await long_one(rt, tenant)
    await set_job(rt, job_id, retries=2)
    (other,) = await queued(rt, tenant, 1)
    for turn in (1, 2):  # batches of eight
        assert not await ingest.run_step(rt, job_id, "embed"), "the chain ends here"
        job = await job_of(rt, job_id)
        assert (job.state, job.step, job.attempts, job.retries) == ("queued", "embed", 0, 0)
        assert (job.progress_done, job.progress_total, job.dispatched_at) == (8 * turn, 20, None)
        assert (await step_states(rt, job_id))["embed"] == "pending"
        assert len(asked_for(rt)) == 8 * turn
        assert await take(rt, large=LARGE) == [job_id]
    assert (await driving.run(rt, other)).state == "succeeded"
    job = await driving.run(rt, job_id)
    assert job.state == "succeeded"
    assert len(await chunks_of(rt, job.document_id)) == 20
    async with rt.sessions() as session:
        embedded = (await jobs.steps(session, job_id))[1]
    assert (embedded.counts["embedded"], embedded.counts["chunks"], embedded.attempts) == (20, 20, 3)
    of_the_long_one = [each for each in asked_for(rt) if "Paragraph" in each]
    assert len(of_the_long_one) == len(set(of_the_long_one)) == 20


async def test_a_turn_goes_on_while_nobody_waits_and_is_not_over_before_its_time(rt: Runtime, tenant: str) -> None:
    job_id = await long_one(rt, tenant)
    assert await ingest.run_step(impatient(rt), job_id, "embed"), "no other job waits"
    job_id = await long_one(rt, tenant, 21)
    await queued(rt, tenant, 1)
    assert await ingest.run_step(impatient(rt, 3600), job_id, "embed"), "too early"


async def test_vectors_lost_between_two_turns_are_made_again(rt: Runtime, tenant: str) -> None:
    rt = impatient(rt)
    job_id = await long_one(rt, tenant)
    (other,) = await queued(rt, tenant, 1)
    assert not await ingest.run_step(rt, job_id, "embed")
    await driving.run(rt, other)
    async with rt.transaction() as session:
        await session.execute(Embedding.__table__.delete())  # type: ignore[attr-defined]
    assert await ingest.run_step(rt, job_id, "embed")
    await set_job(rt, job_id, progress_done=16)  # as a heartbeat of upsert writes it
    job = await driving.run(rt, job_id)
    assert (job.state, job.step, job.progress_done) == ("waiting", "embed", 0)
    await set_job(rt, job_id, next_attempt_at=func.now())
    job = await driving.run(rt, job_id)
    assert job.state == "succeeded"
    assert len(await chunks_of(rt, job.document_id)) == 20


async def test_a_job_cancelled_in_its_turn_does_not_come_back(committing_rt: Runtime) -> None:
    rt = impatient(committing_rt)
    tenant = await driving.new_tenant(rt)
    job_id = await long_one(rt, tenant)
    await queued(rt, tenant, 1)
    asked = asyncio.Event()
    assert isinstance(rt.embedder, FakeEmbedder)
    rt.embedder.before = lambda _texts: asked.set()
    step = asyncio.create_task(ingest.run_step(rt, job_id, "embed"))
    await asked.wait()
    async with rt.for_tenant(tenant).transaction() as session:
        await jobs.cancel(session, job_id)
    assert not await step
    assert (await job_of(rt, job_id)).state == "cancelled"


# -- paused --------------------------------------------------------------------------------------------------


async def test_a_pause_lets_no_step_begin_and_ends_turns_until_work_is_resumed(rt: Runtime, tenant: str) -> None:
    rt = impatient(rt)
    running = await long_one(rt, tenant)
    (waiting,) = await queued(rt, tenant, 1, next_attempt_at=func.now())
    assert await take(rt) == [waiting]
    async with rt.transaction() as session:
        await jobs.claim(session, running, "embed", 30)
        assert await scheduling.paused(session) is None
        await scheduling.pause(session)
        await scheduling.pause(session)
        assert await scheduling.paused(session) is not None
        assert await jobs.claim(session, waiting, "chunk", 30) is None, "a message that was on its way"
    assert await others_wait(rt, running)
    async with rt.transaction() as session:
        await scheduling.resume(session)
        assert await scheduling.paused(session) is None
    assert not await others_wait(rt, running)
    assert await take(rt) == [waiting], "sent again at once"
    await claim(rt, waiting)


# -- the worker's lanes --------------------------------------------------------------------------------------


class Held:
    """A request that a worker has taken."""

    def __init__(self, step: str, large: bool) -> None:
        self.name = f"footnote.{step}"
        self.delivery_info = {"routing_key": Lane.LARGE if large else Lane.SMALL}


@pytest.mark.parametrize(
    ("slots", "held", "expected"),
    [
        (2, [], "small large"),
        (2, [("chunk", LARGE)], "small"),
        (2, [("embed", LARGE)], "small large"),
        (2, [("embed", LARGE), ("embed", LARGE)], "small large"),
        (2, [("chunk", SMALL)], "small large"),
        (3, [("upsert", LARGE)], "small large"),
        (3, [("upsert", LARGE), ("chunk", LARGE)], "small"),
        (1, [], "small large"),
    ],
)
def test_small_documents_go_first_and_long_steps_leave_a_slot(
    monkeypatch: pytest.MonkeyPatch, slots: int, held: list[tuple[str, bool]], expected: str
) -> None:
    monkeypatch.setattr("celery.worker.state.reserved_requests", {Held(*each) for each in held})
    order = SmallFirst(slots)
    order.update(Lane)
    order.rotate(Lane.LARGE)  # one has just begun
    names: dict[str, str] = {Lane.SMALL: "small", Lane.LARGE: "large"}
    assert " ".join(names[queue] for queue in order.consume(2)) == expected
    order.update([])
    assert order.consume(0) == [], "a worker that stops takes no more"


def test_a_large_document_goes_first_when_none_had_a_slot_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(queue_order, "monotonic", lambda: clock[0])
    order = SmallFirst(1)
    order.update(Lane)
    small, large = Lane
    assert order.consume(2) == [large, small]
    order.rotate(large)
    clock[0] += 3600  # it had the slot all the time
    assert order.consume(2) == [small, large]
    clock[0] += queue_order.PATIENCE_SECONDS
    order.rotate(small)
    assert order.consume(2) == [small, large]
    clock[0] += 0.1
    assert order.consume(2) == [large, small]
    order.rotate(small)
    assert order.consume(2) == [large, small]


# -- several jobs in a message -------------------------------------------------------------------------------


async def in_messages(rt: Runtime, **values: Any) -> list[list[str]]:
    settings = rt.settings.model_copy(update={"worker_concurrency": 1} | values)
    async with rt.transaction() as session:
        due = await scheduling.take_due(session, Lane.SMALL, 64, 30)
        return [each.job_ids for each in await scheduling.in_messages(session, due, settings)]


async def test_a_message_is_of_one_collection_and_leaves_one_for_each_slot(rt: Runtime, tenant: str) -> None:
    names = ("a", "b") * 3
    made = [await driving.accept(rt, tenant, f"Text {new_id('no')}.", collection=name) for name in names]
    ids = [each.details.job.id for each in made]
    of_each = [sorted(ids[::2]), sorted(ids[1::2])]  # the ids of one millisecond are in no order
    assert sorted(await in_messages(rt, worker_concurrency=2)) == sorted(of_each)
    for each in ids:
        await set_job(rt, each, dispatched_at=None)
    assert sorted(map(len, await in_messages(rt, worker_concurrency=6))) == [1] * 6


async def test_what_was_attempted_before_is_long_or_further_on_has_a_message_of_its_own(
    rt: Runtime, tenant: str
) -> None:
    ids = await queued(rt, tenant, 7)
    changes: list[dict[str, Any]] = [{"attempts": 1}, {"retries": 1}, {"step": "embed"}]
    for job_id, values in zip(ids, changes, strict=False):
        await set_job(rt, job_id, **values)
    long = (await driving.accept(rt, tenant, b"x" * (scheduling.MESSAGE_BYTES + 1))).details.job.id
    found = sorted(await in_messages(rt), key=len)
    assert found[-1] == ids[3:]
    assert sorted(found[:-1]) == sorted([each] for each in (*ids[:3], long))


async def test_a_message_has_no_more_bytes_than_one_of_many_may_have(
    rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "MESSAGE_BYTES", 100)
    for number in range(4):
        await driving.accept(rt, tenant, f"{number}".ljust(40, "x"))
    assert list(map(len, await in_messages(rt))) == [2, 2]


async def test_where_the_first_crash_fails_a_document_no_message_is_shared(rt: Runtime, tenant: str) -> None:
    await queued(rt, tenant, 3)
    assert list(map(len, await in_messages(rt, max_attempts=1))) == [1, 1, 1]


async def test_a_late_message_of_many_does_not_take_what_was_attempted_since(rt: Runtime, tenant: str) -> None:
    crashed, failed, new = await queued(rt, tenant, 3)
    await set_job(rt, crashed, attempts=1)
    await set_job(rt, failed, retries=1)
    async with rt.transaction() as session:
        taken = [await jobs.claim(session, each, "chunk", 30, alone=False) for each in (crashed, failed, new)]
        assert [each is not None for each in taken] == [False, False, True]
        assert await jobs.claim(session, crashed, "chunk", 30) is not None


async def test_a_step_that_ends_in_a_message_of_many_is_sent_on_at_once(rt: Runtime, tenant: str) -> None:
    (job_id,) = await queued(rt, tenant, 1)
    async with rt.transaction() as session:
        held = await jobs.claim(session, job_id, "chunk", 30, "m", alone=False)
        assert held is not None
        await jobs.finish_step(session, held, {"chunks": 3})
    assert await take(rt) == [job_id]
