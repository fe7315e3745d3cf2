"""Webhook endpoints as a product: registered, told of what they asked for, tested, rotated; their log."""

import json
from typing import Any

import pytest
from openai import InvalidWebhookSignatureError, OpenAI
from sqlalchemy import func, select, update
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from footnote import documents, jobs
from footnote.answering import question_batches
from footnote.database.clock import from_now
from footnote.documents import deletion
from footnote.models import WebhookDelivery, WebhookEndpoint
from footnote.runtime import Runtime
from footnote.webhooks import history, sending
from footnote.webhooks.sending import SCHEDULE
from tests import driving
from tests.api.test_errors import problem
from tests.conftest import Person
from tests.receiving import attempt_due, listening, seconds_until_next, set_delivery

pytestmark = pytest.mark.anyio
ENDPOINTS = "/v1/webhook_endpoints"
openai = OpenAI(api_key="none")


async def registered(who: Person, url: str, **fields: Any) -> dict[str, Any]:
    answer = await who.client.post(ENDPOINTS, json={"url": url, **fields})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"{ENDPOINTS}/{answer.json()['id']}"
    return dict(answer.json())


async def get(who: Person, *path: str, **params: str) -> dict[str, Any]:
    answer = await who.client.get("/".join((ENDPOINTS, *path)), params=params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def post(who: Person, *path: str, **body: Any) -> dict[str, Any]:
    answer = await who.client.post("/".join((ENDPOINTS, *path)), json=body or None)
    assert answer.is_success, answer.text
    return dict(answer.json())


async def time_passes(rt: Runtime, seconds: float) -> None:
    """For the deliveries: all that they wait for is so much nearer."""
    moved = WebhookDelivery.next_attempt_at + (from_now(-seconds) - func.now())
    async with rt.transaction() as session:
        await session.execute(update(WebhookDelivery).values(next_attempt_at=moved))


async def set_endpoint(rt: Runtime, endpoint_id: str, **values: Any) -> None:
    async with rt.transaction() as session:
        await session.execute(update(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id).values(**values))


# -- registered ----------------------------------------------------------------------------------------------


async def test_an_endpoint_is_made_looked_at_changed_and_deleted(alice: Person, bob: Person, charlie: Person) -> None:
    made = await registered(alice, "https://hooks.example.com/a", events=["document.ready"], description="Ours")
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert made["enabled"] is True
    assert await get(alice, made["id"]) == made, "and the secret is not shown again"
    other = await registered(alice, "https://hooks.example.com/b")
    assert other["events"] == ["*"]
    first = await get(alice, limit="1")
    assert [each["id"] for each in first["data"]] == [other["id"]]
    assert (await get(alice, cursor=first["next_cursor"]))["data"] == [made]
    path = f"{ENDPOINTS}/{made['id']}"
    changed = await alice.client.patch(path, json={"events": ["*"], "description": None, "enabled": False})
    told = changed.json()
    assert (told["events"], told["description"], told["enabled"], told["disabled_reason"]) == (
        ["*"],
        None,
        False,
        "requested",
    )
    assert (await alice.client.patch(path, json={"enabled": True})).json()["disabled_reason"] is None
    wrongs: list[dict[str, Any]] = [
        {"events": []},
        {"events": ["document.eaten"]},
        {"url": None},
        {"secret": "x"},
        {"enabled": None},
    ]
    for wrong in wrongs:
        assert (await alice.client.patch(path, json=wrong)).status_code == 422
    assert (await bob.client.get(ENDPOINTS)).status_code == 403, "a reader does not decide who is told"
    assert (await charlie.client.get(ENDPOINTS)).json()["data"] == []
    assert (await alice.client.delete(path)).json() == {"webhook_endpoint_id": made["id"], "deliveries": 0}
    assert (await alice.client.get(path)).status_code == 404


async def test_a_tenant_has_so_many_endpoints_and_no_more(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("footnote.webhooks.endpoints.MOST", 1)
    await registered(alice, "https://hooks.example.com/")
    answer = await alice.client.post(ENDPOINTS, json={"url": "https://hooks.example.com/"})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_webhook_endpoints")


# -- told ----------------------------------------------------------------------------------------------------


async def test_every_event_of_the_tenant_in_an_order_that_can_be_told(
    rt: Runtime, alice: Person, charlie: Person
) -> None:
    rt.sessions.configure(info={"public_url": "https://example.com"})
    async with listening() as receiver, listening() as choosy, listening() as stranger:
        made = await registered(alice, receiver.url)
        await registered(alice, choosy.url, events=["document.failed", "query_batch.completed"])
        await registered(charlie, stranger.url)
        document_id = await driving.ready(rt, alice.tenant_id, "Some text.", external_id="a", callback_url=receiver.url)
        again = await driving.accept(rt, alice.tenant_id, "Other text.", external_id="a")
        assert again.details.document.id == document_id
        async with rt.for_tenant(alice.tenant_id).transaction() as session:
            await jobs.cancel(session, again.details.job.id)
            await jobs.retry(session, again.details.job.id)
        await driving.run(rt, again.details.job.id)
        empty = await driving.accept(rt, alice.tenant_id, " \n ")
        await driving.run(rt, empty.details.job.id)
        async with rt.for_tenant(alice.tenant_id).transaction() as session:
            batch = await question_batches.create(session, [{}], None)
            await question_batches.cancel(session, batch.id)
        while await attempt_due(rt):
            pass
        await deletion.remove(rt.for_tenant(alice.tenant_id), document_id)
        while await attempt_due(rt):
            pass
    told = [json.loads(body) for _, headers, body in receiver.requests if verified(body, headers, made["secret"])]
    about = [each for each in told if each["data"].get("document_id") == document_id]
    about.sort(key=lambda each: each["data"]["sequence"])
    assert [(each["data"]["sequence"], each["type"], each["data"]["version"]) for each in about] == [
        (1, "document.ready", 1),
        (2, "document.cancelled", 2),
        (3, "document.ready", 2),
        (4, "document.deleted", 2),
    ]
    shown = [each["data"]["reader_url"] for each in about]
    assert shown == [f"https://example.com/d/{document_id}"] * 3 + [None]
    rest = {each["type"]: each["data"] for each in told if each not in about}
    assert rest.keys() == {"document.failed", "query_batch.cancelled"}
    assert (rest["document.failed"]["sequence"], rest["document.failed"]["error"]["code"]) == (1, "no_text")
    callbacks = [body for _, headers, body in receiver.requests if not verified(body, headers, made["secret"])]
    assert [json.loads(body)["type"] for body in callbacks] == ["document.ready", "document.deleted"]
    assert [json.loads(body)["type"] for _, _, body in choosy.requests] == ["document.failed"]
    assert stranger.requests == []


def verified(body: bytes, headers: dict[str, str], secret: str) -> bool:
    """Whether OpenAI's own verifier takes it for one signed with the secret."""
    try:
        openai.webhooks.verify_signature(body, headers, secret=secret)
    except InvalidWebhookSignatureError:
        return False
    return True


async def test_what_is_only_made_anew_is_not_told(rt: Runtime, alice: Person) -> None:
    document_id = await driving.ready(rt, alice.tenant_id, "Some text.")
    made = await registered(alice, "http://127.0.0.1:1/")
    document = await driving.document_of(rt, document_id)
    version = await driving.version_of(rt, document.active_version_id or "")
    async with rt.transaction() as session:
        await documents.reingest(session, await session.merge(document), await session.merge(version))
    job = await driving.run(rt, (await driving.document_of(rt, document_id)).job_id)
    assert (job.reingestion, job.state) == (True, "succeeded")
    assert (await get(alice, made["id"], "deliveries"))["data"] == []
    await deletion.remove(rt.for_tenant(alice.tenant_id), document_id)
    assert [each["event"] for each in (await get(alice, made["id"], "deliveries"))["data"]] == ["document.deleted"]


async def test_a_test_says_how_it_went_and_is_sent_once(rt: Runtime, alice: Person) -> None:
    long = b"404 No\r\nX-Pad: \x01" + b"\r\nContent-Length: 4000\r\n\r\n" + "\x1b[31mно\x00".encode() * 300 + b"\r\nX: "
    async with listening(b"200 OK", long) as receiver:
        made = await registered(alice, receiver.url)
        tested = await post(alice, made["id"], "test")
        event = Webhook(made["secret"]).verify(receiver.requests[0][2], receiver.requests[0][1])
        assert (event["type"], event["data"]) == ("endpoint.test", {"webhook_endpoint_id": made["id"]})
        assert (tested["status"], tested["response_status"], tested["payload"]) == ("delivered", 200, event)
        (attempt,) = tested["history"]
        assert (attempt["number"], attempt["response_status"], attempt["excerpt"]) == (1, 200, "ok")
        refused = await post(alice, made["id"], "test")
        assert (refused["status"], refused["next_attempt_at"]) == ("failed", None)
        assert await attempt_due(rt) == 0
    excerpt = refused["history"][0]["excerpt"]
    assert excerpt.startswith("[31mно[31m")
    assert len(excerpt.encode()) <= 1000
    unreachable = await post(alice, made["id"], "test")
    assert (unreachable["status"], unreachable["response_status"]) == ("failed", None)
    assert "ConnectError" in unreachable["history"][0]["error"]
    listed = await get(alice, made["id"], "deliveries", state="failed", limit="1")
    assert [each["id"] for each in listed["data"]] == [unreachable["id"]]
    second = await get(alice, made["id"], "deliveries", state="failed", cursor=listed["next_cursor"])
    assert [each["id"] for each in second["data"]] == [refused["id"]]
    assert await get(alice, made["id"], "deliveries", tested["id"]) == tested


async def test_a_secret_is_replaced_without_a_gap(rt: Runtime, alice: Person) -> None:
    async with listening() as receiver:
        made = await registered(alice, receiver.url)
        rotated = await post(alice, made["id"], "rotate")
        assert rotated["secret"] != made["secret"]
        assert rotated["previous_secret_until"]
        await post(alice, made["id"], "test")
        await set_endpoint(rt, made["id"], previous_secret_until=func.now())
        await post(alice, made["id"], "test")
    (_, both, first), (_, one, second) = receiver.requests
    for secret in (made["secret"], rotated["secret"]):
        Webhook(secret).verify(first, both)
        openai.webhooks.verify_signature(first, both, secret=secret)
    Webhook(rotated["secret"]).verify(second, one)
    with pytest.raises(WebhookVerificationError):
        Webhook(made["secret"]).verify(second, one)


# -- away, gone, back ----------------------------------------------------------------------------------------


async def queue_events(rt: Runtime, tenant_id: str, count: int) -> None:
    for number in range(count):
        accepted = await driving.accept(rt, tenant_id, f"Text {number}.")
        async with rt.for_tenant(tenant_id).transaction() as session:
            await jobs.cancel(session, accepted.details.job.id)


async def test_a_receiver_that_was_away_for_an_hour_gets_everything_once_when_it_is_back(
    rt: Runtime, alice: Person
) -> None:
    answers = [b"503 Away"]
    async with listening(*answers) as receiver:
        made = await registered(alice, receiver.url)
        await queue_events(rt, alice.tenant_id, 6)
        passed = 0.0
        while passed < 3600:
            while await attempt_due(rt):
                pass
            await time_passes(rt, 120)
            passed += 120
        away = len(receiver.requests)
        assert away >= 6 * 4
        receiver.answers = [b"200 OK"]
        await set_delivery(rt, await newest(rt), next_attempt_at=func.now())
        while await attempt_due(rt):
            pass
    ids = [headers["webhook-id"] for _, headers, _ in receiver.requests[away:]]
    assert len(ids) == len(set(ids)) == 6, "what was waiting for later goes out at the first success"
    assert {each["status"] for each in (await get(alice, made["id"], "deliveries"))["data"]} == {"delivered"}
    assert (await get(alice, made["id"]))["failing_since"] is None


async def newest(rt: Runtime) -> str:
    async with rt.sessions() as session:
        return (await session.scalars(select(func.max(WebhookDelivery.id)))).one()


async def test_a_receiver_that_is_gone_is_disabled_and_what_it_missed_can_be_sent_again(
    rt: Runtime, alice: Person
) -> None:
    async with listening(b"410 Gone", b"200 OK") as receiver:
        made = await registered(alice, receiver.url)
        await queue_events(rt, alice.tenant_id, 3)
        async with rt.transaction() as session:
            due = await sending.take_due(session, rt.settings, 1)
        await sending.deliver(rt, due[0])
        told = await get(alice, made["id"])
        assert (told["enabled"], told["disabled_reason"]) == (False, "gone")
        failed = (await get(alice, made["id"], "deliveries", state="failed"))["data"]
        assert len(failed) == 3
        await queue_events(rt, alice.tenant_id, 1)
        assert await attempt_due(rt) == 0, "nothing more is queued for it"
        path = f"{ENDPOINTS}/{made['id']}"
        answer = await alice.client.post(f"{path}/redeliver", json={"since": made["created_at"]})
        assert problem(answer, 409)["code"] == "webhook_endpoint_disabled"
        await alice.client.patch(path, json={"enabled": True})
        assert await post(alice, made["id"], "redeliver", since="2999-01-01T00:00:00Z") == {"redelivered": 0}
        assert await post(alice, made["id"], "redeliver", since=made["created_at"]) == {"redelivered": 3}
        assert await attempt_due(rt) == 3
        once_more = await post(alice, made["id"], "deliveries", failed[0]["id"], "redeliver")
        assert once_more["status"] == "pending"
        assert await attempt_due(rt) == 1
    ids = [headers["webhook-id"] for _, headers, _ in receiver.requests]
    assert ids.count(failed[0]["id"]) >= 2
    assert len((await get(alice, made["id"], "deliveries", due[0].id))["history"]) >= 2


async def test_only_a_receiver_that_failed_for_days_is_disabled(rt: Runtime, alice: Person) -> None:
    async with listening(b"500 Oops") as receiver:
        made = await registered(alice, receiver.url)
        await queue_events(rt, alice.tenant_id, 2)
        first, second = [each["id"] for each in (await get(alice, made["id"], "deliveries"))["data"]]
        await set_delivery(rt, first, attempts=len(SCHEDULE))
        await set_delivery(rt, second, next_attempt_at=from_now(60))
        assert await attempt_due(rt) == 1
        assert (await get(alice, made["id"]))["enabled"] is True, "for a day only"
        await set_endpoint(rt, made["id"], failing_since=from_now(-6 * 24 * 3600.0))
        await set_delivery(rt, second, next_attempt_at=func.now())
        assert await attempt_due(rt) == 1
        assert (await get(alice, made["id"]))["enabled"] is True, "it may be a moment's trouble after a quiet week"
        await set_delivery(rt, second, next_attempt_at=func.now(), attempts=len(SCHEDULE))
        assert await attempt_due(rt) == 1
    assert (await get(alice, made["id"]))["disabled_reason"] == "failing"


async def test_a_receiver_may_ask_for_more_time_and_not_for_less(rt: Runtime, alice: Person) -> None:
    async with listening(b"429 Slow down\r\nRetry-After: 900", b"503 Busy\r\nRetry-After: 1") as receiver:
        await registered(alice, receiver.url)
        await queue_events(rt, alice.tenant_id, 1)
        for seconds in (900, SCHEDULE[1]):
            assert await attempt_due(rt) == 1
            assert seconds - 1 <= await seconds_until_next(rt, await newest(rt)) <= 1.2 * seconds
            await set_delivery(rt, await newest(rt), next_attempt_at=func.now())


async def test_the_log_is_forgotten_but_not_what_is_to_be_sent(rt: Runtime, alice: Person) -> None:
    made = await registered(alice, "http://127.0.0.1:1/")
    done = (await post(alice, made["id"], "test"))["id"]
    await queue_events(rt, alice.tenant_id, 1)
    waiting = await newest(rt)
    for each in (done, waiting):
        await set_delivery(rt, each, created_at=from_now(-31 * 24 * 3600.0))
    kept = (await post(alice, made["id"], "test"))["id"]
    async with rt.transaction() as session:
        await history.purge(session, 30)
    listed = (await get(alice, made["id"], "deliveries"))["data"]
    assert {each["id"] for each in listed} == {waiting, kept}
    await alice.client.delete(f"{ENDPOINTS}/{made['id']}")
    async with rt.sessions() as session:
        assert await session.scalar(select(func.count()).select_from(WebhookDelivery)) == 0
