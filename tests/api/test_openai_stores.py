"""Vector stores, their files and batches, through OpenAI's client and natively: the same rows from both sides."""

import io
from typing import Any
from zipfile import ZipFile

import openai
import pytest
from sqlalchemy import update

from footnote import collections
from footnote.database.clock import from_now
from footnote.documents import file_batches, reingestion
from footnote.errors import Unavailable
from footnote.models import Collection
from footnote.operations.consistency import audit
from tests import driving
from tests.api.openai_client import refused
from tests.api.openai_surface import Surface, surface
from tests.driving import paragraphs
from tests.stored import named, settled
from worker import housekeeping

__all__ = ["surface"]  # a fixture

pytestmark = pytest.mark.anyio
STORES = "/openai/v1/vector_stores"
UNKNOWN = 26 * "0"
LAMP = "The zircon lamp was lit by Agnes Tolmie in the year 1874."
LENS = "The lens of the tower was ground in Paris by Henri Lepaute."


async def store_of(surface: Surface, *texts: str, **given: Any) -> tuple[str, list[str]]:
    """A store with a completed file of each text."""
    ids = [await surface.send(text, f"{place}.txt") for place, text in enumerate(texts)]
    store = await surface.client.vector_stores.create(file_ids=ids, **given)
    await surface.work()
    return store.id, ids


async def native_document(surface: Surface, store: str, file_id: str) -> dict[str, Any]:
    """What the native API shows of a file in a store."""
    own = await surface.client.vector_stores.files.retrieve(file_id, vector_store_id=store)
    listed = await surface.native.get("/v1/documents", params={"collection": "col_" + store[3:]})
    (found,) = [each for each in listed.json()["data"] if each["metadata"] == (own.attributes or {})]
    return dict(found)


# -- stores --------------------------------------------------------------------------------------------------


async def test_a_store_is_a_collection(surface: Surface) -> None:
    client = surface.client
    made = await client.vector_stores.create(
        name="A name of more than sixty-three characters, and not the only store that is called so",
        metadata={"te\x00am": "kee\x00pers"},  # what Postgres cannot store is left out
        expires_after={"anchor": "last_active_at", "days": 7},
        description="Everything about lamps.",
    )
    twin = await client.vector_stores.create(name=made.name)
    assert (made.object, made.status, made.usage_bytes, made.metadata) == (
        "vector_store",
        "completed",
        0,
        {"team": "keepers"},
    )
    assert made.file_counts.model_dump() == dict.fromkeys(
        ("in_progress", "completed", "failed", "cancelled", "total"), 0
    )
    assert made.expires_after
    assert (made.expires_after.days, made.expires_after.anchor) == (7, "last_active_at")
    assert made.last_active_at
    assert made.expires_at == made.last_active_at + 7 * 86400
    told = (await client.vector_stores.with_raw_response.create()).http_response.json()
    assert (told["name"], told["metadata"], told["expires_at"]) == ("", None, None)
    assert "expires_after" not in told, "left out when unset"
    collection = (await surface.native.get(f"/v1/collections/col_{made.id[3:]}")).json()
    assert (collection["name"], collection["metadata"]) == (made.id, {"team": "keepers"})

    native = (
        await surface.native.post("/v1/collections", json={"name": "native", "metadata": {"a": 1, "b": "c"}})
    ).json()
    seen = await client.vector_stores.retrieve("vs_" + native["id"][4:])
    assert (seen.name, seen.metadata, seen.last_active_at) == ("native", {"b": "c"}, None)
    ids = [made.id, twin.id, told["id"], seen.id]
    assert [each.id async for each in client.vector_stores.list(limit=2)] == ids[::-1]
    assert [each.id async for each in client.vector_stores.list(limit=3, order="asc", after=ids[0])] == ids[1:]

    changed = await client.vector_stores.update(seen.id, name="Shown", metadata={"d": "\x00e"}, expires_after=None)
    assert (changed.name, changed.metadata, changed.expires_after) == ("Shown", {"d": "e"}, None)
    collection = (await surface.native.get(f"/v1/collections/{native['id']}")).json()
    assert (collection["name"], collection["metadata"]) == ("native", {"a": 1, "d": "e"}), (
        "replaced, but for what is no text"
    )
    assert (await client.vector_stores.update(seen.id, metadata={})).metadata is None
    for store in ids:
        gone = await client.vector_stores.delete(store)
        assert (gone.id, gone.object, gone.deleted) == (store, "vector_store.deleted", True)
        for look in (client.vector_stores.retrieve, client.vector_stores.delete):
            with pytest.raises(openai.NotFoundError):
                await look(store)
    await surface.work()


