"""API keys over the API: which key can create which, what each allows, and when it ends."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from api.app import create_app
from footnote.models import ApiKey
from footnote.runtime import Runtime
from footnote.settings import Settings
from footnote.tenancy import keys, tenants, usage
from footnote.tenancy.keys import Budget
from footnote.tenancy.usage import UsageEntry
from tests import ROOT
from tests.api.test_errors import problem
from tests.conftest import Person

pytestmark = pytest.mark.anyio
SECURITY = (ROOT / "docs" / "security.md").read_text()


async def made(person: Person, **body: Any) -> dict[str, Any]:
    answer = await person.client.post("/v1/keys", json={"name": "another", **body})
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    return found


def using(secret: str) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {secret}"}}


async def key_with(rt: Runtime, person: Person, *scopes: str, **options: Any) -> str:
    async with rt.transaction() as session:
        return (await keys.create(session, person.tenant_id, "made", scopes, **options))[1]


async def test_a_key_is_made_listed_used_and_revoked(alice: Person, charlie: Person) -> None:
    key = await made(alice, name="robot", scopes=["read"], rates={"query": 7}, budget={"usd": "1.5"})
    secret = key.pop("secret")
    assert secret.startswith(key["prefix"] + "_")
    assert (key["scopes"], key["rates"], key["budget"]) == (["read"], {"query": 7}, {"usd": 1.5, "tokens": None})
    assert key["last_used_at"] is key["revoked_at"] is key["expires_at"] is None

    assert (await alice.client.get("/v1/documents", **using(secret))).status_code == 200
    listed = (await alice.client.get("/v1/keys")).json()
    used = listed["data"][0]["last_used_at"]
    assert used is not None
    assert listed["data"][0] == {**key, "last_used_at": used}
    assert secret not in str(listed)
    assert [each["name"] for each in listed["data"][1:]] == ["bob", "alice"]

    problem(await charlie.client.delete(f"/v1/keys/{key['id']}"), 404, "key_not_found")
    ended = (await alice.client.delete(f"/v1/keys/{key['id']}")).json()
    assert ended["revoked_at"] is not None
    problem(await alice.client.get("/v1/documents", **using(secret)), 401, "invalid_api_key")
    assert (await alice.client.delete(f"/v1/keys/{key['id']}")).json() == ended


async def test_keys_come_in_pages(alice: Person) -> None:
    first = (await alice.client.get("/v1/keys?limit=1")).json()
    rest = (await alice.client.get("/v1/keys", params={"cursor": first["next_cursor"]})).json()
    assert [each["name"] for each in first["data"] + rest["data"]] == ["bob", "alice"]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "a\x00"},
        {"scopes": []},
        {"scopes": ["root"]},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "2090-01-01T00:00:00"},
        {"rates": {"query": -1}},
        {"rates": {"everything": 1}},
        {"budget": {"usd": -1}},
        {"budget": {"usd": "NaN"}},
        {"budget": {"euro": 1}},
    ],
)
async def test_keys_that_cannot_be(alice: Person, body: dict[str, Any]) -> None:
    problem(await alice.client.post("/v1/keys", json={"name": "x", **body}), 422, "invalid_request")


async def test_no_key_makes_one_that_may_more(rt: Runtime, alice: Person, bob: Person) -> None:
    problem(await bob.client.post("/v1/keys", json={"name": "x", "scopes": ["read"]}), 403, "missing_scope")

    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    mortal = await key_with(rt, alice, "admin", expires_at=ends)
    for asked, given in ((None, ends), (ends + timedelta(1), ends), (ends - timedelta(0, 60), ends - timedelta(0, 60))):
        body = {"name": "x", "scopes": ["admin"], "expires_at": asked and asked.isoformat()}
        answer = await alice.client.post("/v1/keys", json=body, **using(mortal))
        assert datetime.fromisoformat(answer.json()["expires_at"]) == given

    for limits in ({"budget": Budget(tokens=5)}, {"rates": {"query": 5}}):
        limited = await key_with(rt, alice, "admin", **limits)
        answer = await alice.client.post("/v1/keys", json={"name": "x", "scopes": ["read"]}, **using(limited))
        problem(answer, 403, "limited_key")

    most = rt.settings.queries_per_minute
    for rate, status in ((0, 403), (most + 1, 403), (most, 201)):
        answer = await alice.client.post("/v1/keys", json={"name": "x", "rates": {"query": rate}})
        assert answer.status_code == status, "an administrator of a tenant would lift the operator's limits"


async def test_use_is_recorded_once_a_minute_without_waiting_for_locks(committing_rt: Runtime) -> None:
    rt = committing_rt
    async with rt.transaction() as session:
        tenant_id = (await tenants.create(session, "ours")).id
        key, secret = await keys.create(session, tenant_id, "first")

    async def used() -> datetime | None:
        async with asyncio.timeout(20):  # a lock would be waited for longer
            await keys.verify(rt, secret)
        async with rt.transaction() as session:
            return (await session.get_one(ApiKey, key.id)).last_used_at

    async def put(ago: float) -> datetime:
        async with rt.transaction() as session:
            then = datetime.now(UTC) - timedelta(seconds=ago)
            await session.execute(update(ApiKey).where(ApiKey.id == key.id).values(last_used_at=then))
            return then

    async with rt.transaction() as session:  # another process is about to record it
        await session.get_one(ApiKey, key.id, with_for_update=True)
        assert await used() is None
    assert await used() is not None
    recent = await put(50)
    assert await used() == recent
    old = await put(70)
    again = await used()
    assert again is not None
    assert again > old


async def test_a_budget_ends_questions_and_uploads_of_the_key(rt: Runtime, alice: Person) -> None:
    priced = rt.settings.model_copy(
        update={"prices": Settings(_env_file=None, prices={"m": {"input": 1, "output": 1}}).prices}
    )
    for budget, spent in ((Budget(tokens=1000), 999), (Budget(usd=Decimal("0.001")), 999)):
        secret = await key_with(rt, alice, "read", "write", budget=budget)
        key_id = (await keys.verify(rt, secret)).principal.key_id

        async def spend(tokens: int, key_id: str = key_id) -> None:
            async with rt.for_tenant(alice.tenant_id).transaction() as session:
                one = UsageEntry("generation", "p", "m", tokens)
                await usage.record(session, priced, key_id, one)

        await spend(spent)
        search = {"query": "anything"}
        assert (await alice.client.post("/v1/search", json=search, **using(secret))).status_code == 200
        await spend(1)
        for path, body in (("/v1/search", search), ("/v1/documents/text", {"text": "x"})):
            problem(await alice.client.post(path, json=body, **using(secret)), 403, "quota_exceeded")
        assert (await alice.client.get("/v1/documents", **using(secret))).status_code == 200
        assert (await alice.client.post("/v1/search", json=search)).status_code == 200, "only this key"


# -- the table of docs/security.md ---------------------------------------------------------------------------


def _operations() -> list[tuple[str, str]]:
    paths: dict[str, dict[str, Any]] = create_app(Settings(_env_file=None)).openapi()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


async def test_each_scope_opens_what_the_table_says(rt: Runtime, alice: Person) -> None:
    documented = {
        (method, path): scope
        for scope, named in re.findall(r"^\| `?(no key|any key|read|write|admin)`? \| (.*) \|$", SECURITY, re.MULTILINE)
        for methods, path in re.findall(r"`([A-Z, ]+) (/\S*)`", named)
        for method in methods.split(", ")
    }
    scopes = {scope: await key_with(rt, alice, scope) for scope in ("read", "write")}
    opened = {each: await _opened_by(alice, scopes, *each) for each in _operations()}
    assert opened == documented


async def _opened_by(alice: Person, secrets: dict[str, str], method: str, path: str) -> str:
    """The least that opens the route; the ids are unknown, and the bodies are none."""
    path = re.sub(r"\{\w+\}", "1", path)
    transport = alice.client._transport
    opens = set()
    async with httpx2.AsyncClient(transport=transport, base_url="http://footnote") as stranger:
        if (await stranger.request(method, path)).status_code != 401:
            return "no key"
        for scope, secret in secrets.items():
            answer = await stranger.request(method, path, **using(secret))
            assert answer.status_code != 401
            if answer.status_code != 403 or answer.json()["code"] != "missing_scope":
                opens.add(scope)
    return "any key" if len(opens) == 2 else opens.pop() if opens else "admin"
