"""Documents as the API shows them."""

import asyncio
import itertools
import json
from typing import Any

import pytest

from api.routes import documents as routes
from footnote.runtime import Runtime
from footnote.tenancy import keys
from tests import SAMPLES, driving
from tests.conftest import Person

pytestmark = pytest.mark.anyio
WEATHER = (SAMPLES / "weather.md").read_bytes()
STATUS_FIELDS = {
    *("document_id", "job_id", "status", "step", "started_at", "progress", "attempts", "retries", "waiting_for"),
    *("next_attempt_at", "heartbeat_at", "lease_until", "error", "steps"),
}
STEP_FIELDS = {"name", "status", "state", "started_at", "finished_at", "attempts", "counts"}


async def test_the_list_pages_newest_first_without_gaps_or_doubles(rt: Runtime, alice: Person) -> None:
    made = [(await driving.accept(rt, alice.tenant_id, f"text {number}")).details.document.id for number in range(7)]
    for limit in (1, 2, 3, 7, 100):
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            suffix = f"&cursor={cursor}" if cursor else ""
            page = (await alice.client.get(f"/v1/documents?limit={limit}{suffix}")).json()
            assert 0 < len(page["data"]) <= limit
            seen += [each["id"] for each in page["data"]]
            cursor = page["next_cursor"]
            if limit == 3 and len(seen) == 3:
                # What comes in meanwhile does not shift the pages.
                made.append((await driving.accept(rt, alice.tenant_id, "meanwhile")).details.document.id)
        expected = sorted(made, reverse=True)
        assert seen == ([each for each in expected if each != made[-1]] if limit == 3 else expected)


async def test_filters(rt: Runtime, alice: Person) -> None:
    ready = await driving.ready(rt, alice.tenant_id, "one", collection="a", external_id="x")
    queued = (await driving.accept(rt, alice.tenant_id, "two", collection="a")).details.document.id
    other = (await driving.accept(rt, alice.tenant_id, "three", collection="b")).details.document.id

    async def found(query: str) -> set[str]:
        answer = await alice.client.get(f"/v1/documents?{query}")
        return {each["id"] for each in answer.json()["data"]}

    assert await found("collection=a") == {ready, queued}
    assert await found("status=ready") == {ready}
    assert await found("status=ready&status=queued") == {ready, queued, other}
    assert await found("status=failed") == set()
    assert await found("external_id=x") == {ready}
    assert await found("external_id=x&collection=b") == set()
    collection_id = (await driving.document_of(rt, other)).collection_id
    assert await found(f"collection={collection_id}") == {other}


async def test_a_ready_document(rt: Runtime, alice: Person) -> None:
    document_id = await driving.ready(rt, alice.tenant_id, WEATHER, "weather.md")
    document = (await alice.client.get(f"/v1/documents/{document_id}")).json()
    assert document["status"] == "ready"
    assert document["media_type"] == "text/markdown"
    assert document["pages"] == 1
    assert document["chunks"] > 1
    status = (await alice.client.get(f"/v1/documents/{document_id}/status")).json()
    assert set(status) == STATUS_FIELDS
    assert [step["name"] for step in status["steps"]] == ["chunk", "embed", "upsert"]
    assert all(set(step) == STEP_FIELDS and step["status"] == step["state"] == "succeeded" for step in status["steps"])
    assert status["status"] == "ready"
    assert status["waiting_for"] is None
    assert status["next_attempt_at"] is None
    assert status["error"] is None


async def test_a_queued_document_says_what_it_waits_for(rt: Runtime, alice: Person) -> None:
    accepted = await driving.accept(rt, alice.tenant_id, "text")
    status = (await alice.client.get(f"/v1/documents/{accepted.details.document.id}/status")).json()
    assert status["status"] == "queued"
    assert status["waiting_for"]
    assert status["progress"] == {"done": 0, "total": None, "unit": "pages"}
    for path in ("pages/1", "chunks"):
        answer = await alice.client.get(f"/v1/documents/{accepted.details.document.id}/{path}")
        assert answer.status_code == (404 if path == "pages/1" else 200)


async def test_a_failed_document_says_why(rt: Runtime, alice: Person) -> None:
    empty = (SAMPLES / "no_text.pdf").read_bytes()
    accepted = await driving.accept(rt, alice.tenant_id, empty, "scan.pdf")
    await driving.run(rt, accepted.details.job.id)
    document = (await alice.client.get(f"/v1/documents/{accepted.details.document.id}")).json()
    assert document["status"] == "failed"
    assert document["error"]["code"] == "no_text"
    assert document["error"]["message"]