async def test_a_store_counts_its_files_and_leaves_them_when_it_goes(surface: Surface) -> None:
    client = surface.client
    ids = [await surface.send(LAMP, "lamp.txt"), await surface.send(b"\x89PNG\r\n\x1a\n", "a.png")]
    store = await client.vector_stores.create(name="lamps", file_ids=[*ids, "file-" + UNKNOWN])
    assert (store.status, store.file_counts.in_progress, store.file_counts.total) == ("in_progress", 3, 3)
    raw = await client.vector_stores.with_raw_response.retrieve(store.id)
    assert int(raw.headers["openai-poll-after-ms"]) == 500
    await surface.work()
    store = await client.vector_stores.retrieve(store.id)
    assert (store.status, store.usage_bytes) == ("completed", len(LAMP) + 8)
    assert store.file_counts.model_dump() == {"in_progress": 0, "completed": 1, "failed": 2, "cancelled": 0, "total": 3}
    assert "openai-poll-after-ms" not in (await client.vector_stores.with_raw_response.retrieve(store.id)).headers
    await client.vector_stores.delete(store.id)
    await surface.work()
    for file_id in ids:
        assert (await client.files.retrieve(file_id)).id == file_id, "files stay"
        await client.files.delete(file_id)


# -- files of a store ----------------------------------------------------------------------------------------


async def test_a_file_is_attached_and_polled(surface: Surface) -> None:
    client = surface.client
    store = (await client.vector_stores.create(name="lamps")).id
    file_id = await surface.send(LAMP, "lamp.txt")
    attributes: dict[str, str | float | bool] = {"year": 1874, "lit": True, "weight": 1.5, "keeper": "Tolmie"}
    made = await client.vector_stores.files.create(store, file_id=file_id, attributes=attributes)
    assert (made.id, made.object, made.vector_store_id) == (file_id, "vector_store.file", store)
    assert (made.status, made.last_error) == ("in_progress", None)
    async with surface.working():
        done = await client.vector_stores.files.poll(file_id, vector_store_id=store)
    assert (done.status, done.usage_bytes, done.attributes) == ("completed", len(LAMP), attributes)
    assert done.attributes
    assert done.attributes["lit"] is True, "and no number"
    again = await client.vector_stores.files.create(store, file_id=file_id)
    assert (again.id, again.status, again.created_at) == (file_id, "completed", made.created_at)
    assert (await client.vector_stores.retrieve(store)).file_counts.total == 1, "never a second one"

    native = await native_document(surface, store, file_id)
    assert (native["status"], native["metadata"], native["filename"]) == ("ready", attributes, "lamp.txt")
    await surface.native.patch(f"/v1/documents/{native['id']}", json={"metadata": {"tags": ["a"], "year": None}})
    seen = await client.vector_stores.files.retrieve(file_id, vector_store_id=store)
    assert seen.attributes == {"lit": True, "weight": 1.5, "keeper": "Tolmie"}, "only flat members are shown"
    replaced = await client.vector_stores.files.update(file_id, vector_store_id=store, attributes={"new": 1})
    assert replaced.attributes == {"new": 1}
    assert (await surface.native.get(f"/v1/documents/{native['id']}")).json()["metadata"] == {"new": 1, "tags": ["a"]}
    content = [each.text async for each in await client.vector_stores.files.content(file_id, vector_store_id=store)]
    assert content == [LAMP]
    raw = (
        await client.vector_stores.files.with_raw_response.content(file_id, vector_store_id=store)
    ).http_response.json()
    assert raw == {
        "object": "vector_store.file_content.page",
        "data": [{"type": "text", "text": LAMP}],
        "has_more": False,
        "next_page": None,
    }

    other, _ = await store_of(surface)
    async with surface.working():
        await client.vector_stores.files.create_and_poll(file_id, vector_store_id=other)
    gone = await client.vector_stores.files.delete(file_id, vector_store_id=store)
    assert (gone.id, gone.object, gone.deleted) == (file_id, "vector_store.file.deleted", True)
    assert (await surface.native.get(f"/v1/documents/{native['id']}")).status_code == 404
    with pytest.raises(openai.NotFoundError):
        await client.vector_stores.files.retrieve(file_id, vector_store_id=store)
    assert (await client.vector_stores.files.retrieve(file_id, vector_store_id=other)).status == "completed"
    await client.files.delete(file_id)
    assert [each async for each in client.vector_stores.files.list(other)] == [], "chunks do not outlive a file"
    found = await client.vector_stores.search(other, query="Who lit the zircon lamp?")
    assert found.data == []
    for each in (store, other):
        await client.vector_stores.delete(each)
    await surface.work()


