"""Where requests to addresses that others choose must not go, however they are written."""

import asyncio
import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import cycle
from typing import Any

import httpx2
import pytest

from api.app import create_app
from footnote.errors import FootnoteError, Invalid
from footnote.outbound import guard
from footnote.outbound.guard import GuardedBackend, check_url, is_public
from footnote.runtime import Runtime
from tests import driving
from tests.conftest import Person
from tests.receiving import attempt_due, listening, queued, stored

pytestmark = pytest.mark.anyio

# Loopback or the cloud's own in every disguise. PORT is that of a receiver, which must not be reached.
AT_ONCE = r"""
http://127.0.0.1:PORT/ http://127.1.2.3:PORT/ http://127.1:PORT/ http://2130706433:PORT/ http://0x7f000001:PORT/
http://0x7f.1:PORT/ http://017700000001:PORT/ http://0177.0.0.1:PORT/ http://0:PORT/ http://0.0.0.0:PORT/
http://127.0.0.1.:PORT/ http://localhost:PORT/ http://LOCALHOST:PORT/ http://localhost.:PORT/ http://a.localhost:PORT/
http://[::1]:PORT/ http://[::]:PORT/ http://[::ffff:127.0.0.1]:PORT/ http://[::ffff:7f00:1]:PORT/
http://[::127.0.0.1]:PORT/ http://[64:ff9b::7f00:1]:PORT/ http://[64:ff9b:1::7f00:1]:PORT/ http://[2002:7f00:1::]:PORT/
http://[2001::1]:PORT/ http://[fe80::1%25lo]:PORT/ http://[fd00:ec2::254]/ http://[fec0::1]/ http://[ff02::1]/
http://169.254.169.254/latest/meta-data/ http://2852039166/ http://0xa9fea9fe/ http://100.100.100.200/
http://168.63.129.16/ http://192.0.0.192/ http://10.0.0.1/ http://172.16.0.1/ http://192.168.0.1/ http://100.64.0.1/
http://metadata.google.internal/ http://printer.local/ http://user@127.0.0.1:PORT/ http://example.com@127.0.0.1:PORT/
http://@example.com/ http://example.com\@127.0.0.1:PORT/ http://example.com\.127.0.0.1:PORT/ http://127.0.0.1:PORT\@a.com/
http://%31%32%37.0.0.1:PORT/ http://127。0。0。1:PORT/ http://①②⑦.0.0.1:PORT/ http://ｌocalhost:PORT/
ftp://127.0.0.1:PORT/ gopher://127.0.0.1:PORT/ file:///etc/passwd unix:///run/postgres.sock http+unix://%2Frun%2Fs/
http://example.com:22/ http://example.com:25/ http://example.com:6379/ http://example.com:0/ http://example.com:99999/
http:///path http://[::1/ //127.0.0.1:PORT/ 127.0.0.1:PORT example.com/hook
""".split()  # noqa: SIM905  a table is easier to read
# What must be resolved first; the names are answered below.
RESOLVED = {
    "http://inside.example:PORT/": ["127.0.0.1"],
    "http://both.example:PORT/": ["1.1.1.1", "127.0.0.1"],
    "http://six.example:PORT/": ["::1"],
    "http://mapped.example:PORT/": ["::ffff:127.0.0.1"],
    "http://linklocal.example:PORT/": ["2606:4700::1111", "fe80::1%eth0"],
    "http://metadata.example:PORT/": ["169.254.169.254"],
    "https://inside.example:PORT/": ["127.0.0.1"],
    "http://a.127.0.0.1.nip.example:PORT/": ["127.0.0.1"],
    "http://xn--localhost-0ra.example:PORT/": ["127.0.0.1"],
}

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


@pytest.mark.parametrize("url", ["https://example.com/hook", "http://example.com:8080/a?b=c", "http://1.1.1.1/"])
def test_an_ordinary_url_is_accepted(url: str) -> None:
    check_url(url, allow_private=False)


