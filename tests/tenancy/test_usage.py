"""What is counted, and what it costs."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import func, update

from footnote.database.tenant_scope import scoped
from footnote.errors import Unavailable
from footnote.models import UsageOfDay
from footnote.providers import GenerationRequest, GeneratorEvent, ModelRef, Token, Uncounted, Usage
from footnote.runtime import Runtime
from footnote.settings import Price, Settings, variable
from footnote.tenancy import keys, usage
from footnote.tenancy.usage import UsageEntry, UsageMeter
from tests import driving
from tests.api.test_errors import problem
from tests.conftest import Person
from tests.driving import paragraphs, set_job
from tests.fakes import FakeGenerator

pytestmark = pytest.mark.anyio
PRICES = {"fake-64": Price(input=Decimal(20)), "fake-chat": Price(input=Decimal(1000), output=Decimal("2000.5"))}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"prices": PRICES})


@pytest.fixture
def embedder(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One that is asked over a network, and paid."""
    monkeypatch.setattr(type(rt.embedder), "address", "http://somewhere")
    return rt.embedder


async def report(person: Person, *groups: str, **days: str) -> list[dict[str, Any]]:
    answer = await person.client.get("/v1/usage", params={"group": list(groups), **days})
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


def counted(embedder: Any) -> int:
    return sum(embedder.count_tokens(text) for batch in embedder.seen for text in batch)


async def test_every_batch_is_counted_once_however_often_it_is_tried(rt: Runtime, alice: Person, embedder: Any) -> None:
    form = {"file": ("a.txt", paragraphs(10).encode())}
    job_id = (await alice.client.post("/v1/documents", files=form)).json()["job"]["id"]

    def failing(_texts: list[str]) -> None:
        if len(embedder.seen) == 2:
            raise Unavailable("provider_unavailable")

    embedder.before = failing
    assert (await driving.run(rt, job_id)).state == "waiting"
    embedder.before = lambda _texts: None
    await set_job(rt, job_id, next_attempt_at=func.now())
    assert (await driving.run(rt, job_id)).state == "succeeded"
    assert (await alice.client.post("/v1/documents", files=form)).json()["deduplicated"]
    tokens = counted(embedder)
    accepted, row = await report(alice, "key", "model")
    assert (accepted["documents"], accepted["provider"]) == (1, "")
    empty = {"queries": 0, "prompt_tokens": 0, "completion_tokens": 0}
    assert row["embedding_tokens"] == tokens > 0
    assert row["cost"] == pytest.approx(tokens * 20 / 1_000_000)
    assert row.items() >= {"documents": 0, "provider": "fake", "model": "fake-64", "key_name": "alice", **empty}.items()


