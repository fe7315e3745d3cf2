"""Every operation accepts what the OpenAPI document describes, and nothing else."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests import ROOT
from tests.api.test_errors import problem
from tests.conftest import Person

pytestmark = pytest.mark.anyio

# As `make check` holds it; to build it would take each process of the tests a second.
DOCUMENT: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_text())
OPERATIONS = [
    (method.upper(), path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
OURS = [each for each in OPERATIONS if each[1].startswith("/v1")]
JSON_BODIES = [each for each in OURS if "application/json" in each[2].get("requestBody", {}).get("content", {})]
# A value of another type for each; what reads like the right one is the point.
WRONG: dict[str, tuple[Any, ...]] = {
    "integer": ("5", True, 5.5, [5]),
    "number": ("0.5", True, {}),
    "boolean": ("true", "yes", 1, 0),
    "string": (5, True, ["a"]),
    "array": ("a", {"0": "a"}),
    "object": ("{}", ["a"]),
}
TYPES: dict[type, set[str]] = {
    str: {"string"},
    bool: {"boolean"},
    int: {"integer", "number"},
    float: {"number"},
    list: {"array"},
    dict: {"object"},
}


def names(operations: list[tuple[str, str, Any]]) -> list[str]:
    return [operation["operationId"] for _, _, operation in operations]


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def mistakes(schema: dict[str, Any], place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """(where, a value of a wrong type) for everything that a schema describes."""
    schema = resolved(schema)
    branches = [resolved(each) for each in schema.get("anyOf", [schema])]
    if any(each.get("title") == "Filter" or not each.get("type") for each in branches):
        return  # a language with a parser of its own, or any JSON, or a choice of words
    kinds = {each["type"] for each in branches}
    for kind in kinds & set(WRONG):
        yield from ((place, value) for value in WRONG[kind] if place and not kinds & TYPES[type(value)])
    for each in branches:
        for name, inner in each.get("properties", {}).items():
            yield from mistakes(inner, (*place, name))
        if each["type"] == "array":
            yield from mistakes(each["items"], (*place, 0))


def placed(place: tuple[Any, ...], value: Any) -> Any:
    """A body that has the value at its place, and nothing else."""
    for step in reversed(place):
        value = [value] if step == 0 else {step: value}
    return value


@pytest.mark.parametrize(("method", "path", "operation"), JSON_BODIES, ids=names(JSON_BODIES))
async def test_a_value_of_another_type_is_refused_by_name(
    alice: Person, method: str, path: str, operation: Any
) -> None:
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    found = list(mistakes(schema))
    assert found, path
    for place, value in found:
        answer = await alice.client.request(method, path, json=placed(place, value))
        body = problem(answer, 422, "invalid_request")
        where = ".".join(map(str, ("body", *place)))
        assert where in [each["field"] for each in body["errors"]], (where, value, body)
        assert where in body["detail"] or len(body["errors"]) > 3


@pytest.mark.parametrize(("method", "path", "operation"), JSON_BODIES, ids=names(JSON_BODIES))
async def test_an_unknown_field_is_refused_by_name(alice: Person, method: str, path: str, operation: Any) -> None:
    answer = await alice.client.request(method, path, json={"surprise{}": 1})
    body = problem(answer, 422, "invalid_request")
    assert [each["field"] for each in body["errors"]] == ["body.surprise{}"]
    assert "known: " in body["detail"]


@pytest.mark.parametrize(("method", "path", "operation"), OURS, ids=names(OURS))
async def test_query_parameters_are_known_and_given_once(alice: Person, method: str, path: str, operation: Any) -> None:
    known = [each for each in operation.get("parameters", ()) if each["in"] == "query"]
    sent: dict[str, Any] = {"json": {}} if operation.get("requestBody") else {}
    body = problem(await alice.client.request(method, path, params={"xyzzy": "1"}, **sent), 422, "invalid_request")
    assert [each["field"] for each in body["errors"]] == ["query.xyzzy"]
    assert "takes none" in body["detail"] or known
    assert all(each["name"] in body["detail"] for each in known)
    for each in known:
        branches = [resolved(branch) for branch in each["schema"].get("anyOf", [each["schema"]])]
        if not any(branch.get("type") == "array" for branch in branches):
            twice = await alice.client.request(method, path, params={each["name"]: ["1", "2"]}, **sent)
            assert f"query.{each['name']}: Given more than once" in problem(twice, 422, "invalid_request")["detail"]


def test_operations_without_a_key_accept_any_query() -> None:
    """Load balancers add parameters of their own to health checks."""
    assert {path for _, path, _ in OPERATIONS if not path.startswith("/v1")} == {"/healthz", "/readyz"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/jobs/retry", {"created_after": 5}),
        ("/v1/jobs/retry", {"created_after": "1700000000"}),
        ("/v1/keys", {"name": "a", "expires_at": 4_000_000_000}),
        ("/v1/keys", {"name": "a", "budget": {"usd": True}}),
        ("/v1/keys", {"name": "a", "rates": {"query": "5"}}),
        ("/v1/collections", {"name": "a", "metadata": '{"a": 1}'}),
        ("/v1/query/batch", {"questions": [{"question": "a"}], "background": "true"}),
    ],
)
async def test_times_money_and_objects_are_what_they_are(alice: Person, path: str, body: dict[str, Any]) -> None:
    problem(await alice.client.post(path, json=body), 422, "invalid_request")


async def test_values_of_the_right_type_are_accepted(alice: Person) -> None:
    made = await alice.client.post(
        "/v1/keys",
        json={"name": "a", "expires_at": "2099-01-01T00:00:00+02:00", "budget": {"usd": 2.5, "tokens": None}},
    )
    assert (made.status_code, made.json()["budget"]["usd"]) == (201, 2.5), made.text
    assert (await alice.client.post("/v1/jobs/retry", json={"created_after": "2026-01-01T00:00:00Z"})).is_success
    assert (await alice.client.post("/v1/search", json={"query": "a", "diversity": 1, "top_k": 5})).is_success
    listed = await alice.client.get("/v1/jobs?status=failed&status=queued&limit=5&created_after=2026-01-01T00:00:00Z")
    assert listed.is_success, listed.text


async def test_a_question_of_a_batch_is_as_strict(alice: Person) -> None:
    questions = [{"question": "a", "top_k": "5"}, {"query": "a"}, {"question": "a"}]
    results = (await alice.client.post("/v1/query/batch", json={"questions": questions})).json()["data"]
    assert [each["status"] for each in results] == [422, 422, 200]
    assert "top_k" in results[0]["error"]["detail"]
    assert "did you mean `question`" in results[1]["error"]["detail"]


async def test_unknown_fields_of_a_form(alice: Person) -> None:
    file = {"file": ("a.txt", b"words of a text")}
    for path in ("/v1/documents", "/v1/documents/batch"):
        answer = await alice.client.post(path, files=file, data={"colection": "a"})
        assert "did you mean `collection`" in problem(answer, 422, "invalid_request")["detail"]
    assert (await alice.client.post("/v1/documents", files=file, data={"metadata": '{"a": 1}'})).status_code == 202