async def test_chunks_stand_literally_in_their_pages(rt: Runtime, alice: Person) -> None:
    handbook = (SAMPLES / "handbook.pdf").read_bytes()
    for content, name in ((WEATHER, "weather.md"), (handbook, "handbook.pdf")):
        document_id = await driving.ready(rt, alice.tenant_id, content, name)
        seen: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            suffix = f"&cursor={cursor}" if cursor else ""
            answer = (await alice.client.get(f"/v1/documents/{document_id}/chunks?limit=3{suffix}")).json()
            seen, cursor = seen + answer["data"], answer["next_cursor"]
        document = (await alice.client.get(f"/v1/documents/{document_id}")).json()
        assert [chunk["position"] for chunk in seen] == list(range(document["chunks"]))
        assert len({chunk["chunk_id"] for chunk in seen}) == len(seen)
        for chunk in seen:
            page = (await alice.client.get(f"/v1/documents/{document_id}/pages/{chunk['page_start']}")).json()
            assert (page["char_start"], page["char_end"], page["characters"]) == (0, *[len(page["text"])] * 2)
            assert page["pages"] == document["pages"]
            assert page["text"][chunk["char_start"] : chunk["char_end"]] == chunk["text"]
        beyond = await alice.client.get(f"/v1/documents/{document_id}/pages/{document['pages'] + 1}")
        assert (beyond.status_code, beyond.json()["code"]) == (404, "page_not_found")


@pytest.mark.parametrize("name", ["a.txt", "é 東京.html", 'quote".md', "semi;colon\\.txt", "%41%0d.txt"])
async def test_content_is_the_upload_and_never_shown_inline(rt: Runtime, alice: Person, name: str) -> None:
    content = b"<html><body><script>alert(1)</script>" + b"text " * 300_000
    accepted = await driving.accept(rt, alice.tenant_id, content, name)
    answer = await alice.client.get(f"/v1/documents/{accepted.details.document.id}/content")
    assert answer.content == content
    assert int(answer.headers["content-length"]) == len(content)
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["content-disposition"].isascii()
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_content_that_is_still_to_be_fetched_is_not_found(alice: Person) -> None:
    accepted = await alice.client.post("/v1/documents/url", json={"url": "http://example.com/a.txt"})
    answer = await alice.client.get(f"/v1/documents/{accepted.json()['document']['id']}/content")
    assert (answer.status_code, answer.json()["code"]) == (404, "content_not_found")


async def test_content_that_is_gone_is_an_error_and_not_half_an_answer(rt: Runtime, alice: Person) -> None:
    accepted = await driving.accept(rt, alice.tenant_id, "text")
    await rt.store.delete(accepted.details.version.object_key or "")
    answer = await alice.client.get(f"/v1/documents/{accepted.details.document.id}/content")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "object_missing"


async def test_a_new_version_is_seen_whole_or_not_at_all(rt: Runtime, alice: Person) -> None:
    first = await driving.ready(rt, alice.tenant_id, "The old lamp burned oil.", external_id="lamp")
    accepted = await driving.accept(rt, alice.tenant_id, "The new lamp burns gas.", external_id="lamp")
    assert accepted.details.document.id == first

    async def shown() -> tuple[str, str]:
        page = (await alice.client.get(f"/v1/documents/{first}/pages/1")).json()
        hits = (await alice.client.post("/v1/search", json={"query": "lamp"})).json()["data"]
        assert len(hits) == 1
        return page["text"].strip(), hits[0]["text"]

    assert await shown() == ("The old lamp burned oil.",) * 2
    await driving.run(rt, accepted.details.job.id)
    assert await shown() == ("The new lamp burns gas.",) * 2
    assert (await alice.client.get(f"/v1/documents/{first}")).json()["version"] == 2


def frames(body: str) -> list[tuple[str, Any]]:
    found = []
    for frame in body.replace("\r\n", "\n").strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in frame.split("\n") if not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


