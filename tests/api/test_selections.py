"""Many documents at once, and the list in which they are found."""

from typing import Any

import pytest
from sqlalchemy import func, select

from footnote import documents, jobs
from footnote.documents import selections
from footnote.jobs import tasks
from footnote.models import BackgroundTask, Document, Job
from footnote.runtime import Runtime
from tests import driving
from tests.api.test_errors import problem
from tests.conftest import Person

pytestmark = pytest.mark.anyio
NAMES = ("Beta 100%.md", "alpha.md", "Gamma_1.md", "delta.md", "Epsilon.md")


async def stored(rt: Runtime, person: Person) -> list[str]:
    return [await driving.ready(rt, person.tenant_id, f"# Lamp {each}\n\nIt burns.", each) for each in NAMES]


async def listed(person: Person, **query: Any) -> list[str]:
    answer = await person.client.get("/v1/documents", params=query)
    assert answer.status_code == 200, answer.text
    return [each["filename"] for each in answer.json()["data"]]


async def test_the_list_is_ordered_searched_and_counted(rt: Runtime, alice: Person, charlie: Person) -> None:
    await stored(rt, alice)
    await driving.ready(rt, charlie.tenant_id, "alpha of others", "alpha.md")
    by_name = ["alpha.md", "Beta 100%.md", "delta.md", "Epsilon.md", "Gamma_1.md"]
    assert await listed(alice, sort="name") == by_name
    assert await listed(alice, sort="oldest") == list(NAMES)
    assert await listed(alice) == list(reversed(NAMES))
    assert await listed(alice, q="ALPHA") == ["alpha.md"]
    assert await listed(alice, q="0%") == ["Beta 100%.md"], "no wildcards"
    assert await listed(alice, q="_") == ["Gamma_1.md"]
    assert await listed(alice, sort="name", offset=1, limit=2) == by_name[1:3]
    assert await listed(alice, status="ready", offset=4) == [NAMES[0]]
    for sort, whole in (("name", by_name), ("oldest", list(NAMES)), ("newest", list(reversed(NAMES)))):
        found: list[str] = []
        cursor = None
        while cursor is not None or not found:
            behind = f"&cursor={cursor}" if cursor else ""
            page = (await alice.client.get(f"/v1/documents?sort={sort}&limit=2{behind}")).json()
            found += [each["filename"] for each in page["data"]]
            cursor = page["next_cursor"]
        assert found == whole
    for query, total in (("", 5), ("&collection=default", 5), ("&q=a&status=ready", 4), ("&q=x", 0)):
        page = (await alice.client.get(f"/v1/documents?total=true&limit=1{query}")).json()
        assert page["total"] == total, query
    gone = await driving.ready(rt, alice.tenant_id, "gone", "b.md")
    await alice.client.delete(f"/v1/documents/{gone}")
    assert "deleted" in problem(await alice.client.get(f"/v1/documents?sort=name&cursor={gone}"), 422)["detail"]
    assert "sort" in problem(await alice.client.get("/v1/documents?sorted=name"), 422)["detail"]


async def test_files_that_are_there_are_known_by_their_bytes(rt: Runtime, alice: Person, charlie: Person) -> None:
    document_id = await driving.ready(rt, alice.tenant_id, "The lamp burns.", "lamp.md", external_id="a/lamp.md")
    sha256 = (await alice.client.get(f"/v1/documents/{document_id}")).json()["sha256"]
    asked = {"sha256": [sha256.upper(), 64 * "0"]}
    answer = (await alice.client.post("/v1/documents/known", json=asked)).json()
    assert answer["data"] == [
        {
            "sha256": sha256,
            "document_id": document_id,
            "external_id": "a/lamp.md",
            "filename": "lamp.md",
            "status": "ready",
        }
    ]
    for person, more in ((alice, {"collection": "new"}), (charlie, {})):
        assert (await person.client.post("/v1/documents/known", json=asked | more)).json()["data"] == []


async def progress(person: Person, task: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await person.client.get(f"/v1/tasks/{task['id']}")).json()
    return found


