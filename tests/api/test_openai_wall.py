"""No route for OpenAI's clients answers without a key or a scope, or tells of another tenant.

Routes and inputs come from the document of the surface: a new one needs its row here.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from api.app import create_app
from footnote.database.ids import new_id
from footnote.documents import file_batches, file_counts, files
from footnote.runtime import Runtime
from footnote.tenancy import keys
from tests import driving
from tests.api.described import surface
from tests.api.openai_client import refused
from tests.api.test_tenant_wall import ASKED, TEXT, Ids, Operation, no_wall_in_the_code
from tests.conftest import Person

__all__ = ["no_wall_in_the_code"]  # a fixture
pytestmark = pytest.mark.anyio

BASE = "/openai/v1"
STORE, BATCHES = f"{BASE}/vector_stores/{{vector_store_id}}", f"{BASE}/vector_stores/{{vector_store_id}}/file_batches"
UPLOAD = f"{BASE}/uploads/{{upload_id}}"
FILE = {"files": {"file": ("a.txt", b"mine")}, "data": {"purpose": "assistants"}}
PART = {"bytes": 1, "filename": "a.txt", "mime_type": "text/plain", "purpose": "batch"}
# What operations insist on, beside the ids.
GIVEN: dict[Operation, dict[str, Any]] = {
    ("post", f"{BASE}/chat/completions"): {
        "json": {"model": "footnote", "messages": [{"role": "user", "content": ASKED}]}
    },
    ("post", f"{BASE}/responses"): {"json": {"model": "footnote", "input": ASKED, "store": False}},
    ("post", f"{BASE}/embeddings"): {"json": {"model": "footnote", "input": "x"}},
    ("post", f"{BASE}/files"): FILE,
    ("post", f"{BASE}/uploads"): {"json": PART},
    ("post", f"{UPLOAD}/parts"): {"files": {"data": b"x"}},
    ("post", f"{UPLOAD}/complete"): {"json": {"part_ids": ["part_0"]}},
    ("post", f"{BASE}/vector_stores"): {"json": {}},
    ("post", STORE): {"json": {"name": "mine"}},
    ("post", f"{STORE}/files"): {"json": {"file_id": "file-0"}},
    ("post", f"{STORE}/files/{{file_id}}"): {"json": {"attributes": {}}},
    ("post", f"{STORE}/search"): {"json": {"query": ASKED}},
    ("post", BATCHES): {"json": {"file_ids": ["file-0"]}},
}
ASKS = ("/chat/completions", "/responses", "/embeddings", "/search")  # that are POST, and need `read`
# By input, what is sent as an id.
TAKES_IDS: dict[str, Any] = {
    **{name: lambda ids, name=name: ids[name] for name in ("vector_store_id", "file_id", "batch_id", "response_id")},
    "upload_id": lambda ids: ids["upload_id"],
    "model": lambda ids: f"footnote:{ids['vector_store_id']}",
    "tools": lambda ids: [{"type": "file_search", "vector_store_ids": [ids["vector_store_id"]]}],
    "previous_response_id": lambda ids: ids["response_id"],
    "input": lambda ids: [
        {"type": "item_reference", "id": ids["response_id"].replace("resp_", "msg_")},
        {"role": "user", "content": ASKED},
    ],
    "file_ids": lambda ids: [ids["file_id"]],
    "part_ids": lambda ids: [ids["part_id"]],
    "after": lambda ids: ids["file_id"],
    "before": lambda ids: ids["file_id"],
    "filters": lambda ids: {"type": "eq", "key": "$document_id", "value": ids["document_id"]},
}
# Inputs in which an id means nothing. `files` says the same as `file_ids`.
_PLAIN = """
    attributes audio background bytes chunking_strategy conversation data description dimensions encoding_format
    expires_after expires_after[anchor] expires_after[seconds] file filename files filter Idempotency-Key include
    include[] instructions limit logprobs max_completion_tokens max_num_results max_output_tokens max_tokens md5
    messages metadata mime_type modalities n name order prompt purpose query ranking_options response_format
    rewrite_query store stream stream_options temperature text tool_choice top_logprobs top_p
