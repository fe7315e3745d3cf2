"""Collections over HTTP."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections
from footnote.documents import accepting, reingestion
from footnote.jobs import tasks
from footnote.models import Collection
from footnote.operations.consistency import audit
from footnote.runtime import Runtime
from tests import driving
from tests.api.test_errors import problem
from tests.conftest import Person
from tests.driving import chunks_of, paragraphs
from tests.fakes import FakeEmbedder
from tests.stored import named, settled

pytestmark = pytest.mark.anyio

PATH = "/v1/collections"
AS_CONFIGURED = {"size": 400, "overlap": 50, "unit": "characters", "by_headings": False}


async def made(person: Person, name: str = "papers", **given: Any) -> dict[str, Any]:
    answer = await person.client.post(PATH, json={"name": name, **given})
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"{PATH}/{shown['id']}"
    return shown


async def shown(person: Person, name: str = "papers") -> dict[str, Any]:
    answer = await person.client.get(f"{PATH}/{name}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


# -- made ----------------------------------------------------------------------------------------------------


async def test_a_collection_has_the_configured_settings_unless_the_request_sets_others(alice: Person) -> None:
    plain = await made(alice)
    assert {name: value for name, value in plain.items() if name not in ("id", "created_at")} == {
        "name": "papers",
        "language": "auto",
        "chunking": AS_CONFIGURED,
        "embedding": {"provider": "fake", "model": "fake-64", "dimensions": None},
        "metadata": {},
        "title": None,
        "counts": {"documents": 0, "chunks": 0, "reingesting": 0},
    }
    chosen = await made(
        alice,
        "berichte",
        language="german",
        chunking={"size": 120, "unit": "tokens", "by_headings": True},
        embedding={"provider": "local"},
        metadata={"owner": "Ann", "empty": None},
    )
    assert chosen["language"] == "german"
    assert chosen["chunking"] == {"size": 120, "overlap": 14, "unit": "tokens", "by_headings": True}
    assert chosen["embedding"] == {"provider": "local", "model": "all-MiniLM-L6-v2", "dimensions": None}
    assert chosen["metadata"] == {"owner": "Ann", "empty": None}
    for place in (chosen["id"], "berichte"):
        assert await shown(alice, place) == chosen
    page = (await alice.client.get(PATH, params={"limit": 1})).json()
    rest = (await alice.client.get(PATH, params={"limit": 1, "cursor": page["next_cursor"]})).json()
    assert (page["data"] + rest["data"], rest["next_cursor"]) == ([chosen, plain], None)


async def test_an_upload_to_a_new_name_creates_a_collection_with_the_same_defaults(rt: Runtime, alice: Person) -> None:
    await driving.ready(rt, alice.tenant_id, paragraphs(3), collection="papers")
    found = await shown(alice)
    assert found["chunking"] == AS_CONFIGURED
    assert found["embedding"] == {"provider": "fake", "model": "fake-64", "dimensions": 64}
    assert found["counts"] == {"documents": 1, "chunks": 3, "reingesting": 0}


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        ({}, 422, "invalid_request"),
        ({"name": ""}, 422, "invalid_request"),
        ({"name": "a/b"}, 422, "bad_collection_name"),
        ({"name": "col_1"}, 422, "bad_collection_name"),
        ({"name": "x", "colour": "red"}, 422, "invalid_request"),
        ({"name": "x", "language": "klingon"}, 422, "invalid_request"),
        ({"name": "x", "language": None}, 422, "invalid_request"),
        ({"name": "x", "chunking": {"size": 99}}, 422, "invalid_request"),
        ({"name": "x", "chunking": {"size": 8001}}, 422, "invalid_request"),
        ({"name": "x", "chunking": {"size": None}}, 422, "invalid_request"),
        ({"name": "x", "chunking": {"size": 400, "overlap": 200}}, 422, "invalid_request"),
        ({"name": "x", "chunking": {"overlap": -1}}, 422, "invalid_request"),
        ({"name": "x", "chunking": {"unit": "words"}}, 422, "invalid_request"),
        ({"name": "x", "chunking": {"size": 2001, "unit": "tokens"}}, 422, "invalid_request"),
        (
            {"name": "x", "chunking": {"size": 257, "unit": "tokens"}, "embedding": {"provider": "local"}},
            422,
            "invalid_request",
        ),
        ({"name": "x", "embedding": {"model": "fake-64"}}, 422, "invalid_request"),
        ({"name": "x", "embedding": {"provider": "nobody"}}, 422, "unknown_embedding_model"),
        ({"name": "x", "embedding": {"provider": "guarded"}}, 422, "unknown_embedding_model"),
        ({"name": "x", "embedding": {"provider": "local", "model": "other"}}, 422, "unknown_embedding_model"),
        ({"name": "x", "embedding": {"provider": "openai"}}, 422, "unknown_embedding_model"),
        ({"name": "x", "metadata": {"a": "x" * 70_000}}, 413, "too_large"),
        ({"name": "papers"}, 409, "collection_exists"),
    ],
)
async def test_invalid_settings_are_refused_and_nothing_is_created(
    alice: Person, given: dict[str, Any], status: int, code: str
) -> None:
    await made(alice)
    problem(await alice.client.post(PATH, json=given), status, code)
    assert [each["name"] for each in (await alice.client.get(PATH)).json()["data"]] == ["papers"]


async def test_a_reader_cannot_change_collections(alice: Person, bob: Person) -> None:
    collection = await made(alice)
    problem(await bob.client.post(PATH, json={"name": "x"}), 403, "missing_scope")
    problem(await bob.client.patch(f"{PATH}/papers", json={"name": "x"}), 403, "missing_scope")
    problem(await bob.client.delete(f"{PATH}/papers"), 403, "missing_scope")
    assert await shown(bob) == collection


# -- changed -------------------------------------------------------------------------------------------------


async def test_a_change_counts_the_documents_to_ingest_again(rt: Runtime, alice: Person) -> None:
    document_id = await driving.ready(rt, alice.tenant_id, paragraphs(6), collection="papers")
    changed = await alice.client.patch(
        f"{PATH}/papers", json={"name": "notes", "chunking": {"size": 900}, "metadata": {"owner": "Ann"}}
    )
    assert changed.status_code == 200, changed.text
    assert changed.json()["chunking"] == {**AS_CONFIGURED, "size": 900, "overlap": 112}
    assert changed.json()["metadata"] == {"owner": "Ann"}
    assert changed.json()["counts"] == {"documents": 1, "chunks": 6, "reingesting": 1}
    problem(await alice.client.get(f"{PATH}/papers"), 404, "collection_not_found")
    await reingestion.review(rt)
    assert (await shown(alice, "notes"))["counts"]["reingesting"] == 1
    status = (await alice.client.get(f"/v1/documents/{document_id}")).json()
    assert (status["status"], status["version"]) == ("queued", 2)
    await driving.run(rt, status["job_id"])
    assert (await shown(alice, "notes"))["counts"] == {"documents": 1, "chunks": 3, "reingesting": 0}
    cleared = (await alice.client.patch(f"{PATH}/notes", json={"metadata": {"owner": None}})).json()
    assert (cleared["metadata"], cleared["chunking"]["size"]) == ({}, 900)


@pytest.mark.parametrize(
    "given", [{"chunking": {"overlap": 200}}, {"chunking": {"size": 20}}, {"language": "x"}, {"name": "a b"}]
)
async def test_a_refused_change_changes_nothing(alice: Person, given: dict[str, Any]) -> None:
    before = await made(alice)
    refused = await alice.client.patch(f"{PATH}/papers", json={"metadata": {"a": 1}, **given})
    assert refused.status_code == 422, refused.text
    assert await shown(alice) == before


async def test_a_name_can_be_taken_only_once(alice: Person) -> None:
    await made(alice, "one")
    await made(alice, "two")
    for further in ({}, {"language": "english"}, {"chunking": {"size": 500}}, {"embedding": {"provider": "fake"}}):
        problem(await alice.client.patch(f"{PATH}/two", json={"name": "one", **further}), 409, "collection_exists")
    assert (await shown(alice, "two"))["name"] == "two"


async def test_the_model_cannot_change_once_there_are_documents(rt: Runtime, alice: Person) -> None:
    rt.others["fake", "fake-65"] = FakeEmbedder("fake-65")
    other = {"embedding": {"provider": "fake", "model": "fake-65"}}
    document_id = await driving.ready(rt, alice.tenant_id, paragraphs(2), collection="papers")
    refused = problem(await alice.client.patch(f"{PATH}/papers", json=other), 409, "collection_not_empty")
    assert "fake/fake-64" in refused["detail"]
    same = {"embedding": {"provider": "fake", "model": "fake-64"}}
    assert (await alice.client.patch(f"{PATH}/papers", json=same)).status_code == 200
    await alice.client.delete(f"/v1/documents/{document_id}")
    changed = await alice.client.patch(f"{PATH}/papers", json=other)
    assert changed.json()["embedding"] == {"provider": "fake", "model": "fake-65", "dimensions": None}
    await driving.ready(rt, alice.tenant_id, paragraphs(2), collection="papers")
    assert (await shown(alice))["embedding"]["dimensions"] == 64


# -- deleted -------------------------------------------------------------------------------------------------


async def test_a_collection_is_deleted_with_its_documents(rt: Runtime, alice: Person) -> None:
    for topic in ("lamp", "lens"):
        await driving.ready(rt, alice.tenant_id, paragraphs(2, topic), collection="papers")
    kept = await driving.ready(rt, alice.tenant_id, paragraphs(2), collection="kept")
    collection_id = (await shown(alice))["id"]
    begun = await alice.client.delete(f"{PATH}/papers")
    assert begun.status_code == 202, begun.text
    task, where = begun.json(), begun.headers["Location"]
    assert (task["kind"], task["subject_id"], task["status"]) == ("collection.delete", collection_id, "queued")
    assert task["progress"] == {"done": 0, "total": 2, "unit": "documents"}
    again = await alice.client.delete(f"{PATH}/{collection_id}")
    assert (again.status_code, again.json()) == (202, task)
    assert (await alice.client.get(where)).json() == task
    await driving.work_off(rt)
    ended = (await alice.client.get(where)).json()
    assert (ended["status"], ended["progress"]["done"], ended["finished_at"] is None) == ("completed", 2, False)
    receipt = await alice.client.delete(f"{PATH}/{collection_id}")
    assert receipt.status_code == 200, receipt.text
    counts = receipt.json()["counts"]
    assert (receipt.json()["name"], receipt.json()["collection_id"]) == ("papers", collection_id)
    assert {name: counts[name] for name in ("documents", "versions", "chunks", "jobs", "objects")} == {
        **{"documents": 2, "versions": 2, "chunks": 4},
        **{"jobs": 2, "objects": 2},
    }
    assert (await alice.client.delete(f"{PATH}/{collection_id}")).json() == receipt.json()
    problem(await alice.client.delete(f"{PATH}/papers"), 404, "collection_not_found")
    problem(await alice.client.get(f"{PATH}/{collection_id}"), 404, "collection_not_found")
    assert await settled(rt) == await named(rt)
    assert [each async for each in audit(rt, fix=False)] == []
    assert len(await chunks_of(rt, kept)) == 2
    await driving.ready(rt, alice.tenant_id, paragraphs(1), collection="papers")
    assert (await shown(alice))["id"] != collection_id
    async with rt.sessions() as session:
        assert await session.get(Collection, collection_id) is None


async def test_a_collection_is_invisible_while_it_is_being_deleted(rt: Runtime, alice: Person) -> None:
    document_id = await driving.ready(rt, alice.tenant_id, paragraphs(2), collection="papers")
    kept = await driving.ready(rt, alice.tenant_id, paragraphs(2), collection="kept")
    of_document = f"/v1/documents/{document_id}"
    job_id = (await alice.client.get(of_document)).json()["job_id"]
    paths = [of_document + path for path in ("", "/status", "/report", "/events", "/content", "/chunks", "/pages/1")]
    paths += [f"{of_document}/pages/1.webp", f"{of_document}/pages/1/highlights?char_start=0&char_end=5"]
    async with rt.for_tenant(alice.tenant_id).transaction() as session:
        await collections.hide(session, "papers")
    for path in paths:
        problem(await alice.client.get(path), 404, "document_not_found")
    problem(await alice.client.patch(of_document, json={"metadata": {"a": 1}}), 404, "document_not_found")
    for answer in (alice.client.get(f"/v1/jobs/{job_id}"), alice.client.post(f"/v1/jobs/{job_id}/retry")):
        problem(await answer, 404, "job_not_found")
    assert [each["id"] for each in (await alice.client.get("/v1/documents")).json()["data"]] == [kept]
    assert [each["document_id"] for each in (await alice.client.get("/v1/jobs")).json()["data"]] == [kept]


async def test_an_upload_during_the_deletion_of_its_collection_is_accepted_and_deleted(
    rt: Runtime, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = accepting._make

    async def hidden_meanwhile(session: AsyncSession, asked: Any) -> Any:
        hidden = await collections.hide(session, asked.collection.id)
        await tasks.begin(session, "collection.delete", alice.tenant_id, hidden.id, hidden.name, 0)
        return await make(session, asked)

    with monkeypatch.context() as patch:
        patch.setattr(accepting, "_make", hidden_meanwhile)
        accepted = await driving.accept(rt, alice.tenant_id, "New.", collection="papers")
    problem(await alice.client.get(f"/v1/documents/{accepted.details.document.id}"), 404, "document_not_found")
    assert await deleted(rt, alice, accepted.details.document.collection_id) == 1


async def deleted(rt: Runtime, person: Person, collection_id: str) -> int:
    """Deletes it; how many documents the receipt counts."""
    await person.client.delete(f"{PATH}/{collection_id}")
    await driving.work_off(rt)
    return int((await person.client.delete(f"{PATH}/{collection_id}")).json()["counts"]["documents"])


async def test_the_default_collection_can_be_deleted_and_comes_back(rt: Runtime, alice: Person) -> None:
    await driving.ready(rt, alice.tenant_id, paragraphs(1))
    assert await deleted(rt, alice, (await shown(alice, "default"))["id"]) == 1
    empty = await made(alice, "empty")
    assert await deleted(rt, alice, empty["id"]) == 0
    assert set((await alice.client.delete(f"{PATH}/{empty['id']}")).json()["counts"].values()) == {0}
    await driving.ready(rt, alice.tenant_id, paragraphs(1))
    assert (await shown(alice, "default"))["counts"]["documents"] == 1