async def test_chosen_documents_are_deleted(rt: Runtime, alice: Person, charlie: Person) -> None:
    chosen = await stored(rt, alice)
    others = await driving.ready(rt, charlie.tenant_id, "of others")
    answer = await alice.client.post("/v1/documents/delete", json={"ids": [*chosen[:2], others, "doc_x"]})
    assert answer.status_code == 202
    task = answer.json()
    assert answer.headers["Location"] == f"/v1/tasks/{task['id']}"
    assert (task["progress"]["total"], task["status"], task["subject_id"]) == (2, "queued", task["id"])
    await alice.client.delete(f"/v1/documents/{chosen[0]}")  # by another, in between
    late = await driving.ready(rt, alice.tenant_id, "later", "alpha too.md")
    await driving.work_off(rt)
    assert (await progress(alice, task))["status"] == "completed"
    assert await listed(alice) == ["alpha too.md", *reversed(NAMES[2:])]
    assert (await charlie.client.get(f"/v1/documents/{others}")).status_code == 200
    where = {"where": {"q": "A", "status": ["ready"], "collection": "default"}}
    task = (await alice.client.post("/v1/documents/delete", json=where)).json()
    await driving.work_off(rt)
    assert (await progress(alice, task))["progress"] == {"done": 3, "total": 3, "unit": "documents"}
    assert await listed(alice) == ["Epsilon.md"]
    assert (await alice.client.delete(f"/v1/documents/{late}")).json()["counts"]["documents"] == 1, "the receipt"


@pytest.mark.parametrize("body", [{}, {"ids": []}, {"where": {}}, {"ids": ["doc_x"], "where": {"q": "a"}}])
async def test_a_choice_of_nothing_or_everything_is_refused(alice: Person, body: dict[str, Any]) -> None:
    for what in ("delete", "reingest"):
        problem(await alice.client.post(f"/v1/documents/{what}", json=body), 422)


@pytest.mark.parametrize("action", ["delete", "reingest"])
async def test_what_a_condition_can_fail_for_is_described(alice: Person, action: str) -> None:
    for where, status in (({"collection": "none"}, 404), ({"filter": {"near": "x"}}, 422)):
        problem(await alice.client.post(f"/v1/documents/{action}", json={"where": where}), status)


