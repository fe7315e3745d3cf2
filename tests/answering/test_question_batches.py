"""Questions in the background: each ends once, whatever happens to who answers them."""

import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from footnote.answering import Question, batch_runs, question_batches
from footnote.answering.question_batches import MOST_RETRIES, Ended
from footnote.database import leases
from footnote.database.leases import Lease, LeaseLost
from footnote.documents import deletion, derived_answers
from footnote.errors import Conflict, FootnoteError, Invalid, RateLimited, Unavailable
from footnote.jobs import scheduling
from footnote.models import Document, QueryBatch, QueryBatchItem, WebhookDelivery
from footnote.operations import consistency
from footnote.providers import ChatMessage, GenerationRequest, GeneratorEvent, Token
from footnote.retrieval import Query
from footnote.runtime import Runtime
from footnote.tenancy import keys, usage
from tests import driving
from tests.conftest import stored_once
from tests.fakes import FakeGenerator

pytestmark = pytest.mark.anyio
LAMP = "The zircon lamp was lit by Agnes Tolmie in the year 1874."
ASKED = "Who lit the zircon lamp?"
HOOK = "http://127.0.0.1:9/hook"


class Answering(FakeGenerator):
    """Quotes the first source, or raises what it is told to."""

    trouble: Exception | None = None

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        self.requests.append(request)
        if self.trouble:
            raise self.trouble
        yield Token(f'So it is [1: "{request.passages[0].text}"].')


@pytest.fixture
async def generator() -> Answering:
    return Answering()


@pytest.fixture
async def one(rt: Runtime, generator: Answering) -> Runtime:
    """A Runtime for one question at a time, and for one in a turn."""
    return replace(
        rt,
        generator=generator,
        settings=rt.settings.model_copy(update={"batch_concurrency": 1, "yield_seconds": 0.0}),
    )


async def make_tenant(rt: Runtime) -> str:
    tenant_id = await driving.new_tenant(rt)
    await driving.ready(rt, tenant_id, LAMP)
    return tenant_id


engine, tenant = stored_once(make_tenant)


async def made(rt: Runtime, tenant: str, items: Sequence[Any] = (ASKED,), url: str | None = None) -> str:
    read = [batch_runs.stored(Question(Query(item)), None) if isinstance(item, str) else item for item in items]
    async with rt.for_tenant(tenant).transaction() as session:
        return (await question_batches.create(session, read, url)).id


async def claimed(rt: Runtime, batch_id: str) -> Lease:
    async with rt.transaction() as session:
        claim = await question_batches.claim(session, batch_id, 30)
    assert claim is not None
    return leases.lease_of(claim)


async def changed(rt: Runtime, batch_id: str, **values: Any) -> None:
    async with rt.transaction() as session:
        await session.execute(update(QueryBatch).where(QueryBatch.id == batch_id).values(**values))


async def of(rt: Runtime, batch_id: str) -> QueryBatch:
    async with rt.sessions() as session:
        return await session.get_one(QueryBatch, batch_id)


async def results(rt: Runtime, batch_id: str) -> list[str]:
    """`answered`, an error's code, or an empty string, in order."""
    async with rt.sessions() as session:
        items = await session.scalars(
            select(QueryBatchItem).where(QueryBatchItem.batch_id == batch_id).order_by(QueryBatchItem.position)
        )
        return ["answered" if each.answer else (each.error or {}).get("code", "") for each in items]


async def told(rt: Runtime, batch_id: str) -> list[dict[str, Any]]:
    async with rt.sessions() as session:
        payloads = await session.scalars(select(WebhookDelivery.payload).where(WebhookDelivery.job_id == batch_id))
        return [json.loads(each) for each in payloads]


