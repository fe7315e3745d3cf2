"""Webhooks: signed, retried, at most one row an event, and never sent to where they must not go."""

import asyncio
import ipaddress
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from footnote import jobs, webhooks
from footnote.errors import Invalid
from footnote.models import Tenant, WebhookDelivery
from footnote.outgoing import GuardedBackend, check_url, is_public
from footnote.runtime import Runtime
from footnote.webhooks import SCHEDULE
from tests import driving

pytestmark = pytest.mark.anyio


@dataclass
class Receiver:
    """Answers each request with the next of `answers`; the last one stays. None: says nothing."""

    answers: list[bytes | None] = field(default_factory=lambda: [b"204 No Content"])
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?a=b"

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((head[0], headers, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is not None:
            writer.write(b"HTTP/1.1 " + answer + b"\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()
        else:
            await reader.read()
        writer.close()


@asynccontextmanager
async def listening(*answers: bytes | None) -> AsyncIterator[Receiver]:
    receiver = Receiver(list(answers)) if answers else Receiver()
    server = await asyncio.start_server(receiver, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver


@pytest.fixture
async def tenant(rt: Runtime) -> str:
    return await driving.new_tenant(rt)


async def queued(rt: Runtime, tenant: str, url: str, text: str = "Some text.") -> str:
    """The id of a delivery that a finished job left in the outbox."""
    accepted = await driving.accept(rt, tenant, text, callback_url=url)
    await driving.run(rt, accepted.details.job.id)
    async with rt.sessions() as session:
        query = select(WebhookDelivery.id).where(WebhookDelivery.job_id == accepted.details.job.id)
        return (await session.scalars(query)).one()


async def stored(rt: Runtime, delivery_id: str) -> WebhookDelivery:
    async with rt.sessions() as session:
        return await session.get_one(WebhookDelivery, delivery_id)


async def set_delivery(rt: Runtime, delivery_id: str, **values: Any) -> None:
    async with rt.transaction() as session:
        await session.execute(update(WebhookDelivery).where(WebhookDelivery.id == delivery_id).values(**values))


async def seconds_until_next(rt: Runtime, delivery_id: str) -> float:
    async with rt.sessions() as session:
        wait = func.extract("epoch", WebhookDelivery.next_attempt_at - func.now())
        return float((await session.scalars(select(wait).where(WebhookDelivery.id == delivery_id))).one())


async def attempt_due(rt: Runtime) -> int:
    """Delivers what is due now, once; how many that were."""
    async with rt.transaction() as session:
        due = await webhooks.take_due(session, rt.settings, 9)
    for each in due:
        await webhooks.deliver(rt, each)
    return len(due)


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
        await asyncio.wait_for(attempt_due(rt), 5)
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
    monkeypatch.setattr(webhooks, "_send", die)
    with pytest.raises(Died):
        await attempt_due(rt)
    assert (await stored(rt, delivery_id)).state == "pending"
    longest = rt.settings.webhook_timeout_seconds + webhooks.CLAIM_SLACK
    assert rt.settings.webhook_timeout_seconds < await seconds_until_next(rt, delivery_id) <= longest


async def test_an_answer_that_comes_after_the_claim_was_taken_by_another_changes_nothing(
    rt: Runtime, tenant: str
) -> None:
    async with listening() as receiver:
        delivery_id = await queued(rt, tenant, receiver.url)
        async with rt.transaction() as session:
            (late,) = await webhooks.take_due(session, rt.settings, 9)
        await set_delivery(rt, delivery_id, next_attempt_at=func.now())
        async with rt.transaction() as session:
            assert await webhooks.take_due(session, rt.settings, 9)
        await webhooks.deliver(rt, late)
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
    async with rt.transaction() as session:
        await jobs.retry(session, tenant, job_id)
    await driving.run(rt, job_id)
    async with rt.transaction() as session:
        events = await session.execute(select(WebhookDelivery.event, WebhookDelivery.run).order_by(WebhookDelivery.run))
    assert [tuple(row) for row in events] == [("document.failed", 1), ("document.failed", 2)]


async def test_a_cancelled_job_says_so(rt: Runtime, tenant: str) -> None:
    accepted = await driving.accept(rt, tenant, "Some text.", callback_url="http://example.com/")
    async with rt.transaction() as session:
        await jobs.cancel(session, tenant, accepted.details.job.id)
        assert (await session.scalars(select(WebhookDelivery.event))).all() == ["document.cancelled"]


async def test_a_failure_carries_its_reason(rt: Runtime, tenant: str) -> None:
    delivery_id = await queued(rt, tenant, "http://example.com/", " \n ")
    payload = json.loads((await stored(rt, delivery_id)).payload)
    assert (payload["type"], payload["data"]["error"]["code"]) == ("document.failed", "no_text")


async def taken(rt: Runtime, room: int, busy: list[str] | None = None) -> list[str]:
    async with rt.transaction() as session:
        return [each.id for each in await webhooks.take_due(session, rt.settings, room, busy or [])]


async def test_due_deliveries_are_taken_once_and_no_more_than_there_is_room(rt: Runtime, tenant: str) -> None:
    ids = [await queued(rt, tenant, "http://example.com/", f"Text {number}.") for number in range(3)]
    first = await taken(rt, 2)
    assert len(first) == 2
    assert sorted(first + await taken(rt, 9)) == ids
    assert await taken(rt, 9) == []
    await set_delivery(rt, ids[0], next_attempt_at=func.now() - timedelta(seconds=1))
    await set_delivery(rt, ids[1], next_attempt_at=func.now() + timedelta(seconds=1))
    await set_delivery(rt, ids[2], next_attempt_at=func.now() - timedelta(seconds=1), state="delivered")
    assert await taken(rt, 9) == [ids[0]]


async def test_a_receiver_with_a_long_backlog_leaves_room_for_the_others(rt: Runtime, tenant: str) -> None:
    slow = [await queued(rt, tenant, f"http://slow.example:81/{number}", f"Slow {number}.") for number in range(6)]
    other = await queued(rt, tenant, "http://quick.example/", "Quick.")
    same_name = await queued(rt, tenant, "http://Slow.example:82/", "Another port.")
    assert sorted(await taken(rt, 9)) == sorted([*slow[:4], other, same_name])
    for busy, expected in ((["slow.example:81"] * 4, []), (["slow.example:81"] * 3 + ["quick.example"], slow[4:5])):
        assert await taken(rt, 9, busy) == expected
    assert await taken(rt, 9) == slow[5:]


# -- where they must not go ----------------------------------------------------------------------------------

NOT_PUBLIC = """
0.0.0.0 10.0.0.1 100.64.0.1 100.127.255.254 127.0.0.1 127.1.2.3 169.254.169.254 172.16.0.1 192.0.0.1 192.0.2.1
192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1 64:ff9b::7f00:1
64:ff9b:1::1 100::1 2001:db8::1 2002:7f00:1::1 2001::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1 4000::1 8000::1
""".split()  # noqa: SIM905  a table is easier to read


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(Invalid, match="url_not_allowed"):
        check_url(f"http://{host}/", allow_private=False)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_a_public_address_is_accepted(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "http:///path",
        "http://user@example.com/",
        "http://user:secret@example.com/",
        "http://example.com\\@127.0.0.1/",
        "http://127。0。0。1/",
        "http://localhost/",
        "http://a.localhost/",
        "http://LOCALHOST/",
        "http://localhost./",
        "http://metadata.google.internal/",
        "http://printer.local/",
        "http://example.com:6379/",
        "http://example.com:0/",
        "http://example.com:99999/",
        "http://[::1/",
        "example.com/hook",
        "",
    ],
)
def test_a_url_that_can_be_refused_at_once_is(url: str) -> None:
    with pytest.raises(Invalid, match="url_not_allowed"):
        check_url(url, allow_private=False)


@pytest.mark.parametrize("url", ["https://example.com/hook", "http://example.com:8080/a?b=c", "http://1.1.1.1/"])
def test_an_ordinary_url_is_accepted(url: str) -> None:
    check_url(url, allow_private=False)


@pytest.mark.parametrize("host", ["127.1", "0x7f000001", "2130706433", "0", "017700000001", "localhost.", "localhost"])
async def test_other_spellings_of_loopback_are_refused_when_they_are_resolved(host: str) -> None:
    async with listening() as receiver:
        with pytest.raises((Invalid, OSError)):
            await GuardedBackend(allow_private=False).connect_tcp(host, receiver.port, timeout=2)
    assert receiver.requests == []


Answers = Callable[[int], list[str]]


@pytest.fixture
def resolving(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answers], list[str]]:
    """Makes names resolve to what a function of the call's number says; returns the names asked for."""

    def install(answers: Answers) -> list[str]:
        asked: list[str] = []

        async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
            asked.append(host)
            found = [host] if host[0].isdigit() or ":" in host else answers(len(asked))
            family = {True: socket.AF_INET6, False: socket.AF_INET}
            return [(family[":" in each], socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        return asked

    return install


@pytest.mark.parametrize("found", [["127.0.0.1"], ["1.1.1.1", "127.0.0.1"], ["2606:4700::1111", "fe80::1%eth0"]])
async def test_a_name_with_any_address_that_is_not_public_gets_no_connection(
    rt: Runtime, tenant: str, resolving: Callable[[Answers], list[str]], found: list[str]
) -> None:
    rt = replace(rt, settings=rt.settings.model_copy(update={"webhook_allow_private": False}))
    async with listening() as receiver:
        delivery_id = await queued(rt, tenant, f"http://hook.example:{receiver.port}/")
        resolving(lambda _: found)
        assert await attempt_due(rt) == 1
    assert receiver.requests == []
    delivery = await stored(rt, delivery_id)
    assert (delivery.state, delivery.response_status) == ("pending", None)
    assert "url_not_allowed" in (delivery.error or "")


async def test_a_name_is_resolved_once_so_that_it_cannot_change_its_mind(
    monkeypatch: pytest.MonkeyPatch, resolving: Callable[[Answers], list[str]]
) -> None:
    """The first answer is public, every later one is loopback; only the first may be connected to."""
    asked = resolving(lambda call: ["1.1.1.1"] if call == 1 else ["127.0.0.1"])
    connected: list[str] = []

    async def connect(_: object, host: str, *_more: object) -> object:
        connected.append(host)
        return object()

    monkeypatch.setattr("httpcore2.AnyIOBackend.connect_tcp", connect)
    await GuardedBackend(allow_private=False).connect_tcp("rebind.example", 80, timeout=1)
    assert (asked, connected) == (["rebind.example"], ["1.1.1.1"])


async def test_a_name_with_several_addresses_is_tried_at_the_next_when_one_does_not_answer(
    rt: Runtime, tenant: str, resolving: Callable[[Answers], list[str]]
) -> None:
    async with listening() as receiver:
        delivery_id = await queued(rt, tenant, f"http://hook.example:{receiver.port}/")
        resolving(lambda _: ["::1", "127.0.0.2", "127.0.0.1"])
        assert await attempt_due(rt) == 1
    assert (await stored(rt, delivery_id)).state == "delivered"
    assert receiver.requests[0][1]["host"] == f"hook.example:{receiver.port}"