async def test_more_than_a_task_takes_is_refused(
    rt: Runtime, alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stored(rt, alice)
    monkeypatch.setattr(selections, "MOST", 4)
    refused = await alice.client.post("/v1/documents/delete", json={"where": {"collection": "default"}})
    assert "more than 4" in problem(refused, 422)["detail"]
    problem(await bob.client.post("/v1/documents/delete", json={"ids": ["doc_x"]}), 403)
    assert len(await listed(alice)) == 5


async def test_chosen_documents_are_read_again(rt: Runtime, alice: Person) -> None:
    ready, busy = (await stored(rt, alice))[:2]
    failed = (await driving.accept(rt, alice.tenant_id, "The lamp of a job that failed.")).details.document.id
    await driving.set_job(
        rt, (await driving.document_of(rt, failed)).job_id, state="failed", step="embed", error_code="no_text"
    )
    await driving.set_job(rt, (await driving.document_of(rt, busy)).job_id, state="running")
    before = {each: (await driving.document_of(rt, each)).job_id for each in (ready, failed, busy)}
    task = (await alice.client.post("/v1/documents/reingest", json={"ids": [ready, failed, busy]})).json()
    await driving.work_off(rt)
    assert (await progress(alice, task))["status"] == "completed"
    shown = {each: (await alice.client.get(f"/v1/documents/{each}")).json() for each in before}
    assert [shown[each]["job_id"] == before[each] for each in (ready, failed, busy)] == [False, True, True]
    assert [shown[each]["status"] for each in (ready, failed, busy)] == ["queued", "queued", "running"]
    assert (shown[failed]["step"], shown[ready]["version"]) == ("chunk", 2)
    for each in (ready, failed):
        await driving.run(rt, shown[each]["job_id"])
        assert (await alice.client.get(f"/v1/documents/{each}")).json()["status"] == "ready"


async def test_chosen_documents_are_moved_to_a_new_collection(
    rt: Runtime, alice: Person, bob: Person, charlie: Person
) -> None:
    ids = await stored(rt, alice)
    twin = await driving.ready(rt, alice.tenant_id, "One.", "twin.md", external_id="e")
    await driving.ready(rt, alice.tenant_id, "Another.", "other.md", external_id="e", collection="archive")
    async with rt.transaction() as session:
        (await session.get_one(Document, ids[1])).parent_id = ids[0]
    chosen = {"ids": [*ids[:3], twin, "doc_unknown"], "collection": "archive"}
    problem(await bob.client.post("/v1/documents/move", json=chosen), 403)
    problem(await alice.client.post("/v1/documents/move", json=chosen | {"collection": "no name!"}), 422)
    begun = await alice.client.post("/v1/documents/move", json=chosen)
    assert begun.status_code == 202
    assert begun.json()["progress"]["total"] == 4
    await driving.work_off(rt)
    over = await progress(alice, begun.json())
    assert (over["kind"], over["status"], over["progress"]["done"]) == ("documents.move", "completed", 3)
    assert await listed(alice, collection="archive", sort="name") == [
        "alpha.md",
        "Beta 100%.md",
        "Gamma_1.md",
        "other.md",
    ]
    assert await listed(alice, collection="default", sort="oldest") == ["delta.md", "Epsilon.md", "twin.md"]
    for each in (await alice.client.get("/v1/collections")).json()["data"]:
        assert each["counts"]["documents"] == {"archive": 4, "default": 3}[each["name"]]
    by_name = {"where": {"collection": "archive", "q": "a"}, "collection": "default"}
    task = (await alice.client.post("/v1/documents/move", json=by_name)).json()
    for _ in range(2):  # as if the process died before it noted that the first one is done
        async with rt.transaction() as session:
            begun_ = await session.get_one(BackgroundTask, task["id"])
        assert await selections.move_next(rt, begun_) == 1
    await driving.work_off(rt)
    assert await listed(alice, collection="archive") == ["other.md"]
    assert (await charlie.client.get("/v1/documents")).json()["data"] == []


async def test_a_document_is_moved_and_its_metadata_changed_in_one_request(
    rt: Runtime, alice: Person, charlie: Person
) -> None:
    document = (await stored(rt, alice))[0]
    path = f"/v1/documents/{document}"
    moved = await alice.client.patch(path, json={"collection": "archive", "metadata": {"year": 2019}})
    assert (moved.json()["collection"], moved.json()["metadata"]) == ("archive", {"year": 2019})
    assert moved.json()["status"] == "ready"
    for body in ({}, {"collection": ""}, {"collection": "no name!"}):
        problem(await alice.client.patch(path, json=body), 422)
    problem(await alice.client.patch(path, json={"collection": "col_unknown"}), 404)
    problem(await charlie.client.patch(path, json={"collection": "default"}), 404)
    refused = {"collection": "default", "metadata": {"much": "x" * 100_000}}
    assert (await alice.client.patch(path, json=refused)).status_code in (413, 422)
    assert (await alice.client.get(path)).json()["collection"] == "archive", "both or none"


async def test_a_task_that_is_resumed_does_nothing_twice(rt: Runtime, alice: Person) -> None:
    ids = (await stored(rt, alice))[:2]
    async with rt.for_tenant(alice.tenant_id).transaction() as session:
        task = await selections.begin(session, "documents.reingest", ids)
    for _ in range(2):  # as if the process died before it noted that the first one is done
        assert await selections.reingest_next(rt, task) == 1
    assert (await driving.document_of(rt, ids[0])).newest_version == 2
    async with rt.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(Job).where(Job.reingestion)) == 1
        assert (await session.get_one(BackgroundTask, task.id)).document_ids == ids
    await tasks.finish(rt.operator, task.id, selections.reingest_next)
    assert (await driving.document_of(rt, ids[1])).newest_version == 2
    async with rt.transaction() as session:
        assert (await session.get_one(BackgroundTask, task.id)).document_ids is None


async def test_files_found_in_a_document_are_listed(rt: Runtime, alice: Person) -> None:
    outer, inner = (await stored(rt, alice))[:2]
    async with rt.transaction() as session:
        (await session.get_one(Document, inner)).parent_id = outer
    assert await listed(alice, parent_id=outer) == [NAMES[1]]
    async with rt.for_tenant(alice.tenant_id).transaction() as session:
        assert await documents.count_documents(session, documents.DocumentFilter(parent_id=outer)) == 1
    assert jobs.UNFINISHED


async def test_first_questions_are_made_of_headings(rt: Runtime, alice: Person, charlie: Person) -> None:
    rise, sand = 60 * "They rise. ", 60 * "Sand. "
    text = f"# Harbour\n\n{sand}\n\n## 1. Dues of the harbour\n\n{rise}\n\n## 2. Dredging\n\n{sand}\n\n## X\n\n{rise}\n"
    await driving.ready(rt, alice.tenant_id, text, "harbour.md", collection="sea")
    await driving.ready(rt, alice.tenant_id, "# Dredging\n\nAgain.", "other.md", collection="sea")
    found = (await alice.client.get("/v1/collections/sea/suggestions?limit=5")).json()["data"]
    assert {each["heading"] for each in found} == {"Dredging", "Dues of the harbour", "Harbour"}
    assert found[0]["question"] == "What does it say about “Dredging”?"
    assert found[0]["filename"] == "other.md"
    problem(await charlie.client.get("/v1/collections/sea/suggestions"), 404)