@pytest.fixture
async def tenant(rt: Runtime) -> str:
    return await driving.new_tenant(rt)


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


def test_there_are_forty_targets_and_more() -> None:
    assert len({*AT_ONCE, *RESOLVED}) >= 40


async def test_no_target_is_registered_fetched_or_called_back(rt: Runtime, alice: Person) -> None:
    """Each is refused by the guard and on the wire, and each door asks the guard."""
    app = create_app(runtime=rt)
    app.state.runtime = replace(rt, settings=rt.settings.model_copy(update={"webhook_allow_private": False}))
    transport, headers = httpx2.ASGITransport(app), {"Authorization": f"Bearer {alice.key}"}
    async with (
        listening() as receiver,
        httpx2.AsyncClient(transport=transport, base_url="http://footnote", headers=headers) as client,
    ):
        made = await client.post("/v1/webhook_endpoints", json={"url": "https://hooks.example.com/"})
        assert made.status_code == 201
        doors: Iterator[tuple[str, str, str, dict[str, Any]]] = cycle(
            [
                ("POST", "/v1/webhook_endpoints", "url", {}),
                ("PATCH", f"/v1/webhook_endpoints/{made.json()['id']}", "url", {}),
                ("POST", "/v1/documents/text", "callback_url", {"text": "Some text."}),
                ("POST", "/v1/documents/url", "url", {}),
                ("POST", "/v1/query/batch", "callback_url", {"questions": [{"question": "Who?"}], "background": True}),
            ]
        )
        for target in AT_ONCE:
            url = target.replace("PORT", str(receiver.port))
            reply = await guard.post(url, {}, b"", seconds=2, allow_private=False)
            assert (reply.status, "url_not_allowed" in str(reply.error)) == (None, True), url
            method, place, name, body = next(doors)
            answer = await client.request(method, place, json={**body, name: url})
            assert (answer.status_code, answer.json()["code"]) == (422, "url_not_allowed"), (place, url, answer.text)
    assert receiver.requests == []


def _always(found: list[str], _call: int) -> list[str]:
    return found


async def test_no_target_is_reached_by_its_name(
    monkeypatch: pytest.MonkeyPatch, resolving: Callable[["Answers"], list[str]]
) -> None:
    for scheme in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setitem(os.environ, scheme, "http://127.0.0.1:9")
    async with listening() as receiver:
        for target, found in RESOLVED.items():
            asked = resolving(partial(_always, found))
            url = target.replace("PORT", str(receiver.port))
            reply = await guard.post(url, {}, b"", seconds=2, allow_private=False)
            assert "url_not_allowed" in str(reply.error), url
            with pytest.raises(FootnoteError, match="url_not_allowed"):
                async with guard.get(url, seconds=2, allow_private=False):
                    raise AssertionError(url)
            assert len(asked) == 2, "each request resolves the name itself, and once"
    assert receiver.requests == []


async def test_proxies_of_the_environment_see_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening() as proxy, listening(b"200 OK") as receiver:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        assert (await guard.post(receiver.url, {}, b"x", seconds=5, allow_private=True)).status == 200
    assert (len(receiver.requests), proxy.requests) == (1, [])


@pytest.mark.parametrize("host", ["127.1", "0x7f000001", "2130706433", "0", "017700000001", "localhost.", "localhost"])
async def test_the_connection_itself_refuses_what_is_resolved_to_loopback(host: str) -> None:
    async with listening() as receiver:
        with pytest.raises((Invalid, OSError)):
            await GuardedBackend(allow_private=False).connect_tcp(host, receiver.port, timeout=2)
    assert receiver.requests == []


async def test_a_unix_socket_is_no_way_in() -> None:
    with pytest.raises(NotImplementedError):
        await GuardedBackend(allow_private=False).connect_unix_socket("/run/postgres.sock")
