"""No route shows, changes or reveals another tenant's rows. Routes and inputs come from the OpenAPI document.

Wherever an id goes, one of another tenant is answered as one that never was. And once more with the wall in the code
taken down: then Postgres alone refuses.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from api.app import create_app
from footnote import documents, jobs
from footnote.answering import conversations, question_batches
from footnote.database import tenant_scope
from footnote.database.clock import from_now
from footnote.database.ids import new_id
from footnote.documents import objects, reading
from footnote.jobs import tasks
from footnote.models import DirectUpload, Message
from footnote.retrieval import candidates, scope
from footnote.runtime import Runtime
from footnote.tenancy import keys
from footnote.webhooks import endpoints
from tests import driving
from tests.conftest import Person

pytestmark = pytest.mark.anyio
TEXT = "The zircon lamp was lit by Agnes Tolmie in the year 1874."
ASKED = "Who lit the zircon lamp?"

Ids = dict[str, str]
Operation = tuple[str, str]  # method and path

# What some operations insist on beside the ids, or do not take together with them.
GIVEN: dict[Operation, dict[str, Any]] = {
    ("get", "/v1/documents/{document_id}/pages/{number}/highlights"): {"params": {"char_start": 0, "char_end": 9}},
    ("patch", "/v1/documents/{document_id}"): {"json": {"metadata": {}}},
    ("patch", "/v1/collections/{collection_id}"): {"json": {"metadata": {}}},
    ("patch", "/v1/conversations/{conversation_id}"): {"json": {"title": "theirs"}},
    ("patch", "/v1/webhook_endpoints/{endpoint_id}"): {"json": {"description": "theirs"}},
    ("post", "/v1/webhook_endpoints/{endpoint_id}/redeliver"): {"json": {"since": "2026-01-01T00:00:00Z"}},
    ("post", "/v1/conversations/{conversation_id}/messages"): {"json": {"question": ASKED}},
    ("post", "/v1/documents"): {"files": {"file": ("a.txt", b"mine")}},
    ("post", "/v1/documents/estimate"): {"files": {"file": ("a.txt", b"mine")}},
    ("post", "/v1/documents/batch"): {"files": {"file": ("a.txt", b"mine")}},
    ("put", "/v1/uploads/{filename}"): {"content": b"mine"},
    ("post", "/v1/uploads"): {"json": {"filename": "a.txt", "size": 4}},
    ("post", "/v1/documents/text"): {"json": {"text": "mine"}},
    ("post", "/v1/documents/delete"): {"json": {}},
    ("post", "/v1/documents/reingest"): {"json": {}},
    ("post", "/v1/documents/move"): {"json": {"ids": ["doc_x"]}},
    ("post", "/v1/documents/known"): {"json": {"sha256": [64 * "0"]}},
    ("post", "/v1/documents/url"): {"json": {"url": "https://example.com/a.txt"}},
    ("put", "/v1/collections/{collection_id}/model"): {"json": {"provider": "fake", "model": "other"}},
    ("post", "/v1/collections/{collection_id}/model/estimate"): {"json": {"provider": "fake", "model": "other"}},
    ("post", "/v1/collections/{collection_id}/model/compare"): {"json": {}},
    ("post", "/v1/search"): {"json": {"query": ASKED}},
    ("post", "/v1/query"): {"json": {"question": ASKED}},
    ("post", "/v1/query/batch"): {"json": {"questions": [{"question": ASKED}]}},
    ("post", "/v1/jobs/retry"): {"json": {}},
    ("post", "/v1/conversations"): {"json": {}},
    ("post", "/v1/session"): {"json": {"key": "fn_a_b"}},
}
# Inputs that take an id, and what is sent as one.
TAKES_IDS: dict[str, Any] = {
    **{name: lambda ids, name=name: ids[name] for name in ("document_id", "collection_id", "conversation_id")},
    **{
        name: lambda ids, name=name: ids[name]
        for name in (
            "query_batch_id",
            "job_id",
            "message_id",
            "task_id",
            "upload_id",
            "key_id",
            "endpoint_id",
            "delivery_id",
        )
    },
    "collection": lambda ids: ids["collection_id"],
    "collections": lambda ids: [ids["collection_id"]],
    "ids": lambda ids: [ids["document_id"]],
    "where": lambda ids: {"parent_id": ids["document_id"]},
    "parent_id": lambda ids: ids["document_id"],
    "document_ids": lambda ids: [ids["document_id"]],
    "filter": lambda ids: json.dumps({"type": "eq", "key": "$document_id", "value": ids["document_id"]}),
    "filters": lambda ids: {"type": "eq", "key": "$document_id", "value": ids["document_id"]},
    "questions": lambda ids: [{"question": ASKED, "document_ids": [ids["document_id"]]}],
    "defaults": lambda ids: {"collections": [ids["collection_id"]]},
    "cursor": lambda ids: ids["document_id"],
    "object_id": lambda ids: ids["document_id"],
    "actor": lambda ids: ids["key_id"],
}
# Inputs in which an id means nothing.
_PLAIN = """
    action around background budget callback_url char_end char_start chunking code created_after created_before
    description diversity dry_run embedding enabled error_code events expand expires_at explain external_id file
    filename from group Idempotency-Key if-none-match key language Last-Event-ID limit max_tokens messages metadata
    mode model name number offset order provider q query question rates rerank scopes sha256 since size sort state
    status step stream strict superseded system_prompt temperature text title to top_k total until url version width