async def test_a_file_that_cannot_be_read_has_failed_and_says_why(surface: Surface) -> None:
    client = surface.client
    store = (await client.vector_stores.create()).id
    wrong = {
        "unsupported_file": (b"\x89PNG\r\n\x1a\n", "a.png", "PNG"),
        "invalid_file": (b"%PDF-1.4 nothing", "a.pdf", "damaged"),
    }
    for code, (content, filename, words) in wrong.items():
        file_id = await surface.send(content, filename)
        await client.vector_stores.files.create(store, file_id=file_id)
        for _ in range(2):
            await surface.work()
            failed = await client.vector_stores.files.retrieve(file_id, vector_store_id=store)
            assert failed.last_error
            assert (failed.status, failed.last_error.code) == ("failed", code), failed.last_error
            assert words in failed.last_error.message
            again = await client.vector_stores.files.create(store, file_id=file_id)
            assert (again.status, again.last_error) == ("in_progress", None), "another attempt"
        await surface.work()
    counts = (await client.vector_stores.retrieve(store)).file_counts
    assert (counts.failed, counts.completed, counts.total) == (2, 0, 2)
    # One character that no encoding has does not make a text an unsupported file.
    text = await surface.send(LAMP.encode() + b" \x9d", "odd.txt")
    async with surface.working():
        assert (await client.vector_stores.files.create_and_poll(text, vector_store_id=store)).status == "completed"
    states = {each.id: each.status async for each in client.vector_stores.files.list(store, limit=1)}
    assert sorted(states.values()) == ["completed", "failed", "failed"]
    for status in ("completed", "failed", "in_progress", "cancelled"):
        listed = [each.id async for each in client.vector_stores.files.list(store, filter=status, limit=1)]
        assert listed == [each for each, state in states.items() if state == status]
    for file_id in states:
        await client.files.delete(file_id)
    await client.vector_stores.delete(store)
    await surface.work()


