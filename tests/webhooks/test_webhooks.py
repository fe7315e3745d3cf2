"""Webhooks: signed, retried, at most one row an event, and never sent to where they must not go."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from footnote import jobs, webhooks
from footnote.models import Tenant, WebhookDelivery
from footnote.runtime import Runtime
from footnote.webhooks import sending
from footnote.webhooks.sending import SCHEDULE, Due
from tests import driving
from tests.receiving import attempt_due, in_outbox, listening, queued, seconds_until_next, set_delivery, stored

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tenant(rt: Runtime) -> str:
    return await driving.new_tenant(rt)


# -- delivered -----------------------------------------------------------------------------------------------


async def test_a_receiver_can_verify_what_it_gets_with_the_standard_library(rt: Runtime, tenant: str) -> None:
    async with rt.sessions() as session:
        secret = (await session.get_one(Tenant, tenant)).webhook_secret
    async with listening() as receiver:
        delivery_id = await queued(rt, tenant, receiver.url)
        assert await attempt_due(rt) == 1
    ((request, headers, body),) = receiver.requests
    assert request == "POST /hook?a=b HTTP/1.1"
    event = Webhook(secret).verify(body, headers)
    assert (event["type"], event["data"]["chunks"], event["data"]["filename"]) == ("document.ready", 1, "notes.txt")
    assert headers["webhook-id"] == delivery_id
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body.replace(b"ready", b"reedy"), headers)
    delivery = await stored(rt, delivery_id)
    assert (delivery.state, delivery.response_status, delivery.next_attempt_at) == ("delivered", 204, None)
    assert await attempt_due(rt) == 0


async def test_a_retry_repeats_the_event_under_the_same_id(rt: Runtime, tenant: str) -> None:
    async with listening(b"500 Oops", b"200 OK") as receiver:
        delivery_id = await queued(rt, tenant, receiver.url)
        assert await attempt_due(rt) == 1
        assert await attempt_due(rt) == 0, "not before its time"
        await set_delivery(rt, delivery_id, next_attempt_at=func.now())
        assert await attempt_due(rt) == 1
    (_, first, first_body), (_, second, second_body) = receiver.requests
    assert first["webhook-id"] == second["webhook-id"]
    assert first_body == second_body
    assert (await stored(rt, delivery_id)).state == "delivered"


@pytest.mark.parametrize("attempt", [1, 2, 5, 10])
async def test_failures_are_retried_on_a_schedule_of_about_a_day(rt: Runtime, tenant: str, attempt: int) -> None:
    async with listening(b"503 Busy") as receiver:
        delivery_id = await queued(rt, tenant, receiver.url)
        await set_delivery(rt, delivery_id, attempts=attempt - 1)
        assert await attempt_due(rt) == 1
    delivery = await stored(rt, delivery_id)
    assert (delivery.state, delivery.response_status, delivery.attempts) == ("pending", 503, attempt)
    base = SCHEDULE[attempt - 1]
    assert base <= await seconds_until_next(rt, delivery_id) <= 1.2 * base
    assert 24 * 3600 <= sum(SCHEDULE) <= 30 * 3600


async def test_after_the_last_attempt_the_delivery_has_failed(rt: Runtime, tenant: str) -> None:
    async with listening(b"503 Busy") as receiver:
        delivery_id = await queued(rt, tenant, receiver.url)
        await set_delivery(rt, delivery_id, attempts=len(SCHEDULE))
        assert await attempt_due(rt) == 1
    delivery = await stored(rt, delivery_id)
    assert (delivery.state, delivery.next_attempt_at) == ("failed", None)


async def test_a_receiver_that_is_gone_for_good_is_left_alone(rt: Runtime, tenant: str) -> None:
    async with listening(b"410 Gone") as receiver:
        delivery_id = await queued(rt, tenant, receiver.url)
        assert await attempt_due(rt) == 1
    delivery = await stored(rt, delivery_id)
    assert (delivery.state, delivery.response_status, delivery.next_attempt_at) == ("failed", 410, None)


async def test_a_redirect_is_not_followed(rt: Runtime, tenant: str) -> None:
    async with listening() as inside, listening(b"302 Found\r\nLocation: " + inside.url.encode()) as receiver:
        delivery_id = await queued(rt, tenant, receiver.url)
        assert await attempt_due(rt) == 1
        assert (len(receiver.requests), inside.requests) == (1, [])
    delivery = await stored(rt, delivery_id)
    assert (delivery.state, delivery.response_status) == ("pending", 302)


@pytest.mark.parametrize("answer", [None, b"2OO", b"\x00\xff"])
async def test_a_receiver_that_is_silent_or_talks_nonsense_is_tried_again(
    rt: Runtime, tenant: str, answer: bytes | None
) -> None:
    rt = replace(rt, settings=rt.settings.model_copy(update={"webhook_timeout_seconds": 0.2}))
    async with listening(answer) as receiver:
        delivery_id = await queued(rt, tenant, receiver.url)
        await asyncio.wait_for(attempt_due(rt), 60)
    delivery = await stored(rt, delivery_id)
    assert (delivery.state, delivery.response_status) == ("pending", None)
    assert delivery.error
    assert await seconds_until_next(rt, delivery_id) <= 6


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/",
        "http://name.invalid/",
        "http://a..b/",
        f"http://{'a' * 64}.com/",
        "https://127.0.0.1:1/",
        "http://[::1]:1/",
        "http://127.0.0.1:1/a b",
    ],
)
async def test_whatever_is_wrong_with_an_address_the_attempt_is_written_down(
    rt: Runtime, tenant: str, url: str
) -> None:
    delivery_id = await queued(rt, tenant, url)
    assert await attempt_due(rt) == 1
    delivery = await stored(rt, delivery_id)
    assert (delivery.state, delivery.attempts, delivery.response_status) == ("pending", 1, None)
    assert delivery.error


async def test_a_sender_that_dies_while_it_sends_leaves_the_delivery_due_again(
    rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException): ...

    async def die(*_: object) -> None:
        raise Died

    delivery_id = await queued(rt, tenant, "http://127.0.0.1:1/")
    monkeypatch.setattr(sending, "_send", die)
    with pytest.raises(Died):
        await attempt_due(rt)
    assert (await stored(rt, delivery_id)).state == "pending"
    longest = rt.settings.webhook_timeout_seconds + sending.CLAIM_SLACK
    assert rt.settings.webhook_timeout_seconds < await seconds_until_next(rt, delivery_id) <= longest


async def test_an_answer_that_comes_after_the_claim_was_taken_by_another_changes_nothing(
    rt: Runtime, tenant: str
) -> None:
    async with listening() as receiver:
        delivery_id = await queued(rt, tenant, receiver.url)
        async with rt.transaction() as session:
            (late,) = await sending.take_due(session, rt.settings, 9)
        await set_delivery(rt, delivery_id, next_attempt_at=func.now())
        async with rt.transaction() as session:
            assert await sending.take_due(session, rt.settings, 9)
        await sending.deliver(rt, late)
    delivery = await stored(rt, delivery_id)
    assert (delivery.state, delivery.attempts) == ("pending", 2)


# -- the outbox ----------------------------------------------------------------------------------------------


async def test_an_event_has_one_row_and_a_job_that_did_not_ask_has_none(rt: Runtime, tenant: str) -> None:
    delivery_id = await queued(rt, tenant, "http://example.com/")
    job_id = (await stored(rt, delivery_id)).job_id
    silent = await driving.accept(rt, tenant, "Other text.")
    async with rt.transaction() as session:
        for _ in range(2):
            await webhooks.enqueue(session, [job_id, silent.details.job.id], "document.ready")
        assert (await session.scalars(select(WebhookDelivery.id))).all() == [delivery_id]


async def test_a_job_that_fails_again_after_a_retry_says_so_again(rt: Runtime, tenant: str) -> None:
    delivery_id = await queued(rt, tenant, "http://example.com/", " \n ")
    job_id = (await stored(rt, delivery_id)).job_id
    async with rt.for_tenant(tenant).transaction() as session:
        await jobs.retry(session, job_id)
    await driving.run(rt, job_id)
    async with rt.transaction() as session:
        events = await session.execute(select(WebhookDelivery.event, WebhookDelivery.run).order_by(WebhookDelivery.run))
    assert [tuple(row) for row in events] == [("document.failed", 1), ("document.failed", 2)]


async def test_a_cancelled_job_says_so(rt: Runtime, tenant: str) -> None:
    accepted = await driving.accept(rt, tenant, "Some text.", callback_url="http://example.com/")
    async with rt.for_tenant(tenant).transaction() as session:
        await jobs.cancel(session, accepted.details.job.id)
        assert (await session.scalars(select(WebhookDelivery.event))).all() == ["document.cancelled"]


async def test_a_failure_carries_its_reason(rt: Runtime, tenant: str) -> None:
    delivery_id = await queued(rt, tenant, "http://example.com/", " \n ")
    payload = json.loads((await stored(rt, delivery_id)).payload)
    assert (payload["type"], payload["data"]["error"]["code"]) == ("document.failed", "no_text")


async def taken(rt: Runtime, room: int, busy: list[Due] | None = None, **limits: int) -> list[Due]:
    async with rt.transaction() as session:
        return await sending.take_due(session, rt.settings, room, busy or [], **limits)


def ids(due: list[Due]) -> list[str]:
    return sorted(each.id for each in due)


async def test_due_deliveries_are_taken_once_and_no_more_than_there_is_room(rt: Runtime, tenant: str) -> None:
    queued_ids = await in_outbox(rt, tenant, *["http://example.com/"] * 3)
    first = await taken(rt, 2)
    assert len(first) == 2
    assert ids(first + await taken(rt, 9)) == queued_ids
    assert await taken(rt, 9) == []
    await set_delivery(rt, queued_ids[0], next_attempt_at=func.now() - timedelta(seconds=1))
    await set_delivery(rt, queued_ids[1], next_attempt_at=func.now() + timedelta(seconds=1))
    await set_delivery(rt, queued_ids[2], next_attempt_at=func.now() - timedelta(seconds=1), state="delivered")
    assert ids(await taken(rt, 9)) == queued_ids[:1]


async def test_a_receiver_with_a_long_backlog_leaves_room_for_the_others(rt: Runtime, tenant: str) -> None:
    await in_outbox(rt, tenant, *(f"http://slow.example:81/{number}" for number in range(6)))
    others = await in_outbox(rt, tenant, "http://quick.example/", "http://Slow.example:82/")
    others += await in_outbox(rt, await driving.new_tenant(rt), "http://slow.example:81/0")
    for each in others:
        await set_delivery(rt, each, next_attempt_at=func.now())
    first = await taken(rt, 4)
    assert len({each.lane for each in first}) == 4, "one of each before the second of any"
    rest = await taken(rt, 9, first)
    slow = [each for each in first + rest if each.id not in others]
    assert (len(slow), len(rest)) == (4, 3)
    assert await taken(rt, 9, slow) == []
    assert len(await taken(rt, 9, slow[:3])) == 1
    assert len(await taken(rt, 9)) == 1


async def test_a_tenant_with_many_receivers_leaves_room_for_the_others(rt: Runtime, tenant: str) -> None:
    await in_outbox(rt, tenant, *(f"http://slow{number}.example/" for number in range(4)))
    first = await taken(rt, 9, a_tenant=2)
    assert len(first) == 2
    other = await in_outbox(rt, await driving.new_tenant(rt), "http://slow0.example/")
    assert ids(await taken(rt, 9, first, a_tenant=2)) == other
    assert len(await taken(rt, 9, first[:1], a_tenant=2)) == 1
