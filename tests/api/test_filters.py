"""Filters and metadata over HTTP: search, questions, the list of documents, PATCH."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from footnote.collections import metadata
from footnote.models import Document
from footnote.runtime import Runtime
from tests import driving
from tests.api.test_errors import problem
from tests.conftest import Person, stored_once

pytestmark = pytest.mark.anyio

LEGAL = {"type": "eq", "key": "department", "value": "legal"}
RECENT = {"type": "gte", "key": "signed", "value": "2024-01-01"}


async def make_contracts(rt: Runtime) -> tuple[str, dict[str, str]]:
    """A tenant, and the ids of its three documents about the same."""
    tenant_id = await driving.new_tenant(rt)
    of_each: dict[str, dict[str, Any]] = {
        "old": {"department": "legal", "signed": "2019-05-01", "pages": 3},
        "new": {"department": "legal", "signed": "2024-05-01T08:00:00+02:00", "pages": 12},
        "sales": {"department": ["sales", "east"], "signed": "2024-06-01"},
    }
    return tenant_id, {
        name: await driving.ready(
            rt, tenant_id, f"The {name} contract about the lamp oil.", f"{name}.txt", metadata=metadata
        )
        for name, metadata in of_each.items()
    }


engine, stored = stored_once(make_contracts)


@pytest.fixture
def ours(stored: tuple[str, dict[str, str]]) -> str:
    return stored[0]


@pytest.fixture
def contracts(stored: tuple[str, dict[str, str]]) -> dict[str, str]:
    """Ids of the documents by name."""
    return stored[1]


async def listed(person: Person, given: Any, **more: Any) -> list[str]:
    answer = await person.client.get("/v1/documents", params={"filter": json.dumps(given), **more})
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["data"]]


CASES: list[tuple[dict[str, Any], set[str]]] = [
    (LEGAL, {"old", "new"}),
    ({**LEGAL, "type": "ne"}, {"sales"}),
    ({**LEGAL, "value": "east"}, {"sales"}),
    (RECENT, {"new", "sales"}),
    ({"type": "and", "filters": [LEGAL, RECENT]}, {"new"}),
    ({"type": "lt", "key": "pages", "value": 12}, {"old"}),
    ({"type": "exists", "key": "pages", "value": False}, {"sales"}),
    ({"type": "not", "filter": {"type": "in", "key": "$filename", "value": ["old.txt", "x"]}}, {"new", "sales"}),
    ({"type": "eq", "key": "$collection", "value": "default"}, {"old", "new", "sales"}),
    ({"type": "gt", "key": "$created_at", "value": "2999-01-01"}, set()),
]


@pytest.mark.parametrize(("given", "names"), CASES, ids=[str(number) for number in range(len(CASES))])
async def test_the_same_filter_for_search_question_and_list(
    bob: Person, charlie: Person, contracts: dict[str, str], given: dict[str, Any], names: set[str]
) -> None:
    expected = {contracts[name] for name in names}
    assert set(await listed(bob, given)) == expected
    assert await listed(charlie, given) == []
    for mode in ("hybrid", "vector", "keyword"):
        answer = await bob.client.post("/v1/search", json={"query": "lamp oil", "mode": mode, "filters": given})
        assert answer.status_code == 200, answer.text
        assert {hit["document_id"] for hit in answer.json()["data"]} == expected
    answer = await bob.client.post("/v1/query", json={"question": "lamp oil", "filters": given})
    assert {hit["document_id"] for hit in answer.json()["hits"]} == expected


async def test_with_other_conditions_and_page_by_page(alice: Person, contracts: dict[str, str]) -> None:
    first = await alice.client.get("/v1/documents", params={"filter": json.dumps(LEGAL), "limit": 1})
    assert [each["id"] for each in first.json()["data"]] == [contracts["new"]]
    assert await listed(alice, LEGAL, limit=1, cursor=first.json()["next_cursor"]) == [contracts["old"]]
    assert await listed(alice, LEGAL, status="failed") == []
    only = {"query": "lamp", "filters": LEGAL, "document_ids": [contracts["sales"], contracts["old"]]}
    answer = await alice.client.post("/v1/search", json=only)
    assert {hit["document_id"] for hit in answer.json()["data"]} == {contracts["old"]}
    assert (await alice.client.post("/v1/search", json={"query": "lamp", "filters": None})).json()["data"]


async def test_a_wrong_filter_names_the_condition(alice: Person) -> None:
    wrong = {"type": "and", "filters": [LEGAL, {"type": "gt", "key": "pages", "value": [1]}]}
    for path, asked in (("/v1/search", "query"), ("/v1/query", "question")):
        answer = await alice.client.post(path, json={asked: "lamp", "filters": wrong})
        told = problem(answer, 422, "invalid_filter")
        assert [each["field"] for each in told["errors"]] == ["body.filters.filters.1.value"]
    for text in (json.dumps(wrong), "{", "[" * 5000, '{"type": "eq", "key": "k", "value": NaN}', "9" * 5000):
        told = problem(await alice.client.get("/v1/documents", params={"filter": text}), 422, "invalid_filter")
        assert told["errors"][0]["field"].startswith("query.filter")
    content = '{"query": "x", "filters": {"type": "eq", "key": "k", "value": 1e999}}'
    headers = {"Content-Type": "application/json"}
    problem(await alice.client.post("/v1/search", content=content, headers=headers), 422, "invalid_filter")


async def test_a_patch_is_seen_at_once(rt: Runtime, alice: Person, contracts: dict[str, str]) -> None:
    path = f"/v1/documents/{contracts['old']}"
    async with rt.transaction() as session:
        await session.execute(update(Document).values(updated_at=Document.created_at - timedelta(seconds=1)))
    before = (await alice.client.get(path)).json()
    patch = {"metadata": {"department": "sales", "pages": None, "review": {"by": "Ann", "note": None}}}
    after = (await alice.client.patch(path, json=patch)).json()
    assert after["metadata"] == {"department": "sales", "signed": "2019-05-01", "review": {"by": "Ann"}}
    assert after["updated_at"] > before["updated_at"]
    assert {**after, "metadata": 0, "updated_at": 0} == {**before, "metadata": 0, "updated_at": 0}
    assert (await alice.client.get(path)).json() == after
    assert await listed(alice, LEGAL) == [contracts["new"]]
    sales = {"query": "lamp", "filters": {**LEGAL, "value": "sales"}}
    hits = (await alice.client.post("/v1/search", json=sales)).json()["data"]
    assert {hit["document_id"] for hit in hits} == {contracts["old"], contracts["sales"]}
    assert after["metadata"] in [hit["metadata"] for hit in hits]
    headers = {"Content-Type": "application/merge-patch+json"}
    cleared = await alice.client.patch(path, content='{"metadata": null}', headers=headers)
    assert cleared.json()["metadata"] == {}


async def test_patches_that_are_refused(alice: Person, bob: Person, contracts: dict[str, str]) -> None:
    path = f"/v1/documents/{contracts['old']}"
    before = (await alice.client.get(path)).json()
    problem(await bob.client.patch(path, json={"metadata": {}}), 403, "missing_scope")
    problem(await alice.client.patch("/v1/documents/doc_unknown", json={"metadata": {}}), 404, "document_not_found")
    bodies: list[dict[str, Any]] = [
        {},
        {"metadata": []},
        {"metadata": {}, "filename": "x"},
        {"metadata": "text"},
        {"metadata": 1},
    ]
    for body in bodies:
        problem(await alice.client.patch(path, json=body), 422, "invalid_request")
    half = {"metadata": {"a": "x" * 40_000}}
    assert (await alice.client.patch(path, json=half)).status_code == 200
    problem(await alice.client.patch(path, json={"metadata": {"b": "x" * 40_000}}), 413, "too_large")
    assert (await alice.client.patch(path, json={"metadata": {"a": None}})).json()["metadata"] == before["metadata"]


# The examples of RFC 7396, appendix A.
MERGED: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "merged"), MERGED)
def test_merge_patch(target: Any, patch: Any, merged: Any) -> None:
    before = json.dumps(target)
    assert metadata.merge(target, patch) == merged
    assert json.dumps(target) == before, "what is merged into is left as it was"