"""
TAKES_NONE = set(_PLAIN.split())


class Operations:
    """What the OpenAPI document says of the inputs of each operation: name and place (path, query, header, body)."""

    def __init__(self) -> None:
        self._document = create_app().openapi()

    def __iter__(self) -> Iterator[tuple[Operation, dict[str, str]]]:
        for path, methods in self._document["paths"].items():
            for method, told in methods.items():
                inputs = {each["name"]: each["in"] for each in told.get("parameters", [])}
                for content in told.get("requestBody", {}).get("content", {}).values():
                    inputs |= dict.fromkeys(self._properties(content["schema"]), "body")
                yield (method, path), inputs

    def _properties(self, schema: dict[str, Any]) -> set[str]:
        if "$ref" in schema:
            schema = self._document["components"]["schemas"][schema["$ref"].split("/")[-1]]
        return set(schema.get("properties", {}))


def test_every_input_is_listed_as_taking_ids_or_not() -> None:
    inputs = {name for _, named in Operations() for name in named}
    assert inputs - TAKES_NONE == set(TAKES_IDS), "a new input needs a row in this test, and so does a new kind of id"


@pytest.fixture
async def unknown(rt: Runtime) -> Ids:
    """Made before the others: what a cursor leaves out does not depend on whose id it is."""
    kinds = {"document": "doc", "collection": "col", "conversation": "cnv", "query_batch": "bat"}
    return {
        f"{name}_id": new_id(prefix)
        for name, prefix in (
            kinds
            | {
                "job": "job",
                "task": "tsk",
                "key": "key",
                "upload": "upl",
                "endpoint": "whe",
                "delivery": "whd",
                "message": "msg",
            }
        ).items()
    }


async def made_by(rt: Runtime, tenant_id: str, text: str) -> Ids:
    accepted = await driving.accept(rt, tenant_id, text, external_id="secret", collection="private")
    await driving.run(rt, accepted.details.job.id)
    document = accepted.details.document
    made = {"collection_id": document.collection_id, "document_id": document.id, "job_id": accepted.details.job.id}
    async with rt.for_tenant(tenant_id).transaction() as session:
        made["conversation_id"] = (await conversations.create(session, "secret", {}, {})).id
        asked = Message(id=new_id("msg"), conversation_id=made["conversation_id"], tenant_id=tenant_id, position=99)
        asked.role, asked.content, made["message_id"] = "user", "secret", asked.id
        session.add(asked)
        made["key_id"] = (await keys.create(session, tenant_id, "another"))[0].id
        endpoint = await endpoints.create(session, "http://127.0.0.1:1/", ["*"], "secret")
        made |= {"endpoint_id": endpoint.id, "delivery_id": await endpoints.queue_test(session, endpoint)}
        made["task_id"] = (await tasks.begin(session, "collection.delete", tenant_id, new_id("col"), "secret", 0)).id
        made["query_batch_id"] = (await question_batches.create(session, [{}], None)).id
    return {**made, "upload_id": await _open_upload(rt, tenant_id)}


async def _open_upload(rt: Runtime, tenant_id: str) -> str:
    """One that is sent to the store directly, as far as the database knows of it."""
    key = documents.new_key(tenant_id)
    upload = DirectUpload(id=new_id("upl"), tenant_id=tenant_id, key=key, write="w", filename="a.txt")
    upload.bytes, upload.part_bytes, upload.fields, upload.expires_at = 1, 1, {}, from_now(60)
    async with rt.transaction() as session:
        await objects.reserve(session, key)
        session.add(upload)
    return upload.id


@pytest.fixture
async def theirs(rt: Runtime, unknown: Ids, alice: Person) -> Ids:
    return await made_by(rt, alice.tenant_id, TEXT)


@pytest.fixture
async def own(rt: Runtime, theirs: Ids, charlie: Person) -> Ids:
    """Charlie has something of each kind, too, so that there is something to search."""
    return await made_by(rt, charlie.tenant_id, "Tomatoes want warm soil and a long summer.")


async def send(
    client: httpx2.AsyncClient,
    operation: Operation,
    own: Ids,
    given: tuple[str, str] | None = None,
    ids: Ids | None = None,
) -> httpx2.Response:
    """The operation with own ids, but for the one input `given` (name, place), which is from `ids`."""
    method, path = operation
    request: dict[str, Any] = {**GIVEN.get(operation, {})}
    in_path = dict(own)
    if given is not None and ids is not None:
        name, place = given
        value = TAKES_IDS[name](ids)
        if place == "path":
            in_path[name] = value
        elif place == "query":
            request["params"] = {**request.get("params", {}), name: value}
        elif "files" in request:
            request["data"] = {name: value}
        else:
            request["json"] = {**request["json"], name: value}
    concrete = re.sub(r"\{(\w+)\}", lambda match: in_path.get(match[1], "1"), path)
    return await client.request(method, concrete, **request)


def told(answer: httpx2.Response) -> tuple[int, str]:
    """Status and body without ids, times, and what depends on how often the conversation was asked before."""
    body = re.sub(r"\b[a-z]{3}_[0-9a-z]{26}\b", "ID", answer.text)
    body = re.sub(r'"(timings|usage)": ?\{[^}]*\}|"(request_id|question_as_searched)": ?"[^"]*",?', "", body)
    return answer.status_code, re.sub(r'"\d{4}-\d\d-\d\dT[^"]*"', "", body)


async def betrayed(client: httpx2.AsyncClient, own: Ids, theirs: Ids, unknown: Ids) -> list[tuple[Any, ...]]:
    """Operations and inputs for which an id of another tenant is not answered as one that never was."""
    found: list[tuple[Any, ...]] = []
    for operation, inputs in Operations():
        for given in ((name, place) for name, place in inputs.items() if name in TAKES_IDS):
            foreign, nobodys = [told(await send(client, operation, own, given, ids)) for ids in (theirs, unknown)]
            if foreign != nobodys or foreign[0] >= 500 or (given[1] == "path" and foreign[0] != 404):
                found.append((operation, given, foreign, nobodys))
    return found


def _deleted_last(each: tuple[Operation, Any]) -> tuple[bool, bool, int]:
    method, path = each[0]
    return method == "delete", path < "/v1/d", -len(path) if method == "delete" else 0


async def test_another_tenants_id_is_an_unknown_id(
    rt: Runtime, own: Ids, theirs: Ids, unknown: Ids, alice: Person, charlie: Person
) -> None:
    assert await betrayed(charlie.client, own, theirs, unknown) == []
    # They were ids of something, deletions last, what is in a collection before it.
    for operation, inputs in sorted(Operations(), key=_deleted_last):
        if set(inputs.items()) & {(name, "path") for name in theirs}:
            answer = await send(alice.client, operation, theirs)
            assert answer.status_code != 404, (operation, answer.text)


@pytest.fixture
def no_wall_in_the_code(own: Ids, monkeypatch: pytest.MonkeyPatch) -> None:
    def everything(_session: Any, table: Any) -> Any:
        return select(table)

    kept = tenant_scope.scoped
    for name, module in list(sys.modules.items()):
        if name.startswith("footnote") and getattr(module, "scoped", None) is kept:
            monkeypatch.setattr(module, "scoped", everything)
    for module, name in ((reading, "_GET"), (jobs, "_READ")):
        walled = getattr(module, name)
        assert walled.count("tenant_id = $1") == 1
        monkeypatch.setattr(module, name, re.sub(r"\w+\.tenant_id = \$1", "$1 <> ''", walled))
    for module in (scope, candidates):
        monkeypatch.setattr(module, "WALL", "(:tenant <> '' AND CAST(:collections AS text[]) IS NOT NULL)")


@pytest.mark.usefixtures("no_wall_in_the_code")
async def test_postgres_refuses_where_the_code_would_not(
    rt: Runtime, own: Ids, theirs: Ids, unknown: Ids, charlie: Person
) -> None:
    assert "zircon" not in (await charlie.client.post("/v1/search", json={"query": ASKED})).text
    assert "zircon" not in (await charlie.client.post("/v1/query", json={"question": ASKED})).text
    for path in ("documents", "jobs", "collections", "conversations"):
        shown = (await charlie.client.get(f"/v1/{path}")).text
        assert [each for each in theirs.values() if each in shown] == [], path
    assert await betrayed(charlie.client, own, theirs, unknown) == []
    # And without row-level security the code as it is here would have told.
    unguarded = replace(rt, settings=rt.settings.model_copy(update={"tenant_role": ""}))
    app, headers = create_app(runtime=unguarded), {"Authorization": f"Bearer {charlie.key}"}
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://footnote", headers=headers) as client,
    ):
        for path in ("", "/status", "/chunks", "/pages/1", "/content"):
            assert (await client.get(f"/v1/documents/{theirs['document_id']}{path}")).status_code == 200


async def test_lists_are_empty_for_another_tenant(theirs: Ids, charlie: Person) -> None:
    for path in (
        "/v1/documents",
        "/v1/jobs",
        "/v1/collections",
        "/v1/conversations",
        "/v1/webhook_endpoints",
        "/v1/documents?external_id=secret",
        "/v1/documents?status=ready",
    ):
        assert (await charlie.client.get(path)).json()["data"] == []
    unknown = await charlie.client.get("/v1/documents?collection=private")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "collection_not_found")


@pytest.mark.parametrize("mode", ["hybrid", "vector", "keyword"])
async def test_searches_find_nothing_for_another_tenant(
    own: Ids, theirs: Ids, alice: Person, charlie: Person, mode: str
) -> None:
    for body in ({}, {"document_ids": [theirs["document_id"]]}):
        search = {"query": ASKED, "mode": mode, **body}
        assert (await alice.client.post("/v1/search", json=search)).json()["data"]
        found = (await charlie.client.post("/v1/search", json=search)).json()["data"]
        assert all(hit["document_id"] != theirs["document_id"] for hit in found)
        answer = (await charlie.client.post("/v1/query", json={"question": ASKED, "mode": mode, **body})).json()
        assert "zircon" not in str(answer["hits"]) + str(answer["citations"])


async def test_the_same_bytes_and_names_stay_apart(theirs: Ids, charlie: Person) -> None:
    answer = await charlie.client.post(
        "/v1/documents",
        files={"file": ("notes.txt", TEXT.encode())},
        data={"collection": "private", "external_id": "secret"},
    )
    assert answer.status_code == 202
    assert answer.json()["deduplicated"] is False
    assert answer.json()["document"]["id"] != theirs["document_id"]