"""
_VARIES = re.compile(r'"(id|created|created_at|completed_at|expires_at|last_active_at)": ?("[^"]*"|\d+|null),?')


def operations() -> Iterator[tuple[Operation, dict[str, str]]]:
    """Method and path, and the place of each input: path, query, header or body."""
    for path, methods in surface()["paths"].items():
        for method, told in methods.items():
            inputs = {each["name"]: each["in"] for each in told.get("parameters", [])}
            for content in told.get("requestBody", {}).get("content", {}).values():
                inputs |= dict.fromkeys(_properties(content["schema"]), "body")
            yield (method, path), inputs


def _properties(schema: dict[str, Any]) -> set[str]:
    if "$ref" in schema:
        schema = surface()["components"]["schemas"][schema["$ref"].split("/")[-1]]
    return set(schema.get("properties", {}))


def test_every_input_is_listed_as_taking_ids_or_not() -> None:
    inputs = {name for _, named in operations() for name in named}
    assert inputs - set(_PLAIN.split()) == set(TAKES_IDS), "a new input needs a row in this test"


# -- keys and scopes -----------------------------------------------------------------------------------------


async def test_every_route_needs_a_key_with_its_scope(rt: Runtime, alice: Person, bob: Person) -> None:
    async with rt.transaction() as session:
        made = {
            scope: (await keys.create(session, alice.tenant_id, scope, scopes))[1]
            for scope, scopes in (("write", ("write",)), ("none", ()))
        }
    known = dict.fromkeys([*unknown_ids(), "model"], "x")
    for operation, _ in operations():
        for key in (None, "fn_0123456789ab_wrong", "sk-123"):
            refused(await send(alice.client, operation, known, key=key), 401, "invalid_api_key")
        needs = "read" if operation[0] == "get" or operation[1].endswith(ASKS) else "write"
        for scope, key in (made | {"read": bob.key}).items():
            answer = await send(alice.client, operation, known, key=key)
            if scope == needs:
                assert answer.status_code not in (401, 403), (operation, answer.text)
            else:
                refused(answer, 403, "missing_scope")


# -- tenants -------------------------------------------------------------------------------------------------


def unknown_ids() -> Ids:
    kinds = {"vector_store_id": "vs", "file_id": "file", "batch_id": "vsfb", "response_id": "resp"}
    kinds |= {"upload_id": "upload", "part_id": "part", "document_id": "doc"}
    return {name: new_id(prefix) for name, prefix in kinds.items()} | {"file_id": new_id("file").replace("_", "-")}


async def made_by(rt: Runtime, person: Person, text: str) -> Ids:
    """One of each that has an id."""

    async def post(path: str, **given: Any) -> dict[str, Any]:
        answer = await person.client.post(BASE + path, **given)
        assert answer.is_success, answer.text
        made: dict[str, Any] = answer.json()
        return made

    store = (await post("/vector_stores", json={"name": "secret"}))["id"]
    file = (await post("/files", files={"file": ("secret.txt", text.encode())}, data={"purpose": "batch"}))["id"]
    batch = (await post(f"/vector_stores/{store}/file_batches", json={"file_ids": [file]}))["id"]
    await driving.work(rt)
    upload = (await post("/uploads", json=PART))["id"]
    part = (await post(f"/uploads/{upload}/parts", files={"data": b"x"}))["id"]
    response = (await post("/responses", json={"model": "footnote", "input": ASKED}))["id"]
    [document] = (await person.client.get("/v1/documents")).json()["data"]
    made = {"vector_store_id": store, "file_id": file, "batch_id": batch, "upload_id": upload, "part_id": part}
    return made | {"response_id": response, "document_id": document["id"]}


@pytest.fixture
async def unknown() -> Ids:
    """Made before the others: what a cursor leaves out does not depend on whose id it is."""
    return unknown_ids()


@pytest.fixture
async def theirs(rt: Runtime, unknown: Ids, alice: Person) -> Ids:
    return await made_by(rt, alice, TEXT)


@pytest.fixture
async def own(rt: Runtime, theirs: Ids, charlie: Person) -> Ids:
    return await made_by(rt, charlie, "Tomatoes want warm soil and a long summer.")


async def send(
    client: httpx2.AsyncClient,
    operation: Operation,
    own: Ids,
    given: tuple[str, str] | None = None,
    ids: Ids | None = None,
    key: str | None = "",
) -> httpx2.Response:
    """The operation with own ids, but for the one input `given` (name, place), which is from `ids`.

    With the client's key, if it is empty; with none, if it is None.
    """
    method, path = operation
    request: dict[str, Any] = {**GIVEN.get(operation, {})}
    in_path = own | {"model": "footnote"}
    if given is not None and ids is not None:
        name, place = given
        value = TAKES_IDS[name](ids)
        if place == "path":
            in_path[name] = value
        else:
            where = "params" if place == "query" else "json"
            request[where] = {**request.get(where, {}), name: value}
    concrete = re.sub(r"\{(\w+)\}", lambda match: in_path[match[1]], path)
    headers = {} if key == "" else {"Authorization": f"Bearer {key}" if key else ""}
    return await client.request(method, concrete, headers=headers, **request)


def told(answer: httpx2.Response) -> tuple[int, str]:
    """Status and body without ids and times."""
    return answer.status_code, re.sub(r"\b[a-z]+[-_][0-9a-z]{26}\b", "ID", _VARIES.sub("", answer.text))


async def betrayed(client: httpx2.AsyncClient, own: Ids, theirs: Ids, unknown: Ids) -> list[tuple[Any, ...]]:
    """Operations and inputs for which an id of another tenant is not answered as one that never was."""
    found: list[tuple[Any, ...]] = []
    for operation, inputs in sorted(operations(), key=lambda each: each[0][0] == "delete"):
        for given in ((name, place) for name, place in inputs.items() if name in TAKES_IDS):
            foreign, nobodys = [told(await send(client, operation, own, given, ids)) for ids in (theirs, unknown)]
            if foreign != nobodys or foreign[0] >= 500 or (given[1] == "path" and foreign[0] != 404):
                found.append((operation, given, foreign, nobodys))
    return found


async def test_another_tenants_id_is_an_unknown_id(
    own: Ids, theirs: Ids, unknown: Ids, alice: Person, charlie: Person
) -> None:
    assert await betrayed(charlie.client, own, theirs, unknown) == []
    for path in ("files", "vector_stores", "models"):
        shown = (await charlie.client.get(f"{BASE}/{path}")).text
        assert [each for each in theirs.values() if each in shown] == [], path
    # They were ids of something, deletions last: of what holds others at the very end.
    for operation, inputs in sorted(operations(), key=lambda each: (each[0][0] == "delete", -len(each[0][1]))):
        if set(inputs.items()) & {(name, "path") for name in theirs}:
            given = next((each for each in inputs.items() if each == ("file_id", "body")), None)
            answer = await send(alice.client, operation, theirs, given, theirs)
            assert answer.status_code != 404, (operation, answer.text)


@pytest.fixture
def no_wall(no_wall_in_the_code: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor in the statements about files."""
    for module in (files, file_batches, file_counts):
        for name, value in [*vars(module).items()]:
            if isinstance(value, str) and "tenant_id = $1" in value:
                monkeypatch.setattr(module, name, re.sub(r"(\w+\.)?tenant_id = \$1", "$1 <> ''", value))


@pytest.mark.usefixtures("no_wall")
async def test_postgres_refuses_where_the_code_would_not(
    rt: Runtime, own: Ids, theirs: Ids, unknown: Ids, charlie: Person
) -> None:
    assert await betrayed(charlie.client, own, theirs, unknown) == []
    # And without row-level security the code as it is here would have told.
    app = create_app(runtime=rt)
    app.state.runtime = replace(rt, settings=rt.settings.model_copy(update={"tenant_role": ""}))
    transport, headers = httpx2.ASGITransport(app), {"Authorization": f"Bearer {charlie.key}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://footnote", headers=headers) as client:
        shared = [
            "files/{file_id}",
            "files/{file_id}/content",
            "vector_stores/{vector_store_id}",
            "responses/{response_id}",
        ]
        for path in (*shared, "vector_stores/{vector_store_id}/file_batches/{batch_id}"):
            answer = await client.get(f"{BASE}/{path}".format(**theirs))
            assert answer.status_code == 200, (path, answer.text)
