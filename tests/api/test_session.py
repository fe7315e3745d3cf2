"""Sessions of browsers: how they begin and end, and which requests their cookie counts for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select, update

from api.app import create_app
from footnote.models import AuditEvent, BrowserSession, Installation
from footnote.runtime import Runtime
from footnote.tenancy import keys, sessions
from tests.api.test_errors import problem
from tests.api.test_keys import key_with, using
from tests.conftest import Person

pytestmark = pytest.mark.anyio

PAGE = {"Sec-Fetch-Site": "same-origin", "X-Footnote": "ui"}
SESSION = "/v1/session"


@asynccontextmanager
async def browser(alice: Person, base_url: str = "http://footnote") -> AsyncIterator[httpx2.AsyncClient]:
    """A browser without a key, which does not send what our page would send."""
    transport = alice.client._transport
    async with httpx2.AsyncClient(transport=transport, base_url=base_url) as client:
        yield client


async def code_of(person: Person) -> str:
    answer = await person.client.post(f"{SESSION}/codes")
    assert answer.status_code == 201, answer.text
    return str(answer.json()["code"])


async def cookie_of(client: httpx2.AsyncClient, headers: dict[str, str] = PAGE, **proof: str) -> str:
    """As a browser would send it; opens a session."""
    answer = await client.post(SESSION, json=proof, headers=headers)
    assert answer.status_code == 201, answer.text
    client.cookies.clear()
    ((name, morsel),) = SimpleCookie(answer.headers["set-cookie"]).items()
    return f"{name}={morsel.value}"


async def test_a_code_opens_a_session_once(rt: Runtime, alice: Person) -> None:
    code = await code_of(alice)
    async with browser(alice) as client:
        answer = await client.post(SESSION, json={"code": code}, headers=PAGE)
        assert answer.json()["scopes"] == ["read", "write", "admin"]
        ((name, morsel),) = SimpleCookie(answer.headers["set-cookie"]).items()
        client.cookies.clear()
        async with rt.transaction() as session:
            assert name == f"__Host-footnote-{await session.scalar(select(Installation.id))}"
            stored = (await session.scalars(select(BrowserSession))).one()
        assert morsel.value not in (code, stored.secret_sha256.hex())
        told = {name.lower(): value for name, value in morsel.items() if value}
        expected = {"path": "/", "secure": True, "httponly": True, "samesite": "strict"}
        assert told == expected | {"max-age": str(30 * 24 * 3600)}
        problem(await client.post(SESSION, json={"code": code}, headers=PAGE), 401, "invalid_api_key")
        again = await client.get("/v1/documents", headers=PAGE | {"Cookie": f"{name}={morsel.value}"})
        assert again.status_code == 200


async def test_a_code_ends_after_a_minute_and_two_browsers_do_not_share_it(rt: Runtime, alice: Person) -> None:
    old = await code_of(alice)
    async with rt.transaction() as session:
        past = datetime.now(UTC) - timedelta(hours=1)
        await session.execute(update(BrowserSession).values(expires_at=past))
    async with browser(alice) as client:
        problem(await client.post(SESSION, json={"code": old}, headers=PAGE), 401)
        code = await code_of(alice)
        both = await asyncio.gather(*(client.post(SESSION, json={"code": code}, headers=PAGE) for _ in range(2)))
        assert sorted(each.status_code for each in both) == [201, 401]


async def test_a_key_opens_a_session_with_its_scopes(alice: Person, bob: Person) -> None:
    async with browser(alice) as client:
        cookie = {"Cookie": await cookie_of(client, key=bob.key)}
        mine = (await client.get(SESSION, headers=PAGE | cookie)).json()
        assert (mine["key_name"], mine["tenant"], mine["scopes"]) == ("bob", "ours", ["read"])
        assert {".pdf", ".md"} <= set(mine["server"]["formats"])
        refused = await client.post("/v1/documents/text", json={"text": "x"}, headers=PAGE | cookie)
        problem(refused, 403, "missing_scope")
        problem(await client.post(SESSION, json={"key": "fn_wrong_key"}, headers=PAGE), 401)
        problem(await client.post(SESSION, json={}, headers=PAGE), 422)


# What counts as a request of our page; `own`: with the header that a page of ours adds.
FROM_ELSEWHERE: list[dict[str, str]] = [
    {},
    {"X-Footnote": "ui"},
    {"Sec-Fetch-Site": "cross-site", "X-Footnote": "ui"},
    {"Sec-Fetch-Site": "same-site", "X-Footnote": "ui"},
    {"Sec-Fetch-Site": "none", "X-Footnote": "ui"},
    {"Origin": "http://evil.example", "X-Footnote": "ui"},
    {"Origin": "http://footnote:81", "X-Footnote": "ui"},
    {"Origin": "null", "X-Footnote": "ui"},
    {"Referer": "http://evil.example/footnote", "X-Footnote": "ui"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://footnote", "X-Footnote": "ui"},
]


@pytest.mark.parametrize("headers", FROM_ELSEWHERE, ids=str)
async def test_a_cookie_counts_for_no_other_page(alice: Person, headers: dict[str, str]) -> None:
    async with browser(alice) as client:
        secure = {"Cookie": await cookie_of(client, key=alice.key)}
        plain = {"Cookie": await cookie_of(client, {"Origin": "http://footnote", "X-Footnote": "ui"}, key=alice.key)}
        for cookie in (secure, plain):
            for method, path in (("GET", "/v1/documents"), ("POST", "/v1/documents/text")):
                answer = await client.request(method, path, headers=headers | cookie, json={"text": "x"})
                problem(answer, 401, "invalid_api_key")
        problem(await client.post(SESSION, json={"key": alice.key}, headers=headers), 403, "cross_origin")


async def test_a_change_needs_the_header_of_the_page(alice: Person) -> None:
    async with browser(alice) as client:
        cookie = {"Cookie": await cookie_of(client, key=alice.key), "Sec-Fetch-Site": "same-origin"}
        assert (await client.get("/v1/documents", headers=cookie)).status_code == 200, "as a picture asks"
        text = {"text": "x"}
        problem(await client.post("/v1/documents/text", json=text, headers=cookie), 401)
        problem(await client.post("/v1/documents/text", json=text, headers=cookie | {"X-Footnote": "no"}), 401)
        assert (await client.post("/v1/documents/text", json=text, headers=cookie | PAGE)).status_code == 202


async def test_pages_that_may_call_with_a_key_cannot_use_the_cookie(rt: Runtime, alice: Person) -> None:
    origin = "https://app.example.com"
    chosen = rt.settings.model_copy(update={"cors_origins": origin})
    app = create_app(runtime=Runtime(**{**vars(rt), "settings": chosen}))
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://footnote") as client,
    ):
        cookie = {"Cookie": await cookie_of(client, key=alice.key)}
        asked = cookie | {"Origin": origin, "Sec-Fetch-Site": "cross-site", "X-Footnote": "ui"}
        problem(await client.get("/v1/documents", headers=asked), 401)
        preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        preflight["Access-Control-Request-Headers"] = "x-footnote"
        assert (await client.options("/v1/documents/text", headers=preflight)).status_code == 400


async def test_over_http_to_another_host_an_origin_of_ours_counts(alice: Person) -> None:
    """Browsers send no `Sec-Fetch-Site` there, and would not store a cookie with `Secure`."""
    page = {"Origin": "http://footnote", "X-Footnote": "ui"}
    async with browser(alice) as client:
        answer = await client.post(SESSION, json={"key": alice.key}, headers=page)
        client.cookies.clear()
        ((name, morsel),) = SimpleCookie(answer.headers["set-cookie"]).items()
        assert name.startswith("footnote-")
        assert (morsel["secure"], morsel["httponly"], morsel["samesite"]) == ("", True, "strict")
        cookie = {"Cookie": f"{name}={morsel.value}"}
        assert (await client.get("/v1/documents", headers=cookie | page)).status_code == 200
        picture = {"Referer": "http://footnote/c/cnv_1"}
        assert (await client.get("/v1/documents", headers=cookie | picture)).status_code == 200
        text = await client.post("/v1/documents/text", json={"text": "x"}, headers=cookie | picture)
        problem(text, 401)


async def test_a_revoked_key_ends_its_sessions(rt: Runtime, alice: Person) -> None:
    secret = await key_with(rt, alice, "read")
    async with browser(alice) as client:
        cookie = PAGE | {"Cookie": await cookie_of(client, key=secret)}
        assert (await client.get("/v1/documents", headers=cookie)).status_code == 200
        key_id = (await keys.verify(rt, secret)).principal.key_id
        await alice.client.delete(f"/v1/keys/{key_id}")
        problem(await client.get("/v1/documents", headers=cookie), 401, "invalid_api_key")


async def test_a_session_ends_when_it_is_idle_or_old(rt: Runtime, alice: Person) -> None:
    async with browser(alice) as client:
        cookie = PAGE | {"Cookie": await cookie_of(client, key=alice.key)}
        for column, ago in (("used_at", timedelta(hours=13)), ("expires_at", timedelta(hours=1))):
            async with rt.transaction() as session:
                before = await session.scalar(select(getattr(BrowserSession, column)))
                await session.execute(update(BrowserSession).values({column: datetime.now(UTC) - ago}))
            problem(await client.get("/v1/documents", headers=cookie), 401, "invalid_api_key")
            async with rt.transaction() as session:
                await session.execute(update(BrowserSession).values({column: before}))
            assert (await client.get("/v1/documents", headers=cookie)).status_code == 200
        async with rt.transaction() as session:
            await session.execute(update(BrowserSession).values(used_at=datetime.now(UTC) - timedelta(hours=13)))
            await sessions.purge(session)
            assert await session.scalar(select(func.count()).select_from(BrowserSession)) == 0


async def test_use_is_noted_to_the_minute(rt: Runtime, alice: Person) -> None:
    async with browser(alice) as client:
        cookie = PAGE | {"Cookie": await cookie_of(client, key=alice.key)}
        async with rt.transaction() as session:
            await session.execute(update(BrowserSession).values(used_at=datetime.now(UTC) - timedelta(hours=11)))
        assert (await client.get("/v1/documents", headers=cookie)).status_code == 200
        async with rt.transaction() as session:
            used = await session.scalar(select(BrowserSession.used_at))
            assert used is not None
            assert datetime.now(UTC) - used < timedelta(minutes=5)


async def test_logging_out_ends_the_session_and_takes_the_cookie(rt: Runtime, alice: Person) -> None:
    async with browser(alice) as client:
        cookie = PAGE | {"Cookie": await cookie_of(client, key=alice.key)}
        answer = await client.delete(SESSION, headers=cookie)
        assert answer.json() == {"ended": True}
        assert "Max-Age=0" in answer.headers["set-cookie"]
        client.cookies.clear()
        problem(await client.get("/v1/documents", headers=cookie), 401)
    assert (await alice.client.delete(SESSION)).json() == {"ended": False}


async def test_a_session_makes_neither_tokens_nor_sessions(alice: Person) -> None:
    async with browser(alice) as client:
        cookie = PAGE | {"Cookie": await cookie_of(client, key=alice.key)}
        for path in ("/v1/tokens", f"{SESSION}/codes"):
            problem(await client.post(path, headers=cookie), 401)
    token = (await alice.client.post("/v1/tokens")).json()["access_token"]
    problem(await alice.client.post(f"{SESSION}/codes", **using(token)), 401)


async def test_a_key_beside_a_cookie_counts(alice: Person, charlie: Person) -> None:
    async with browser(alice) as client:
        cookie = {"Cookie": await cookie_of(client, key=alice.key)}
        both = PAGE | cookie | {"Authorization": f"Bearer {charlie.key}"}
        assert (await client.get(SESSION, headers=both)).json()["key_name"] == "charlie"


async def test_installations_on_one_host_keep_their_cookies_apart(rt: Runtime, alice: Person) -> None:
    """A browser sends both cookies to both, because cookies do not know ports."""
    async with browser(alice) as client:
        cookie = await cookie_of(client, key=alice.key)
        name, _, secret = cookie.partition("=")
        other = f"{name[:-12]}{'0' * 12}={secret[::-1]}"
        both = PAGE | {"Cookie": f"{other}; {cookie}"}
        assert (await client.get("/v1/documents", headers=both)).status_code == 200
        alone = PAGE | {"Cookie": other}
        problem(await client.get("/v1/documents", headers=alone), 401, "invalid_api_key")


async def test_sessions_are_in_the_audit_log(rt: Runtime, alice: Person) -> None:
    mine = (await alice.client.get(SESSION)).json()["key_id"]
    async with browser(alice) as client:
        opened: list[dict[str, Any]] = [{"code": await code_of(alice)}, {"key": alice.key}]
        for proof in opened:
            cookie = PAGE | {"Cookie": await cookie_of(client, PAGE, **proof)}
            await client.delete(SESSION, headers=cookie)
            client.cookies.clear()
    async with rt.transaction() as session:
        of_sessions = select(AuditEvent).where(AuditEvent.action.like("session.%")).order_by(AuditEvent.id)
        found: list[Any] = list((await session.scalars(of_sessions)).all())
    assert [each.action.partition(".")[2] for each in found] == ["code_issued", *["opened", "ended"] * 2]
    assert {(each.actor, each.tenant_id) for each in found} == {(mine, alice.tenant_id)}
