"""Answers say how many documents were searched and how many are still being ingested."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from footnote import answering
from footnote.models import Job
from footnote.retrieval import coverage
from footnote.runtime import Runtime
from tests import driving
from tests.conftest import Person

pytestmark = pytest.mark.anyio


async def searched(alice: Person, **body: Any) -> dict[str, int]:
    answer = await alice.client.post("/v1/search", json={"query": "lamp", **body})
    assert answer.status_code == 200, answer.text
    return numbers(answer.json()["searched"])


def numbers(told: dict[str, Any]) -> dict[str, int]:
    return {name: told[name] for name in ("documents", "unfinished")}


def counts(documents: int, unfinished: int) -> dict[str, int]:
    return {"documents": documents, "unfinished": unfinished}


async def test_an_empty_collection_has_a_coverage_of_zero(rt: Runtime, alice: Person) -> None:
    answer = (await alice.client.post("/v1/query", json={"question": "What of the lamp?"})).json()
    assert (answer["answer_status"], numbers(answer["searched"])) == ("not_found", counts(0, 0))
    assert answer["answer"] == answering.NOTHING_TO_SEARCH
    assert answer["evidence"] == {"found": 0.0, "needed": rt.settings.least_evidence}
    assert answer["searched"]["collections"] == []


async def test_what_was_searched_is_named(rt: Runtime, alice: Person) -> None:
    await driving.ready(rt, alice.tenant_id, driving.paragraphs(3))
    await driving.ready(rt, alice.tenant_id, "The siren of the rock.", collection="fog")
    asked = {"question": "Who won the chess championship of Reykjavik in 1972?"}
    told = (await alice.client.post("/v1/query", json=asked)).json()
    searched = told["searched"]
    assert searched["passages"] == 4
    assert (sorted(searched["collections"]), searched["filtered"]) == (["default", "fog"], False)
    assert told["answer_status"] == "not_found"
    assert 0 <= told["evidence"]["found"] < told["evidence"]["needed"]
    narrowed = {"collections": ["fog"], "filters": {"type": "exists", "key": "of", "value": False}}
    searched = (await alice.client.post("/v1/query", json=asked | narrowed)).json()["searched"]
    assert (searched["passages"], searched["collections"], searched["filtered"]) == (None, ["fog"], True)
    known = {"question": "What of the siren of the rock?"}
    unsaid = (await alice.client.post("/v1/query", json=known)).json()  # by a model that does not know
    assert (unsaid["answer_status"], unsaid["evidence"]["found"] >= unsaid["evidence"]["needed"]) == ("not_found", True)


async def test_documents_that_are_being_ingested_are_counted(rt: Runtime, alice: Person) -> None:
    tenant = alice.tenant_id
    ready = await driving.ready(rt, tenant, driving.paragraphs(3), metadata={"of": "a"})
    await driving.accept(rt, tenant, "One that waits.", metadata={"of": "b"})
    other = await driving.accept(rt, tenant, "Another one.", collection="other")
    assert await searched(alice) == counts(1, 2)
    assert await searched(alice, collections=["other"]) == counts(0, 1)
    assert await searched(alice, document_ids=[ready]) == counts(1, 0)
    assert await searched(alice, filters={"type": "eq", "key": "of", "value": "b"}) == counts(0, 1)
    assert await searched(alice, filters={"type": "eq", "key": "of", "value": "a"}, mode="keyword") == counts(1, 0)
    await driving.set_job(rt, other.details.job.id, state="failed")
    assert await searched(alice) == counts(1, 1)


async def test_a_document_that_is_replaced_is_searched_and_unfinished(rt: Runtime, alice: Person) -> None:
    await driving.ready(rt, alice.tenant_id, driving.paragraphs(3), external_id="a")
    newer = await driving.accept(rt, alice.tenant_id, driving.paragraphs(4), external_id="a")
    assert await searched(alice) == counts(1, 1)
    await driving.set_job(rt, newer.details.job.id, reingestion=True)
    assert await searched(alice) == counts(1, 0), "what is only split again lacks nothing"


async def test_every_kind_of_answer_says_so(rt: Runtime, alice: Person) -> None:
    await driving.ready(rt, alice.tenant_id, driving.paragraphs(3))
    await driving.accept(rt, alice.tenant_id, "One that waits.")
    asked = {"question": "What of the lamp?"}
    whole = (await alice.client.post("/v1/query", json=asked)).json()
    streamed = (await alice.client.post("/v1/query", json=asked | {"stream": True})).text
    events = dict(frame.split("\ndata: ", 1) for frame in streamed.replace("event: ", "").strip().split("\n\n"))
    batch = (await alice.client.post("/v1/query/batch", json={"questions": [asked]})).json()["data"][0]["answer"]
    conversation = (await alice.client.post("/v1/conversations", json={})).json()["id"]
    said = (await alice.client.post(f"/v1/conversations/{conversation}/messages", json=asked)).json()
    bodies = [whole, json.loads(events["sources"]), json.loads(events["done"]), batch, said]
    assert [numbers(each["searched"]) for each in bodies] == [counts(1, 1)] * 5


async def test_a_large_count_of_a_filter_is_remembered_and_a_small_one_is_not(
    rt: Runtime, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    filtered = {"filters": {"type": "eq", "key": "of", "value": "a"}}

    async def ready(length: int) -> None:
        await driving.ready(rt, alice.tenant_id, driving.paragraphs(length), metadata={"of": "a"})

    await ready(3)
    assert await searched(alice, **filtered) == counts(1, 0)
    await ready(4)
    monkeypatch.setattr(coverage, "LARGE", 1)
    assert await searched(alice, **filtered) == counts(2, 0)
    await ready(5)
    assert await searched(alice, **filtered) == counts(2, 0)
    assert await searched(alice) == counts(3, 0), "whole collections are not counted"
    monkeypatch.setattr(coverage, "REMEMBERED_SECONDS", 0.0)
    assert await searched(alice, **filtered) == counts(3, 0)


async def test_unfinished_jobs_are_found_by_their_index(rt: Runtime, alice: Person) -> None:
    async with rt.transaction() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        statement = f"WITH chosen(id) AS (SELECT 'col_x') {coverage.UNFINISHED.format(also='')}"
        parameters = {"tenant": alice.tenant_id, "looked_at": 2000, "most_unfinished": 1000}
        plan = "\n".join((await session.scalars(text(f"EXPLAIN {statement}"), parameters)).all())
    assert "ix_job_unfinished" in plan
    assert any(index.name == "ix_job_unfinished" for index in Job.__table__.indexes)  # type: ignore[attr-defined]
