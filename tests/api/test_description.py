"""The OpenAPI document is valid, and its titles, examples and errors are right."""

import re
from collections.abc import Iterator

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator.schemas import schema_v31

from api.description import failures, texts
from footnote.errors import CODES
from tests.api.described import Json, codes_of, document, documented_codes
from tests.conftest import Person

pytestmark = pytest.mark.anyio

VERBS = frozenset(
    [
        "abort",
        "ask",
        "begin",
        "cancel",
        "check",
        "compare",
        "complete",
        "create",
        "delete",
        "download",
        "drop",
        "estimate",
        "get",
        "list",
        "move",
        "redeliver",
        "reingest",
        "retry",
        "revoke",
        "roll",
        "rotate",
        "search",
        "stream",
        "switch",
        "test",
        "update",
        "upload",
    ]
)
BINARY = {"download_document", "get_document_page_image"}


def operations() -> Iterator[Json]:
    return (operation for methods in document()["paths"].values() for operation in methods.values())


def examples(operation: Json) -> Iterator[tuple[str, Json]]:
    """Media type and content of the body and of each success answer."""
    yield from operation.get("requestBody", {}).get("content", {}).items()
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            yield from answer.get("content", {}).items()


def test_it_is_valid() -> None:
    assert [*Draft202012Validator(dict(schema_v31)).iter_errors(document())] == []
    assert document()["openapi"].startswith("3.1.")


def test_every_operation_has_a_chosen_name_and_a_title() -> None:
    names = [operation["operationId"] for operation in operations()]
    assert len(set(names)) == len(names)
    assert {name.split("_")[0] for name in names} <= VERBS
    for operation in operations():
        assert operation["summary"] == texts.summary(operation["operationId"])
        assert operation["description"].split()[0].lower() not in ("whether", "what", "the")
        assert operation["tags"][0] in {tag["name"] for tag in document()["tags"]}
    assert texts.summary("create_api_key") == "Create API key"


def test_every_parameter_is_described() -> None:
    for operation in operations():
        bare = [each["name"] for each in operation.get("parameters", ()) if not each.get("description")]
        assert bare == [], operation["operationId"]


def test_every_body_and_answer_has_an_example_that_fits_its_schema() -> None:
    for operation in operations():
        for media_type, content in examples(operation):
            if operation["operationId"] in BINARY:
                continue
            schema = content["schema"] | {"components": document()["components"]}
            wrong = [each.message for each in Draft202012Validator(schema).iter_errors(content["example"])]
            assert wrong == [], (operation["operationId"], media_type)


async def test_no_example_of_a_body_is_refused_for_its_form(alice: Person) -> None:
    """The routes know more than the schemas, such as that a question has exactly one of two fields."""
    sent = []
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content:
                answer = await alice.client.request(method, re.sub(r"\{\w+\}", "x", path), json=content["example"])
                assert answer.is_success or answer.json()["code"] != "invalid_request", answer.text
                sent.append(path)
    assert len(sent) > 15


def test_every_error_has_a_meaning_and_every_meaning_an_operation() -> None:
    told: set[str] = set()
    for operation in operations():
        for status, answer in operation["responses"].items():
            codes = codes_of(answer)
            assert codes or status < "4", operation["operationId"]
            told |= codes
    for answer in document()["components"]["responses"].values():
        assert answer["content"] == {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemOut"}}
        }
    assert failures.MEANINGS.keys() <= told
    assert told <= failures.MEANINGS.keys() | CODES.keys()
    assert failures.BY_OPERATION.keys() <= {operation["operationId"] for operation in operations()}


async def test_an_unknown_document_is_answered_as_described(alice: Person) -> None:
    answer = await alice.client.get("/v1/documents/doc_1")
    assert answer.json()["code"] in (documented_codes("GET", "/v1/documents/doc_1", answer.status_code) or ())
    assert documented_codes("GET", "/v1/nothing", 404) is None


async def test_the_old_way_to_ask_for_an_estimate_works_and_says_so(alice: Person) -> None:
    file = {"file": ("a.txt", b"The lamp burns colza oil.")}
    old = await alice.client.post("/v1/documents", params={"dry_run": "true"}, files=file)
    new = await alice.client.post("/v1/documents/estimate", files=file)
    assert (old.status_code, old.json()) == (new.status_code, new.json()) == (200, old.json())
    assert re.fullmatch(r"@\d+", old.headers["deprecation"])
    assert "deprecation" not in new.headers
    parameters = document()["paths"]["/v1/documents"]["post"]["parameters"]
    assert [each["name"] for each in parameters if each.get("deprecated")] == ["dry_run"]


def test_answers_say_what_their_location_is() -> None:
    described = {
        operation["operationId"]
        for operation in operations()
        for answer in operation["responses"].values()
        if "Location" in answer.get("headers", {})
    }
    assert described == texts.LOCATIONS.keys()


async def test_the_location_that_is_described_is_sent(alice: Person) -> None:
    sent = await alice.client.post("/v1/documents/text", json={"text": "A lamp.", "filename": "lamp.txt"})
    assert sent.headers["Location"] == f"/v1/jobs/{sent.json()['job']['id']}"
