"""No route shows, changes or betrays another tenant's rows; the routes are taken from the OpenAPI document."""

import re
from typing import Any

import pytest

from api.app import create_app
from footnote import batches, conversations, documents, keys, objects
from footnote.clock import from_now
from footnote.ids import new_id
from footnote.models import DirectUpload
from footnote.runtime import Runtime
from footnote.webhooks import endpoints
from tests import driving
from tests.conftest import Person

pytestmark = pytest.mark.anyio
TEXT = "The zircon lamp was lit by Agnes Tolmie in the year 1874."
# What some routes insist on beside the ids.
QUERIES = {"/v1/documents/{document_id}/pages/{number}/highlights": {"char_start": 0, "char_end": 9}}
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("patch", "/v1/documents/{document_id}"): {"metadata": {}},
    ("patch", "/v1/collections/{collection_id}"): {"metadata": {}},
    ("patch", "/v1/webhook_endpoints/{endpoint_id}"): {"description": "theirs"},
    ("post", "/v1/webhook_endpoints/{endpoint_id}/redeliver"): {"since": "2026-01-01T00:00:00Z"},
    ("post", "/v1/conversations/{conversation_id}/messages"): {"question": "Who lit the zircon lamp?"},
}
UNKNOWN = {
    "collection_id": "col_unknown",
    "conversation_id": "cnv_unknown",
    "delivery_id": "whd_unknown",
    "document_id": "doc_unknown",
    "endpoint_id": "whe_unknown",
    "query_batch_id": "bat_unknown",
    "key_id": "key_unknown",
    "job_id": "job_unknown",
    "upload_id": "upl_unknown",
}


def _routes() -> list[tuple[str, str]]:
    """Every method and path with an id in it."""
    paths: dict[str, dict[str, Any]] = create_app().openapi()["paths"]
    return [(method, path) for path, methods in paths.items() for method in methods if "_id}" in path]


def _concrete(path: str, ids: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: ids.get(match[1], "1"), path)


@pytest.fixture
async def ids(rt: Runtime, alice: Person) -> dict[str, str]:
    accepted = await driving.accept(rt, alice.tenant_id, TEXT, external_id="secret", collection="private")
    await driving.run(rt, accepted.details.job.id)
    upload_id = await _open_upload(rt, alice.tenant_id)
    document = accepted.details.document
    named = {"collection_id": document.collection_id, "document_id": document.id}
    async with rt.transaction() as session:
        named["conversation_id"] = (await conversations.create(session, alice.tenant_id, "secret", {}, {})).id
        named["key_id"] = (await keys.create(session, alice.tenant_id, "another"))[0].id
        endpoint = await endpoints.create(session, alice.tenant_id, "http://127.0.0.1:1/", ["*"], "secret")
        named |= {"endpoint_id": endpoint.id, "delivery_id": await endpoints.queue_test(session, endpoint)}
        named["query_batch_id"] = (await batches.create(session, alice.tenant_id, [{}], None)).id
    return {**named, "job_id": accepted.details.job.id, "upload_id": upload_id}


async def _open_upload(rt: Runtime, tenant_id: str) -> str:
    """One that is sent to the store directly, as far as the database knows of it."""
    key = documents.object_key(tenant_id)
    upload = DirectUpload(id=new_id("upl"), tenant_id=tenant_id, key=key, write="w", filename="a.txt")
    upload.bytes, upload.part_bytes, upload.fields, upload.expires_at = 1, 1, {}, from_now(60)
    async with rt.transaction() as session:
        await objects.reserve(session, key)
        session.add(upload)
    return upload.id


def test_the_matrix_is_not_empty() -> None:
    named = {name for _, path in _routes() for name in re.findall(r"\{(\w+_id)\}", path)}
    assert named == set(UNKNOWN), "a new kind of id needs a row in this test"
    assert len(_routes()) >= 9


@pytest.mark.parametrize(("method", "path"), _routes())
async def test_another_tenants_id_is_an_unknown_id(
    rt: Runtime, ids: dict[str, str], alice: Person, charlie: Person, method: str, path: str
) -> None:
    given: dict[str, Any] = {"params": QUERIES.get(path), "json": BODIES.get((method, path))}
    seen: list[dict[str, Any]] = []
    for chosen in (ids, UNKNOWN):
        answer = await charlie.client.request(method, _concrete(path, chosen), **given)
        assert answer.status_code == 404, answer.text
        seen.append({**answer.json(), "request_id": ""})
        for name, value in chosen.items():
            seen[-1]["detail"] = seen[-1]["detail"].replace(value, name)
    assert seen[0] == seen[1]
    owned = await alice.client.request(method, _concrete(path, ids), **given)
    assert owned.status_code != 404, owned.text


async def test_lists_are_empty_for_a_stranger(ids: dict[str, str], charlie: Person) -> None:
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
async def test_searches_find_nothing_for_a_stranger(
    rt: Runtime, ids: dict[str, str], alice: Person, charlie: Person, mode: str
) -> None:
    # A document of his own, or there would be nothing to search at all.
    await driving.ready(rt, charlie.tenant_id, "Tomatoes want warm soil and a long summer.")
    asked = "Who lit the zircon lamp?"
    for body in ({}, {"document_ids": [ids["document_id"]]}):
        search = {"query": asked, "mode": mode, **body}
        assert (await alice.client.post("/v1/search", json=search)).json()["data"]
        found = (await charlie.client.post("/v1/search", json=search)).json()["data"]
        assert all(hit["document_id"] != ids["document_id"] for hit in found)
        answer = (await charlie.client.post("/v1/query", json={"question": asked, "mode": mode, **body})).json()
        assert "zircon" not in str(answer["hits"]) + str(answer["citations"])
    for name in ("private", (await _collection_id(rt, ids))):
        answer = await charlie.client.post("/v1/search", json={"query": asked, "mode": mode, "collections": [name]})
        assert (answer.status_code, answer.json()["code"]) == (404, "collection_not_found")


async def _collection_id(rt: Runtime, ids: dict[str, str]) -> str:
    return (await driving.document_of(rt, ids["document_id"])).collection_id


async def test_an_upload_cannot_go_into_another_tenants_collection(
    rt: Runtime, ids: dict[str, str], charlie: Person
) -> None:
    answer = await charlie.client.post(
        "/v1/documents", files={"file": ("a.txt", b"mine")}, data={"collection": await _collection_id(rt, ids)}
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "collection_not_found")


async def test_the_same_bytes_and_names_stay_apart(rt: Runtime, ids: dict[str, str], charlie: Person) -> None:
    answer = await charlie.client.post(
        "/v1/documents",
        files={"file": ("notes.txt", TEXT.encode())},
        data={"collection": "private", "external_id": "secret"},
    )
    assert answer.status_code == 202
    assert answer.json()["deduplicated"] is False
    assert answer.json()["document"]["id"] != ids["document_id"]