async def test_a_batch_is_answered_turn_by_turn_and_told_of(one: Runtime, tenant: str) -> None:
    batch_id = await made(one, tenant, [ASKED, Invalid("bad"), ASKED], HOOK)
    assert await results(one, batch_id) == ["", "bad", ""]
    await batch_runs.run(one, batch_id)
    assert await results(one, batch_id) == ["answered", "bad", ""]
    between = await of(one, batch_id)
    assert (between.state, between.attempts, between.ended, await told(one, batch_id)) == ("queued", 0, 2, [])
    await batch_runs.run(one, batch_id)
    ended = await of(one, batch_id)
    assert (ended.state, ended.ended, ended.finished_at is None) == ("completed", 3, False)
    [event] = await told(one, batch_id)
    counts = {"total": 3, "ended": 3, "failed": 1}
    assert event["type"] == "query_batch.completed"
    assert event["data"] == {"query_batch_id": batch_id, "status": "completed", **counts}
    await batch_runs.run(one, batch_id)  # a late message
    assert len(await told(one, batch_id)) == 1


async def test_questions_are_kept_whole_until_they_are_asked() -> None:
    given = {"type": "eq", "key": "year", "value": 2026}
    question = Question(Query(ASKED, ["a"], ["doc_1"], None, "vector", 3, 0.5, "section", False))
    question = replace(question, history=[ChatMessage("user", "x")], system_prompt="s", temperature=0.5)
    fields = json.loads(json.dumps(batch_runs.stored(question, given)))
    assert "tenant_id" not in json.dumps(fields), "whose it is, the batch says"
    back = batch_runs.restored(fields)
    assert back.query.filter is not None
    assert replace(back, query=replace(back.query, filter=None)) == question


async def test_a_batch_of_nothing_but_errors_has_ended(one: Runtime, tenant: str) -> None:
    batch_id = await made(one, tenant, [Invalid("bad")], HOOK)
    assert (await of(one, batch_id)).state == "completed"
    assert len(await told(one, batch_id)) == 1


async def test_only_the_newest_claim_may_keep(one: Runtime, tenant: str) -> None:
    batch_id = await made(one, tenant)
    first = await claimed(one, batch_id)
    async with one.transaction() as session:
        assert await question_batches.claim(session, batch_id, 30) is None
    await changed(one, batch_id, lease_until=func.now() - timedelta(seconds=1))
    async with one.transaction() as session:
        assert await question_batches.requeue_expired(session, one.settings) == [batch_id]
        assert await question_batches.requeue_expired(session, one.settings) == []
    await changed(one, batch_id, next_attempt_at=func.now())
    second = await claimed(one, batch_id)
    for claim, answer in ((first, {"id": "ans_1"}), (second, {"id": "ans_2"})):
        try:
            async with one.for_tenant(tenant).transaction() as session:
                await question_batches.store(session, claim, 0, Ended(answer=answer), 30)
        except LeaseLost:
            assert claim is first
    async with one.sessions() as session:
        assert (await session.get_one(QueryBatchItem, (batch_id, 0))).answer == {"id": "ans_2"}


async def test_a_temporary_error_is_waited_out_and_in_the_end_told(
    one: Runtime, tenant: str, generator: Answering
) -> None:
    batch_id = await made(one, tenant, [ASKED, ASKED])
    generator.trouble = RateLimited("provider_rate_limited", retry_after=3600)
    await batch_runs.run(one, batch_id)
    waiting = await of(one, batch_id)
    assert (waiting.state, waiting.retries, waiting.attempts) == ("waiting", 0, 0)
    assert str(waiting.waiting_for).startswith("the provider's rate limit")
    assert waiting.next_attempt_at
    assert waiting.next_attempt_at - waiting.created_at >= timedelta(hours=1)
    await batch_runs.run(one, batch_id)  # too early
    assert len(generator.requests) == 1
    generator.trouble = Unavailable("provider_unavailable")
    for retries in range(1, MOST_RETRIES + 1):
        await changed(one, batch_id, next_attempt_at=func.now())
        await batch_runs.run(one, batch_id)
        assert ((await of(one, batch_id)).retries, await results(one, batch_id)) == (retries, ["", ""])
    await changed(one, batch_id, next_attempt_at=func.now())
    await batch_runs.run(one, batch_id)
    assert await results(one, batch_id) == ["provider_unavailable", ""]
    assert (await of(one, batch_id)).retries == MOST_RETRIES, "an error is no reason for new patience"
    generator.trouble = None
    await batch_runs.run(one, batch_id)
    assert await results(one, batch_id) == ["provider_unavailable", "answered"]
    assert (await of(one, batch_id)).retries == 0