async def test_what_cannot_be_attached_is_refused_and_changes_nothing(surface: Surface) -> None:
    store, (file_id,) = await store_of(surface, LAMP)
    path = f"{STORES}/{store}/files"
    many = {f"key{number}": 1 for number in range(17)}
    static = {"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 401}}
    small = {"type": "static", "static": {"max_chunk_size_tokens": 99, "chunk_overlap_tokens": 0}}
    bodies: list[tuple[dict[str, Any], int, str, str | None]] = [
        ({"file_id": "file-" + UNKNOWN}, 404, "not_found", None),
        ({"file_id": "doc_1"}, 400, "invalid_value", "file_id"),
        ({}, 400, "missing_required_parameter", "file_id"),
        ({"file_id": file_id, "attributes": many}, 400, "invalid_value", "attributes"),
        ({"file_id": file_id, "attributes": {"a": "x" * 513}}, 400, "invalid_value", "attributes"),
        ({"file_id": file_id, "attributes": {"a" * 65: 1}}, 400, "invalid_value", "attributes"),
        ({"file_id": file_id, "attributes": {"a": [1]}}, 400, "invalid_value", "attributes"),
        ({"file_id": file_id, "chunking_strategy": static}, 400, "invalid_value", "chunking_strategy.static"),
        ({"file_id": file_id, "chunking_strategy": {"type": "static"}}, 400, "invalid_value", "chunking_strategy"),
        (
            {"file_id": file_id, "chunking_strategy": small},
            400,
            "invalid_value",
            "chunking_strategy.static.max_chunk_size_tokens",
        ),
    ]
    for body, status, code, param in bodies:
        refused(await surface.native.post(path, json=body), status, code, param)
    lenient = {"file_id": file_id, "attributes": None, "chunking_strategy": None, "of": {"another": "server"}}
    assert (await surface.native.post(path, json=lenient)).status_code == 200
    refused(await surface.native.post(f"{STORES}/vs_{UNKNOWN}/files", json={"file_id": file_id}), 404, "not_found")
    refused(await surface.native.get(f"{STORES}/{store}/files?filter=done"), 400, "invalid_value", "filter")
    refused(await surface.native.get(f"{STORES}/col_1"), 400, "invalid_value", "vector_store_id")
    theirs = surface.theirs.native
    for method, rest in (
        ("GET", ""),
        ("POST", ""),
        ("DELETE", ""),
        ("GET", "/files"),
        ("GET", f"/files/{file_id}"),
        ("GET", f"/files/{file_id}/content"),
        ("DELETE", f"/files/{file_id}"),
    ):
        sent: Any = {} if method == "POST" else None
        told = refused(await theirs.request(method, f"{STORES}/{store}{rest}", json=sent), 404, "not_found")
        unknown = await theirs.request(method, f"{STORES}/vs_{UNKNOWN}{rest}", json=sent)
        assert refused(unknown, 404, "not_found").replace(f"vs_{UNKNOWN}", store) == told, "the same words"
    assert (await surface.client.vector_stores.retrieve(store)).file_counts.completed == 1
    await surface.client.files.delete(file_id)


async def test_chunks_are_as_long_as_was_asked(surface: Surface) -> None:
    client = surface.client
    store = (await client.vector_stores.create()).id
    strategies: list[tuple[Any, tuple[int, int], int]] = [
        (openai.omit, (100, 12), 9),
        ({"type": "auto"}, (100, 12), 9),
        ({"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}}, (800, 400), 1),
    ]
    for strategy, told, chunks in strategies:
        file_id = await surface.send(paragraphs(9))
        async with surface.working():
            done = await client.vector_stores.files.create_and_poll(
                file_id, vector_store_id=store, chunking_strategy=strategy
            )
        assert done.chunking_strategy
        assert done.chunking_strategy.type == "static"
        static = done.chunking_strategy.static
        assert (static.max_chunk_size_tokens, static.chunk_overlap_tokens) == told
        listed = (await surface.native.get("/v1/documents", params={"collection": "col_" + store[3:]})).json()["data"]
        assert listed[0]["chunks"] == chunks
        await client.files.delete(file_id)
    # It stays completed while it is ingested again, because the collection is cut in another way now.
    file_id = await surface.send(paragraphs(3))
    async with surface.working():
        await client.vector_stores.files.create_and_poll(file_id, vector_store_id=store)
    async with surface.rt.for_tenant(surface.ours.tenant).transaction() as session:
        await collections.change(session, surface.rt, "col_" + store[3:], {"chunking": {"size": 900}})
    await reingestion.review(surface.rt)
    assert (await client.vector_stores.files.retrieve(file_id, vector_store_id=store)).status == "completed"
    shown = await client.vector_stores.retrieve(store)
    assert (shown.status, shown.file_counts.completed) == ("completed", 1)
    await surface.work()
    await client.files.delete(file_id)


async def test_native_documents_and_archives_are_files_of_their_store(surface: Surface) -> None:
    client, rt, tenant = surface.client, surface.rt, surface.ours.tenant
    store = (await client.vector_stores.create()).id
    native = await driving.ready(rt, tenant, LAMP, "lamp.txt", collection="col_" + store[3:])
    file_id = "file-" + native[4:]
    assert [each.id async for each in client.vector_stores.files.list(store)] == [file_id]
    packed = io.BytesIO()
    with ZipFile(packed, "w") as archive:
        archive.writestr("one.txt", LENS)
        archive.writestr("two.txt", LENS + " It was bright.")
    sent = await surface.send(packed.getvalue(), "both.zip")
    async with surface.working():
        assert (await client.vector_stores.files.create_and_poll(sent, vector_store_id=store)).status == "completed"
    await surface.work()
    ids = [each.id async for each in client.vector_stores.files.list(store, limit=1)]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 4
    assert {file_id, sent} < set(ids)
    assert [each.id async for each in client.vector_stores.files.list(store, limit=3, order="asc")] == ids[::-1]
    assert (await client.vector_stores.retrieve(store)).file_counts.completed == 4
    names = {each: (await client.files.retrieve(each)).filename for each in ids}
    assert sorted(names.values()) == ["both.zip", "lamp.txt", "one.txt", "two.txt"]

    other, _ = await store_of(surface)
    async with surface.working():
        shared = await client.vector_stores.files.create_and_poll(file_id, vector_store_id=other)
    assert (shared.id, shared.status) == (file_id, "completed")
    await surface.native.delete(f"/v1/documents/{native}")
    assert [each.id async for each in client.vector_stores.files.list(other)] == [file_id]
    assert (await client.files.content(file_id)).content.decode() == LAMP
    for each in (file_id, sent):
        await client.files.delete(each)
    assert [each async for each in client.vector_stores.files.list(store)] == [], "its files go with an archive"
    assert await settled(rt) == await named(rt)


# -- batches -------------------------------------------------------------------------------------------------


async def test_a_batch_counts_everything_from_the_first(surface: Surface) -> None:
    client = surface.client
    store = (await client.vector_stores.create()).id
    ids = [await surface.send(f"{LAMP} {number}") for number in range(3)]
    begun = await client.vector_stores.file_batches.create(
        store, file_ids=[*ids, "file-" + UNKNOWN], attributes={"of": "a batch"}
    )
    assert (begun.object, begun.status, begun.vector_store_id) == ("vector_store.files_batch", "in_progress", store)
    assert (begun.file_counts.in_progress, begun.file_counts.total) == (4, 4)
    async with surface.working():
        done = await client.vector_stores.file_batches.poll(begun.id, vector_store_id=store)
    assert done.status == "completed"
    assert done.file_counts.model_dump() == {"in_progress": 0, "completed": 3, "failed": 1, "cancelled": 0, "total": 4}
    files = client.vector_stores.file_batches
    listed = [each async for each in files.list_files(begun.id, vector_store_id=store, limit=1)]
    assert [each.id for each in listed] == sorted([*ids, "file-" + UNKNOWN], reverse=True)
    assert {str(each.attributes) for each in listed} == {"{'of': 'a batch'}"}
    (failed,) = [each async for each in files.list_files(begun.id, vector_store_id=store, filter="failed")]
    assert failed.last_error
    assert (failed.id, failed.status, failed.last_error.code) == ("file-" + UNKNOWN, "failed", "server_error")
    assert UNKNOWN in failed.last_error.message
    counts = (await client.vector_stores.retrieve(store)).file_counts
    assert (counts.completed, counts.failed) == (3, 1)

    other = (await client.vector_stores.create()).id
    each_its_own: Any = [{"file_id": file_id, "attributes": {"number": number}} for number, file_id in enumerate(ids)]
    async with surface.working():
        own = await files.create_and_poll(other, files=each_its_own)
    assert own.file_counts.completed == 3
    told = {each.id: each.attributes async for each in client.vector_stores.files.list(other)}
    assert told == {file_id: {"number": number} for number, file_id in enumerate(ids)}
    async with surface.working():
        uploaded = await files.upload_and_poll(other, files=[("a.txt", b"One more."), ("b.txt", b"And another.")])
    assert uploaded.file_counts.completed == 2
    with pytest.raises(openai.NotFoundError):
        await files.retrieve(begun.id, vector_store_id=other)
    theirs = surface.theirs.native
    refused(await theirs.get(f"{STORES}/{store}/file_batches/{begun.id}"), 404, "not_found")
    path = f"{STORES}/{store}/file_batches"
    bodies: list[Any] = [{}, {"file_ids": ids, "files": each_its_own}, {"file_ids": []}, {"file_ids": ["x"] * 2001}]
    for body in bodies:
        answer = await surface.native.post(path, json=body)
        refused(answer, 400, "invalid_value", "file_ids" if len(body) == 1 else None)
    async for file in client.files.list():
        await client.files.delete(file.id)


async def test_a_batch_that_is_cancelled_ends(surface: Surface) -> None:
    client, batches = surface.client, surface.client.vector_stores.file_batches
    store = (await client.vector_stores.create()).id
    ids = [await surface.send(f"{LENS} {number}") for number in range(3)]
    begun = await batches.create(store, file_ids=ids)
    waiting = await batches.create(store, file_ids=ids[:1])
    await driving.work_off(surface.rt)
    cancelled = await batches.cancel(begun.id, vector_store_id=store)
    assert (cancelled.status, cancelled.file_counts.cancelled) == ("cancelled", 3)
    async with surface.working():
        assert (await batches.poll(begun.id, vector_store_id=store)).file_counts.in_progress == 0
    states = {each.status async for each in client.vector_stores.files.list(store)}
    assert states == {"cancelled"}
    again = await client.vector_stores.files.create(store, file_id=ids[0])
    assert again.status == "in_progress", "another attempt"
    await surface.work()
    assert (await batches.retrieve(waiting.id, vector_store_id=store)).file_counts.completed == 1
    late = await batches.create(store, file_ids=[await surface.send("Never attached.")])
    await batches.cancel(late.id, vector_store_id=store)
    await surface.work()
    assert (await batches.retrieve(late.id, vector_store_id=store)).file_counts.cancelled == 1
    async for file in client.files.list():
        await client.files.delete(file.id)


# -- searched ------------------------------------------------------------------------------------------------


async def test_a_batch_that_is_too_old_is_removed_and_its_documents_stay(
    surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = surface.client.vector_stores.file_batches
    store = (await surface.client.vector_stores.create()).id
    begun = await files.create(store, file_ids=[await surface.send(LAMP)])
    await surface.work()
    for age, known in ((3600.0, True), (-1.0, False)):
        monkeypatch.setattr(file_batches, "STORED_SECONDS", age)
        async with surface.rt.transaction() as session:
            await file_batches.purge(session)
        path = f"{STORES}/{store}/file_batches/{begun.id}"
        assert (await surface.native.get(path)).is_success is known
    assert (await surface.client.vector_stores.retrieve(store)).file_counts.completed == 1


async def test_hits_have_a_score_that_means_something(surface: Surface) -> None:
    client = surface.client
    store, ids = await store_of(surface, LAMP, LENS, "Bread is baked from flour, water and salt.")
    _, others = await store_of(surface, LAMP)
    for number, file_id in enumerate(ids):
        await client.vector_stores.files.update(file_id, vector_store_id=store, attributes={"number": number})
    found = await client.vector_stores.search(store, query="Who lit the zircon lamp?")
    told = found.model_dump()
    assert found.object == "vector_store.search_results.page"
    assert (told["search_query"], told["has_more"], told["next_page"]) == (["Who lit the zircon lamp?"], False, None)
    first = found.data[0]
    assert (first.file_id, first.filename, first.attributes) == (ids[0], "0.txt", {"number": 0})
    assert [(each.type, each.text) for each in first.content] == [("text", LAMP)]
    scores = [each.score for each in found.data]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= each <= 1 for each in scores)
    assert {each.file_id for each in found.data} <= set(ids), "no other store than the one that was named"
    anchors = told["data"][0]
    page = (await surface.native.get(f"/v1/documents/{anchors['document_id']}/pages/{anchors['page_start']}")).json()
    assert page["text"][anchors["char_start"] : anchors["char_end"]] == first.content[0].text
    assert (anchors["page_start"], anchors["page_end"], anchors["version"]) == (1, 1, 1)

    one: Any = {"max_num_results": 1}
    assert len((await client.vector_stores.search(store, query="lamp", **one)).data) == 1
    high: Any = {"ranking_options": {"score_threshold": 0.999, "ranker": "none"}}
    assert (await client.vector_stores.search(store, query="Who bakes the bread in Rome?", **high)).data == []
    only = await client.vector_stores.search(
        store, query="lamp lens", filters={"type": "eq", "key": "number", "value": 1}, rewrite_query=True
    )
    assert {each.file_id for each in only.data} == {ids[1]}
    both = await client.vector_stores.search(store, query=["zircon lamp", "flour and water"])
    assert both.model_dump()["search_query"] == ["zircon lamp", "flour and water"]
    assert {ids[0], ids[2]} <= {each.file_id for each in both.data}
    assert len({each.content[0].text for each in both.data}) == len(both.data), "each chunk once"
    path = f"{STORES}/{store}/search"
    for body, param in (
        ({"query": ""}, "query"),
        ({"query": []}, "query"),
        ({"query": "a", "max_num_results": 51}, "max_num_results"),
        ({"query": "a", "ranking_options": {"score_threshold": 2}}, "ranking_options.score_threshold"),
    ):
        message = (await surface.native.post(path, json=body)).json()["error"]
        assert (message["code"], str(message["param"]).startswith(param)) == ("invalid_value", True), message
    odd = {"query": "a", "filters": {"type": "and", "filters": [{"type": "eq", "key": "a"}]}}
    told = (await surface.native.post(path, json=odd)).json()["error"]
    assert str(told["param"]).startswith("filters"), told
    refused(await surface.theirs.native.post(path, json={"query": "lamp"}), 404, "not_found")
    for file_id in (*ids, *others):
        await client.files.delete(file_id)


@pytest.mark.parametrize("query", ["lamp", ["lamp", "lens"]])
async def test_a_provider_that_fails_is_told_however_many_queries_there_are(
    surface: Surface, monkeypatch: pytest.MonkeyPatch, query: Any
) -> None:
    store, ids = await store_of(surface, LAMP)

    def away(_texts: Any) -> None:
        raise Unavailable("provider_unavailable")

    monkeypatch.setattr(surface.rt.embedder, "before", away)
    answer = await surface.native.post(f"{STORES}/{store}/search", json={"query": query})
    refused(answer, 503, "provider_unavailable")
    for file_id in ids:
        await surface.client.files.delete(file_id)


async def test_a_store_that_is_not_used_expires(surface: Surface) -> None:
    client, rt = surface.client, surface.rt
    store, (file_id,) = await store_of(surface, LAMP, expires_after={"anchor": "last_active_at", "days": 1})

    async def unused(days: float) -> None:
        async with rt.transaction() as session:
            chosen = update(Collection).where(Collection.id == "col_" + store[3:])
            await session.execute(chosen.values(last_active_at=from_now(-days * 86400)))

    for use in (
        client.vector_stores.search(store, query="lamp"),
        surface.native.post("/v1/search", json={"query": "lamp", "collections": ["col_" + store[3:]]}),
        client.vector_stores.files.create(store, file_id=file_id),
        client.chat.completions.create(model=f"footnote:{store}", messages=[{"role": "user", "content": "lamp"}]),
    ):
        await unused(0.9)
        before = (await client.vector_stores.retrieve(store)).last_active_at
        await use
        after = (await client.vector_stores.retrieve(store)).last_active_at
        assert before
        assert after
        assert after > before + 3600
    await unused(1.1)
    await client.responses.create(model="footnote", input="lamp")  # which is about all stores, and revives none
    expired = await client.vector_stores.retrieve(store)
    assert (expired.status, expired.file_counts.completed) == ("expired", 1)
    for attempt in (
        client.vector_stores.search(store, query="lamp"),
        client.vector_stores.files.create(store, file_id=file_id),
        client.vector_stores.file_batches.create(store, file_ids=[file_id]),
        client.chat.completions.create(model=f"footnote:{store}", messages=[{"role": "user", "content": "lamp"}]),
        client.responses.create(
            model="footnote", input="lamp", tools=[{"type": "file_search", "vector_store_ids": [store]}]
        ),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            await attempt
        assert caught.value.code == "vector_store_expired"
    await housekeeping._expire(rt.operator)
    expired = await client.vector_stores.retrieve(store)
    assert (expired.status, expired.file_counts.total, expired.usage_bytes) == ("expired", 0, 0)
    assert (await client.files.retrieve(file_id)).id == file_id, "the file stays"
    await client.files.delete(file_id)
    assert [each async for each in audit(rt, fix=False)] == []


async def test_an_answer_names_the_file_that_a_document_was_made_from(surface: Surface) -> None:
    client = surface.client
    store, (file_id,) = await store_of(surface, LAMP)
    tool: Any = {"type": "file_search", "vector_store_ids": [store]}
    include: Any = ["file_search_call.results"]
    for answer in (
        (made := await client.responses.create(model="footnote", input="lamp", tools=[tool], include=include)),
        (await client.responses.retrieve(made.id, include=include)),
    ):
        found: Any = answer.output[0]
        assert {each.file_id for each in found.results} == {file_id}
        assert (await client.files.content(found.results[0].file_id)).content == LAMP.encode()
