"""What tenants may have and spend, over the API and kept in races."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select

from footnote.errors import Forbidden, Invalid, NotFound
from footnote.models import Document
from footnote.runtime import Runtime
from footnote.tenancy import quotas, tenants, usage
from footnote.tenancy.usage import UsageEntry
from tests import driving
from tests.api.test_errors import problem
from tests.api.test_headers import api_with
from tests.conftest import Person

pytestmark = pytest.mark.anyio
ASKED = {"query": "anything"}


async def set_quota(rt: Runtime, name: str = "ours", **changes: str | None) -> dict[str, Any]:
    given = {key: None if value is None else Decimal(value) for key, value in changes.items()}
    async with rt.transaction() as session:
        return await quotas.change(session, name, given)


async def add(alice: Person, text: str, **more: str) -> Any:
    return await alice.client.post("/v1/documents/text", json={"text": text, **more})


async def test_documents_and_bytes_are_kept_to_exactly(rt: Runtime, alice: Person, charlie: Person) -> None:
    await set_quota(rt, documents="2")
    assert (await add(alice, "one", external_id="a")).status_code == 202
    assert (await add(alice, "two")).status_code == 202
    refused = problem(await add(alice, "three"), 403, "quota_exceeded")
    assert refused["detail"] == "The tenant's quota of 2 documents does not allow more."
    assert (await add(charlie, "three")).status_code == 202, "another tenant's business"
    assert (await alice.client.post("/v1/search", json=ASKED)).status_code == 200

    await set_quota(rt, documents="0", bytes="11")  # six of them are there
    problem(await add(alice, "123456"), 403, "quota_exceeded")
    assert (await add(alice, "12345")).status_code == 202
    problem(await add(alice, "x"), 403, "quota_exceeded")
    async with rt.transaction() as session:
        found = await session.scalar(
            select(func.count()).select_from(Document).where(Document.tenant_id == alice.tenant_id)
        )
    assert found == 3, "nothing is left of what was refused"


async def test_what_is_used_up_is_told_before_the_body_is_read(rt: Runtime, alice: Person) -> None:
    await set_quota(rt, documents="1")
    await driving.accept(rt, alice.tenant_id, "one")
    read = 0

    async def body() -> Any:
        nonlocal read
        read += 1
        yield b"x" * 1000

    answer = await alice.client.put("/v1/uploads/a.txt", content=body())
    problem(answer, 403, "quota_exceeded")
    assert read == 0


async def test_racing_uploads_keep_to_the_quota(committing_rt: Runtime) -> None:
    rt = replace(committing_rt, settings=committing_rt.settings.model_copy(update={"quota_documents": 20}))
    async with rt.transaction() as session:
        tenant_id = (await tenants.create(session, "ours")).id
    found = await asyncio.gather(
        *(driving.accept(rt, tenant_id, f"text {n}") for n in range(50)), return_exceptions=True
    )
    assert [type(each) for each in found if isinstance(each, BaseException)] == [Forbidden] * 30


async def test_what_is_spent_in_a_month_ends_questions_and_uploads(rt: Runtime, alice: Person) -> None:
    prices = type(rt.settings)(_env_file=None, prices={"m": {"input": 1_000_000}}).prices
    async with rt.for_tenant(alice.tenant_id).transaction() as session:
        one = UsageEntry("generation", "p", "m", 5)
        await usage.record(session, rt.settings.model_copy(update={"prices": prices}), "k", one)
    for quota, status in (({"tokens": "6"}, 200), ({"tokens": "5"}, 403), ({"tokens": None, "usd": "5.5"}, 200)):
        await set_quota(rt, **quota)
        assert (await alice.client.post("/v1/search", json=ASKED)).status_code == status
    await set_quota(rt, usd="5")
    for answer in (await alice.client.post("/v1/query", json={"question": "Why?"}), await add(alice, "text")):
        problem(answer, 403, "quota_exceeded")
    assert (await alice.client.get("/v1/documents")).status_code == 200


async def test_what_is_left_is_shown(rt: Runtime, alice: Person) -> None:
    await driving.accept(rt, alice.tenant_id, "twelve bytes")
    await set_quota(rt, documents="3")
    async with api_with(rt, alice, quota_bytes=100, quota_documents=50) as client:
        shown = (await client.get("/v1/usage")).json()["quotas"]
    assert shown == {
        "documents": {"used": 1, "quota": 3, "left": 2},
        "bytes": {"used": 12, "quota": 100, "left": 88},
        "tokens": {"used": 0, "quota": None, "left": None},
        "usd": {"used": 0, "quota": None, "left": None},
    }


async def test_quotas_are_set_one_by_one(rt: Runtime, alice: Person) -> None:
    assert await set_quota(rt, documents="3", usd="1.5") == {"documents": "3", "usd": "1.5"}
    assert await set_quota(rt, documents=None, tokens="0") == {"usd": "1.5", "tokens": "0"}
    with pytest.raises(NotFound):
        await set_quota(rt, "nobody", documents="3")
    with pytest.raises(Invalid):
        await set_quota(rt, documents="-1")
