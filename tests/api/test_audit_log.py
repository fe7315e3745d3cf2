"""Every operation that changes something is in the audit log, or named here with the reason why it is not."""

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select

from footnote.models import AuditEvent
from footnote.runtime import Runtime
from footnote.storage import LocalStore
from tests import driving
from tests.api.test_errors import problem
from tests.api.test_tenant_wall import GIVEN, TEXT, Ids, Operation, Operations, made_by
from tests.conftest import Person
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.anyio

# In an order in which each finds what it needs, and what the log then says; deletions last.
AUDITED: dict[Operation, list[str]] = {
    ("post", "/v1/documents"): ["document.created"],
    ("post", "/v1/documents/batch"): ["document.repeated"],
    ("put", "/v1/uploads/{filename}"): ["document.created"],
    ("post", "/v1/documents/text"): ["document.repeated"],
    ("post", "/v1/documents/url"): ["document.created"],
    ("post", "/v1/uploads"): ["upload.created"],
    ("post", "/v1/uploads/{upload_id}/complete"): ["document.repeated"],
    ("delete", "/v1/uploads/{upload_id}"): ["upload.cancelled"],
    ("patch", "/v1/documents/{document_id}"): ["document.updated"],
    ("get", "/v1/documents/{document_id}/content"): ["document.downloaded"],
    ("post", "/v1/jobs/{job_id}/cancel"): ["document.cancelled"],
    ("post", "/v1/jobs/{job_id}/retry"): ["document.retried"],
    ("post", "/v1/jobs/retry"): ["document.retried"],
    ("post", "/v1/documents/reingest"): ["document.reingestion_requested"],
    ("post", "/v1/documents/delete"): ["document.deletion_requested"],
    ("post", "/v1/documents/move"): ["document.move_requested"],
    ("post", "/v1/collections"): ["collection.created"],
    ("patch", "/v1/collections/{collection_id}"): ["collection.updated"],
    ("post", "/v1/keys"): ["key.created"],
    ("post", "/v1/tokens"): ["key.token_issued"],
    ("post", "/v1/session/codes"): ["session.code_issued"],
    ("post", "/v1/webhook_endpoints"): ["webhook_endpoint.created"],
    ("patch", "/v1/webhook_endpoints/{endpoint_id}"): ["webhook_endpoint.updated"],
    ("post", "/v1/webhook_endpoints/{endpoint_id}/rotate"): ["webhook_endpoint.secret_rotated"],
    ("delete", "/v1/webhook_endpoints/{endpoint_id}"): ["webhook_endpoint.deleted"],
    ("delete", "/v1/keys/{key_id}"): ["key.revoked"],
    ("patch", "/v1/conversations/{conversation_id}"): ["conversation.updated"],
    ("delete", "/v1/conversations/{conversation_id}"): ["conversation.deleted"],
    ("put", "/v1/collections/{collection_id}/model"): ["collection.model_swap_begun"],
    ("post", "/v1/collections/{collection_id}/model/switch"): ["collection.model_swap_switched"],
    ("post", "/v1/collections/{collection_id}/model/rollback"): ["collection.model_swap_rolled_back"],
    ("delete", "/v1/collections/{collection_id}/model"): ["collection.model_swap_dropped"],
    ("delete", "/v1/documents/{document_id}"): ["document.deleted"],
    ("delete", "/v1/collections/{collection_id}"): ["collection.deleted"],
    ("delete", "/v1/tenant"): ["tenant.deleted"],
}
# By tests of their own, because a browser asks in its own way.
AUDITED_ELSEWHERE: set[Operation] = {("post", "/v1/session"), ("delete", "/v1/session")}  # tests/api/test_session.py
QUESTION = "a question: counted in the usage, by key and day"
TRIED = "sends what was said before, or nothing; it is in the log of deliveries"
NOT_AUDITED: dict[Operation, str] = {
    ("post", "/v1/documents/estimate"): "stores nothing",
    ("post", "/v1/documents/known"): "changes nothing",
    ("post", "/v1/search"): QUESTION,
    ("post", "/v1/collections/{collection_id}/model/estimate"): "stores nothing",
    ("post", "/v1/collections/{collection_id}/model/compare"): QUESTION,
    ("post", "/v1/query"): QUESTION,
    ("post", "/v1/query/batch"): QUESTION,
    ("post", "/v1/query/batches/{query_batch_id}/cancel"): QUESTION,
    ("post", "/v1/conversations"): "nothing is in it before a question",
    ("post", "/v1/conversations/{conversation_id}/messages"): QUESTION,
    ("post", "/v1/webhook_endpoints/{endpoint_id}/test"): TRIED,
    ("post", "/v1/webhook_endpoints/{endpoint_id}/redeliver"): TRIED,
    ("post", "/v1/webhook_endpoints/{endpoint_id}/deliveries/{delivery_id}/redeliver"): TRIED,
}
ASKED: dict[Operation, dict[str, Any]] = {
    ("post", "/v1/documents/reingest"): {"json": {"where": {"q": "no such name"}}},
    ("post", "/v1/documents/delete"): {"json": {"where": {"q": "no such name"}}},
    ("post", "/v1/documents/move"): {"json": {"where": {"q": "no such name"}, "collection": "default"}},
    ("post", "/v1/jobs/retry"): {"json": {"status": ["cancelled"]}},
    ("post", "/v1/collections"): {"json": {"name": "another"}},
    ("put", "/v1/collections/{collection_id}/model"): {"json": {"provider": "fake", "model": "other"}},
    ("post", "/v1/keys"): {"json": {"name": "another"}},
    ("delete", "/v1/tenant"): {"params": {"name": "ours"}},
    ("post", "/v1/webhook_endpoints"): {"json": {"url": "http://127.0.0.1:1/", "events": ["*"]}},
}