@pytest.mark.parametrize(
    ("trouble", "code"), [(Invalid("unknown_model"), "unknown_model"), (ZeroDivisionError(), "internal_error")]
)
async def test_a_question_that_fails_for_good_fails_no_other(
    one: Runtime, tenant: str, generator: Answering, trouble: Exception, code: str
) -> None:
    batch_id = await made(one, tenant, [ASKED, ASKED])
    generator.trouble = trouble
    await batch_runs.run(one, batch_id)
    generator.trouble = None
    await batch_runs.run(one, batch_id)
    assert await results(one, batch_id) == [code, "answered"]


async def test_a_budget_ends_in_the_middle_of_a_batch(one: Runtime, tenant: str) -> None:
    async with one.transaction() as session:
        key, _ = await keys.create(session, tenant, "reader", ("read",), budget=keys.Budget(tokens=1))
    asked = batch_runs.stored(Question(Query(ASKED, key_id=key.id)), None)
    batch_id = await made(one, tenant, [asked, asked])
    await batch_runs.run(one, batch_id)
    await batch_runs.run(one, batch_id)
    assert await results(one, batch_id) == ["answered", "quota_exceeded"]


async def test_a_revoked_key_ends_what_it_asked_for_and_one_that_came_to_its_end_does_not(
    one: Runtime, tenant: str
) -> None:
    async with one.for_tenant(tenant).transaction() as session:
        revoked, _ = await keys.create(session, tenant, "reader", ("read",))
        await keys.revoke(session, revoked.id)
        ended, _ = await keys.create(session, tenant, "old", ("read",), expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    asked = [batch_runs.stored(Question(Query(ASKED, key_id=key.id)), None) for key in (revoked, ended)]
    batch_id = await made(one, tenant, asked)
    await batch_runs.run(one, batch_id)
    await batch_runs.run(one, batch_id)
    assert await results(one, batch_id) == ["invalid_api_key", "answered"]


async def test_a_quota_ends_in_the_middle_of_a_batch(one: Runtime, tenant: str) -> None:
    async with one.for_tenant(tenant).transaction() as session:
        spent = (await usage.this_month(session)).tokens
    limited = replace(one, settings=one.settings.model_copy(update={"quota_tokens": spent + 1}))
    batch_id = await made(one, tenant, [ASKED, ASKED])
    await batch_runs.run(limited, batch_id)
    await batch_runs.run(limited, batch_id)
    assert await results(one, batch_id) == ["answered", "quota_exceeded"]


async def test_a_batch_that_kills_its_workers_ends(one: Runtime, tenant: str) -> None:
    batch_id = await made(one, tenant, [Invalid("bad"), ASKED], HOOK)
    for _ in range(one.settings.max_attempts):
        assert (await of(one, batch_id)).state != "completed"
        await changed(one, batch_id, next_attempt_at=func.now())
        await claimed(one, batch_id)
        await changed(one, batch_id, lease_until=func.now() - timedelta(seconds=1))
        async with one.transaction() as session:
            await question_batches.requeue_expired(session, one.settings)
    assert await results(one, batch_id) == ["bad", "worker_crashed"]
    assert [each["data"]["failed"] for each in await told(one, batch_id)] == [2]


async def test_a_cancelled_batch_keeps_what_was_answered_and_no_more(one: Runtime, tenant: str) -> None:
    batch_id = await made(one, tenant, [ASKED, ASKED], HOOK)
    await batch_runs.run(one, batch_id)
    claim = await claimed(one, batch_id)
    async with one.for_tenant(tenant).transaction() as session:
        assert (await question_batches.cancel(session, batch_id)).state == "cancelled"
    with pytest.raises(LeaseLost):
        async with one.for_tenant(tenant).transaction() as session:
            await question_batches.store(session, claim, 1, Ended(answer={}), 30)
    with pytest.raises(Conflict):
        async with one.for_tenant(tenant).transaction() as session:
            await question_batches.cancel(session, batch_id)
    assert await results(one, batch_id) == ["answered", ""]
    assert [each["type"] for each in await told(one, batch_id)] == ["query_batch.cancelled"]


async def test_tenants_take_turns_and_few_batches_fly(one: Runtime, tenant: str) -> None:
    other = await driving.new_tenant(one)
    mine = [await made(one, tenant) for _ in range(3)]

    async def due(slots: int = 4) -> set[str]:
        async with one.transaction() as session:
            return set(await question_batches.take_due(session, 30, slots))

    assert await due(slots=2) == {mine[0]}, "a slot is for documents"
    his = await made(one, other)
    assert await due() == {his}
    assert await due() == set(), "there is no room"
    async with one.transaction() as session:
        await leases.forget_dispatched(session, QueryBatch)
    assert len(await due()) == question_batches.AT_ONCE
    async with one.transaction() as session:
        await leases.forget_dispatched(session, QueryBatch)
    await changed(one, mine[0], state="running")
    await changed(one, mine[1], next_attempt_at=func.now() - timedelta(minutes=1))
    assert await due() == {his}, "the other tenant has one at work already"
    await changed(one, his, state="completed")
    assert await due() == {mine[1]}
    async with one.transaction() as session:
        await scheduling.pause(session)
        assert await question_batches.claim(session, mine[1], 30) is None


async def test_who_sends_many_does_not_go_first_until_the_last(one: Runtime, tenant: str) -> None:
    other = await driving.new_tenant(one)
    mine = [await made(one, tenant) for _ in range(20)]
    his = await made(one, other)
    sent: list[str] = []
    while his not in sent:
        async with one.transaction() as session:
            sent += await question_batches.take_due(session, 30, 2)  # one slot for questions
        await changed(one, sent[-1], state="completed")
    assert len(sent) <= len(mine), "chance would have it once in a million times"


async def test_a_deleted_document_leaves_nothing_in_results(one: Runtime, tenant: str) -> None:
    async with one.sessions() as session:
        lamp = (await session.scalars(select(Document.id).where(Document.tenant_id == tenant))).one()
    batch_id = await made(one, tenant, [ASKED, ASKED])
    await batch_runs.run(one, batch_id)
    claim = await claimed(one, batch_id)
    assert (await deletion.remove(one.for_tenant(tenant), lamp)).counts["answers"] == 1
    async with one.for_tenant(tenant).transaction() as session:  # one that was under way meanwhile
        await question_batches.store(session, claim, 1, Ended(answer={"answer": LAMP}, document_ids=[lamp]), 30)
    assert await results(one, batch_id) == ["answer_removed", "answer_removed"]
    assert [each async for each in consistency.audit(one, fix=False)] == []
    async with one.transaction() as session:
        emptied = await session.get_one(QueryBatchItem, (batch_id, 0))
        assert (emptied.error or {})["message"] == derived_answers.REMOVED
        emptied.document_ids = [lamp]
    assert [each.kind async for each in consistency.audit(one, fix=False)] == ["result_without_document"]


async def test_batches_are_kept_for_a_week(one: Runtime, tenant: str) -> None:
    old, new = await made(one, tenant, [Invalid("bad")]), await made(one, tenant, [Invalid("bad")])
    unfinished = await made(one, tenant)
    await changed(one, old, finished_at=func.now() - timedelta(days=8))
    async with one.transaction() as session:
        await question_batches.purge(session)
        left = set(await session.scalars(select(QueryBatch.id).where(QueryBatch.tenant_id == tenant)))
    assert left == {new, unfinished}


async def test_a_worker_that_should_stop_gives_the_batch_back(one: Runtime, tenant: str) -> None:
    batch_id = await made(one, tenant, [ASKED, ASKED])
    patient = replace(one, settings=one.settings.model_copy(update={"yield_seconds": 60.0}))
    patient.stopping.set()
    await batch_runs.run(patient, batch_id)
    left = await of(one, batch_id)
    assert (left.state, left.attempts, left.ended) == ("queued", 0, 1)


def test_what_is_told_of_an_error_is_what_the_api_needs() -> None:
    assert set(question_batches.as_json(FootnoteError("a"))) == {"kind", "code", "message", "fields"}