async def test_events_end_with_the_last_status(rt: Runtime, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "POLL_SECONDS", 0.01)
    document_id = await driving.ready(rt, alice.tenant_id, "one")
    answer = await alice.client.get(f"/v1/documents/{document_id}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [(name, body["status"]) for name, body in frames(answer.text)] == [("status", "ready")]

    accepted = await driving.accept(rt, alice.tenant_id, "two")
    steps = iter(["chunk", "embed", "upsert"])
    real = routes._status

    async def and_work(rt: Runtime, document_id: str) -> Any:
        """One step of work between two looks; the tests' one connection serves no two at once."""
        step = next(steps, None)
        if step:
            await routes_step(rt, accepted.details.job.id, step)
        return await real(rt, document_id)

    from footnote.ingest import run_step as routes_step

    url = f"/v1/documents/{accepted.details.document.id}/events"
    first = await real(rt.for_tenant(alice.tenant_id), accepted.details.document.id)
    assert first.status == "queued"
    monkeypatch.setattr(routes, "_status", and_work)
    answer = await asyncio.wait_for(alice.client.get(url), 60)
    seen = frames(answer.text)
    assert {name for name, _ in seen} == {"status"}
    assert [body["step"] for _, body in seen] == ["embed", "upsert", "upsert"]
    assert [body["status"] for _, body in seen] == ["queued", "queued", "ready"]
    assert set(seen[-1][1]) == STATUS_FIELDS


async def test_events_end_with_the_key(rt: Runtime, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "POLL_SECONDS", 0.01)
    accepted = await driving.accept(rt, alice.tenant_id, "one")
    async with rt.transaction() as session:
        key, secret = await keys.create(session, alice.tenant_id, "short", ["read"])
    looks = itertools.count()
    real = routes._status

    async def and_revoked(rt: Runtime, document_id: str) -> Any:
        """Each look sees a change; the key is revoked before the third, and who asked hears of two."""
        look = next(looks)
        if look == 2:
            async with rt.transaction() as session:
                await keys.revoke(session, key.id)
        found = await real(rt, document_id)
        return found.model_copy(update={"attempts": look})

    monkeypatch.setattr(routes, "_status", and_revoked)
    url = f"/v1/documents/{accepted.details.document.id}/events"
    given = {"Authorization": f"Bearer {secret}"}
    answer = await asyncio.wait_for(alice.client.get(url, headers=given), 60)
    assert len(frames(answer.text)) == 2


async def test_chunks_say_the_context_that_they_are_indexed_with(rt: Runtime, alice: Person) -> None:
    rows = "\n".join(f"| PX-{number} | {number} | Lund |" for number in range(100, 200))
    table = f"# Parts\n\n| Part no. | Length (cm) | Town |\n|---|---|---|\n{rows}\n"
    document_id = await driving.ready(rt, alice.tenant_id, table.encode(), "parts_in_store.md")
    chunks = (await alice.client.get(f"/v1/documents/{document_id}/chunks?limit=100")).json()["data"]
    assert chunks[0]["context"] == "parts in store > Parts"
    assert {chunk["context"] for chunk in chunks[1:]} == {"parts in store > Parts\nPart no. | Length (cm) | Town"}
    asked = {"query": 'PX-180 "Length (cm)"', "mode": "keyword"}
    (hit, *_) = (await alice.client.post("/v1/search", json=asked)).json()["data"]
    assert "PX-180" in hit["text"]
    assert "Length" not in hit["text"]


async def test_navigation_is_stored_and_not_searched(rt: Runtime, alice: Person) -> None:
    links = "".join(f"<li><a href=/{number}>Xylophones {number}</a></li>" for number in range(9))
    article = f"<main><h1>Refunds</h1><p>{'Money is paid back within fourteen days. ' * 9}</p></main>"
    document_id = await driving.ready(rt, alice.tenant_id, f"<nav><ul>{links}</ul></nav>{article}".encode(), "a.html")
    page = (await alice.client.get(f"/v1/documents/{document_id}/pages/1")).json()
    assert "Xylophones 8" in page["text"]
    for words, found in (("xylophones", 0), ("money", 1)):
        hits = (await alice.client.post("/v1/search", json={"query": words, "mode": "keyword"})).json()["data"]
        assert len(hits) == found


async def test_a_part_of_a_long_page_is_cut_by_code_points(rt: Runtime, alice: Person) -> None:
    whole = "🪔🪔🪔 The lamp burns. " + "Words go on. " * 300
    document_id = await driving.ready(rt, alice.tenant_id, whole, "long.txt")

    async def part(**query: int) -> dict[str, Any]:
        answer: dict[str, Any] = (await alice.client.get(f"/v1/documents/{document_id}/pages/1", params=query)).json()
        assert answer["text"] == text[answer["char_start"] : answer["char_end"]]
        assert (answer["page"], answer["pages"], answer["version"], answer["characters"]) == (1, 1, 1, len(text))
        return answer

    text = (await alice.client.get(f"/v1/documents/{document_id}/pages/1")).json()["text"]
    assert (await part(char_start=4, char_end=12))["text"] == "The lamp"
    assert (await part(char_start=4, char_end=12, around=2))["text"] == "🪔 The lamp b"
    assert (await part(char_start=4, char_end=12, around=9))["char_start"] == 0
    assert (await part(char_start=len(text) - 3))["char_end"] == len(text)
    beyond = await part(char_start=len(text) + 50, char_end=len(text) + 60)
    assert (beyond["text"], beyond["char_start"]) == ("", len(text))