def test_every_operation_is_listed_as_audited_or_not() -> None:
    changing = {operation for operation, _ in Operations() if operation[0] != "get"}
    listed = {*AUDITED, *AUDITED_ELSEWHERE, *NOT_AUDITED}
    assert changing == {each for each in listed if each[0] != "get"}


class Parts:
    """A store that has every part that was to be sent to it."""

    def __init__(self, store: LocalStore) -> None:
        self.store = store

    async def begin(self, key: str) -> str:
        return key

    async def sign(self, key: str, write: str, sizes: Sequence[int], seconds: int) -> list[str]:
        return ["http://store/"] * len(sizes)

    async def join(self, key: str, write: str, sizes: Sequence[int]) -> None:
        out = await self.store.open_writer(key)
        await out.write(b"mine")
        await out.commit()


async def events(rt: Runtime, **wanted: str) -> list[AuditEvent]:
    async with rt.transaction() as session:
        return list((await session.scalars(select(AuditEvent).filter_by(**wanted).order_by(AuditEvent.id))).all())


@pytest.fixture
async def ids(rt: Runtime, alice: Person, monkeypatch: pytest.MonkeyPatch) -> Ids:
    monkeypatch.setattr(LocalStore, "parts", property(Parts))
    made = await made_by(rt, alice.tenant_id, TEXT)
    rt.others["fake", "other"] = FakeEmbedder("other")
    waiting = await driving.accept(rt, alice.tenant_id, "Waiting.")
    return made | {"job_id": waiting.details.job.id}


async def test_each_action_is_logged_with_its_actor(rt: Runtime, ids: Ids, alice: Person) -> None:
    mine = [each["id"] for each in (await alice.client.get("/v1/keys")).json()["data"] if each["name"] == "alice"]
    for operation, actions in AUDITED.items():
        method, path = operation
        if operation == ("post", "/v1/jobs/retry"):
            await alice.client.post(f"/v1/jobs/{ids['job_id']}/cancel")
        if path.endswith("/model/switch"):
            await driving.work_off(rt)
        concrete = re.sub(r"\{(\w+)\}", lambda match: ids.get(match[1], "1"), path)
        request = ASKED.get(operation, GIVEN.get(operation, {}))
        answer = await alice.client.request(method, concrete, headers={"X-Request-ID": path}, **request)
        assert answer.is_success, (operation, answer.text)
        found = await events(rt, request_id=answer.headers["X-Request-ID"])
        assert list(dict.fromkeys(each.action for each in found)) == actions, operation
        assert {(each.actor, each.tenant_id) for each in found} == {(mine[0], alice.tenant_id)}
        in_path = [each for name, each in ids.items() if name in path and name not in ("job_id", "upload_id")]
        assert not in_path or in_path == [found[0].object_id], operation
        if operation == ("post", "/v1/uploads"):
            ids["upload_id"] = answer.json()["upload_id"]
        if operation == ("post", "/v1/uploads/{upload_id}/complete"):
            begun = await alice.client.post("/v1/uploads", **GIVEN["post", "/v1/uploads"])
            ids["upload_id"] = begun.json()["upload_id"]


async def test_filters_of_the_log(rt: Runtime, alice: Person, bob: Person, charlie: Person) -> None:
    document_id = (await alice.client.post("/v1/documents/text", json={"text": "a"})).json()["document"]["id"]
    since = (await events(rt, object_id=document_id))[0].at.isoformat()
    for year in range(3):
        await alice.client.patch(f"/v1/documents/{document_id}", json={"metadata": {"year": year}})
    await alice.client.delete(f"/v1/documents/{document_id}")
    assert len(await events(rt, tenant_id=alice.tenant_id)) == 8, "two keys, a collection, and what was done since"

    async def asked(**wanted: Any) -> list[dict[str, Any]]:
        answer = await alice.client.get("/v1/audit", params=wanted)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    did = ["created", "updated", "updated", "updated", "deleted"]
    newest = await asked(object_id=document_id)
    assert [each["action"] for each in newest] == [f"document.{each}" for each in did[::-1]]
    assert newest[1]["details"] == {"changed": ["metadata"]}
    assert "year" not in json.dumps(newest)
    assert await asked(object_id=document_id, order="oldest") == newest[::-1]
    actor = newest[0]["actor"]
    assert await asked(actor=actor, since=since) == newest
    assert len(await asked(actor=actor, until=since)) == 1, "the collection was made first"
    assert {each["action"] for each in await asked(actor="system")} == {"key.created"}
    assert len(await asked(action=["document.created", "document.deleted"])) == 2

    for order, expected in (("newest", newest), ("oldest", newest[::-1])):
        told: list[dict[str, Any]] = []
        cursor = None
        while cursor is not None or not told:
            page = {"limit": 2, "object_id": document_id, "order": order} | ({"cursor": cursor} if cursor else {})
            answer = (await alice.client.get("/v1/audit", params=page)).json()
            told, cursor = told + answer["data"], answer["next_cursor"]
        assert told == expected
    problem(await bob.client.get("/v1/audit"), 403, "missing_scope")
    problem(await alice.client.get("/v1/audit", params={"actors": actor}), 422, "invalid_request")
    assert [each["action"] for each in (await charlie.client.get("/v1/audit")).json()["data"]] == ["key.created"]