async def test_answers_say_what_they_cost_and_are_counted_by_key(
    rt: Runtime, alice: Person, bob: Person, charlie: Person, embedder: Any
) -> None:
    await driving.ready(rt, alice.tenant_id, "The lamp of Fairhaven burns colza oil.")
    before = counted(embedder)
    answer = await bob.client.post("/v1/query", json={"question": "Which oil does the lamp burn?"})
    spent = {"prompt_tokens": 11, "completion_tokens": 7, "cost": pytest.approx((11 * 1000 + 7 * 2000.5) / 1_000_000)}
    assert answer.json()["usage"] == spent
    await alice.client.post("/v1/search", json={"query": "oil"})
    unanswered = await alice.client.post("/v1/query", json={"question": "zebra quagga okapi"})
    assert unanswered.json()["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "cost": 0}
    rows = {row["key_name"]: row for row in await report(alice, "key")}
    assert {name: (row["documents"], row["queries"], row["prompt_tokens"]) for name, row in rows.items()} == {
        None: (1, 0, 0),
        "bob": (0, 1, 11),
        "alice": (0, 2, 0),
    }
    assert rows["bob"]["embedding_tokens"] + rows["alice"]["embedding_tokens"] == counted(embedder) - before
    assert await report(charlie, "day", "key") == []
    problem(await bob.client.get("/v1/usage"), 403, "missing_scope")


async def queries(rt: Runtime, tenant_id: str) -> int:
    """As written in the database."""
    async with rt.for_tenant(tenant_id).transaction() as session:
        return sum(row.calls for row in await session.scalars(scoped(session, UsageOfDay).filter_by(kind="query")))


async def test_a_process_counts_in_memory_and_writes_each_second_and_at_its_end(
    committing_rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = committing_rt
    ours, theirs = await driving.new_tenant(rt), await driving.new_tenant(rt)
    monkeypatch.setattr(usage, "WRITTEN_AFTER", 0.05)
    async with usage.writing(rt) as counting:
        for tenant in (ours, ours, theirs):
            await usage.record_apart(counting.for_tenant(tenant), "key_1", UsageEntry("query"))
        async with asyncio.timeout(60):
            while (await queries(rt, ours), await queries(rt, theirs)) != (2, 1):
                await asyncio.sleep(0.02)
        monkeypatch.setattr(usage, "WRITTEN_AFTER", 3600.0)
        await asyncio.sleep(0.2)
        await usage.record_apart(counting.for_tenant(ours), "key_1", UsageEntry("query"))
        assert await queries(rt, ours) == 2
    assert await queries(rt, ours) == 3


async def test_the_counts_of_a_deleted_tenant_go_with_it_and_those_of_others_are_written(
    committing_rt: Runtime,
) -> None:
    rt = committing_rt
    ours = await driving.new_tenant(rt)
    async with usage.writing(rt) as counting:
        for tenant in ("ten_gone", ours):
            await usage.record_apart(counting.for_tenant(tenant), "key_1", UsageEntry("query"))
    assert await queries(rt, ours) == 1


async def test_a_budget_is_compared_with_what_this_process_has_not_written_yet(
    rt: Runtime, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = replace(rt, unwritten_usage={})
    monkeypatch.setattr(alice.client._transport.app.state, "runtime", counting)  # type: ignore[attr-defined]
    async with rt.transaction() as session:
        key, secret = await keys.create(session, alice.tenant_id, "limited", budget=keys.Budget(tokens=10))
    given: Any = {"json": {"query": "anything"}, "headers": {"Authorization": f"Bearer {secret}"}}
    for tokens, status in ((9, 200), (1, 403)):
        spent = UsageEntry("generation", "p", "m", tokens)
        await usage.record_apart(counting.for_tenant(alice.tenant_id), key.id, spent)
        assert (await alice.client.post("/v1/search", **given)).status_code == status


async def test_what_an_answer_spent_before_it_broke_off_is_counted(
    rt: Runtime, alice: Person, embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await driving.ready(rt, alice.tenant_id, "The lamp of Fairhaven burns colza oil.")
    before = counted(embedder)

    async def failing(_self: Any, _request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        yield Usage(11, 7)
        raise Unavailable("provider_unavailable")

    monkeypatch.setattr(FakeGenerator, "generate", failing)
    problem(await alice.client.post("/v1/query", json={"question": "Which oil does the lamp burn?"}), 503)
    [row] = [row for row in await report(alice, "key") if row["key_name"] == "alice"]
    assert (row["queries"], row["prompt_tokens"], row["completion_tokens"]) == (0, 11, 7)
    assert row["embedding_tokens"] == counted(embedder) - before > 0


async def test_what_no_provider_counted_is_unknown_to_the_asker_and_estimated_for_budgets(
    rt: Runtime, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    await driving.ready(rt, alice.tenant_id, "The lamp of Fairhaven burns colza oil.")

    async def uncounted(_self: Any, _request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        yield Token('Colza oil [1: "burns colza oil"].')
        yield Uncounted(Usage(40, None), 40, 9)

    monkeypatch.setattr(FakeGenerator, "generate", uncounted)
    asked = {"question": "Which oil does the lamp burn?"}
    answer = (await alice.client.post("/v1/query", json=asked)).json()
    assert answer["usage"] == {"prompt_tokens": 40, "completion_tokens": None, "cost": None}
    made = (await alice.client.post("/v1/conversations", json={})).json()["id"]
    asked["question"] = "Which oil does the lamp of Fairhaven burn?"
    await alice.client.post(f"/v1/conversations/{made}/messages", json=asked)
    messages = (await alice.client.get(f"/v1/conversations/{made}")).json()["messages"]["data"]
    assert messages[-1]["usage"] == {"prompt_tokens": 40, "completion_tokens": None, "cost": None}
    rows = {row["model"]: row for row in await report(alice, "model")}
    assert (rows["fake-chat"]["completion_tokens"], rows["fake-chat"]["estimated"]) == (18, True)
    assert not rows[""]["estimated"]
    async with rt.for_tenant(alice.tenant_id).transaction() as session:
        assert (await usage.this_month(session)).tokens >= 2 * (40 + 9)


async def test_a_report_by_days(rt: Runtime, alice: Person) -> None:
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=days) for days in (45, 1, 0)]
    for number, day in enumerate(days):
        async with rt.for_tenant(alice.tenant_id).transaction() as session:
            await usage.record(session, rt.settings, "", *[UsageEntry("query")] * (number + 1))
            moved = update(UsageOfDay).where(UsageOfDay.tenant_id == alice.tenant_id, UsageOfDay.calls == number + 1)
            await session.execute(moved.values(day=day))

    async def queries(**asked: str) -> dict[str, int]:
        return {row["day"]: row["queries"] for row in await report(alice, "day", **asked)}

    assert await queries() == {str(days[1]): 2, str(days[2]): 3}
    assert await queries(**{"from": str(days[0]), "to": str(days[1])}) == {str(days[0]): 1, str(days[1]): 2}
    answer = await alice.client.get("/v1/usage", params={"from": str(days[0])})
    assert answer.json()["total"]["queries"] == 6
    for wrong in ({"from": "2026-02-30"}, {"from": "2026-01-02", "to": "2026-01-01"}, {"from": "2020-01-01"}):
        problem(await alice.client.get("/v1/usage", params=wrong), 422)
    problem(await alice.client.get("/v1/usage", params={"to": "0001-01-01", "from": "0001-01-02"}), 422)
    assert await queries(to="0001-01-01") == {}


async def test_what_is_known_of_the_cost_is_added_up(rt: Runtime, alice: Person) -> None:
    for prices in ({}, PRICES, {}):
        known = rt.settings.model_copy(update={"prices": prices})
        async with rt.for_tenant(alice.tenant_id).transaction() as session:
            spent = UsageEntry("generation", "fake", "fake-chat", 1000, 0)
            await usage.record(session, known, "", spent, replace(spent, model="other"))
    rows = {row["model"]: (row["prompt_tokens"], row["cost"]) for row in await report(alice, "model")}
    assert rows == {"fake-chat": (3000, 1.0), "other": (3000, None)}


def test_costs() -> None:
    settings = Settings(_env_file=None).model_copy(update={"prices": PRICES})
    assert usage.cost(settings, "fake-chat", 3, 2) == Decimal("0.007001")
    bill = UsageMeter(settings, ModelRef("fake", "fake-chat"))
    bill.take(Usage(3, 2))
    assert bill.usage == Usage(3, 2, 0.007001)
    for event in (ModelRef("other", "unknown"), Usage(1, 1)):
        bill.take(event)
    assert bill.usage == Usage(4, 3, None)
    bill.take(Uncounted(Usage(None, 1), 30, 1))
    assert bill.usage == Usage(None, 4, None)
    assert [(each.model, each.estimated) for each in bill.spent] == [
        *(("fake-chat", False), ("unknown", False), ("unknown", True))
    ]
    assert usage.cost(settings, "unknown", 3) is None
    assert usage.cost(settings, "unknown", 0) == 0


def test_prices_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTNOTE_PRICES", '{"m": {"input": 0.15}}')
    assert Settings(_env_file=None).prices == {"m": Price(input=Decimal("0.15"), output=Decimal(0))}
    for wrong in ("{", "[]", '{"m": 1}', '{"m": {"input": -1}}', '{"m": {"input": NaN}}', '{"m": {"inputs": 1}}'):
        monkeypatch.setenv("FOOTNOTE_PRICES", wrong)
        with pytest.raises(ValidationError) as refused:
            Settings(_env_file=None)
        assert variable(str(refused.value.errors()[0]["loc"][0])) == "FOOTNOTE_PRICES"
