"""Collections with settings of their own: language, model, chunking; what is re-ingested, and when."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy import text as sql

from footnote import collections, documents, ingest, jobs, retrieval
from footnote.database.clock import from_now
from footnote.documents import accepting, deletion, reingestion
from footnote.errors import Conflict, NotFound
from footnote.models import BackgroundTask, Collection, Document, Job, Version, WebhookDelivery
from footnote.operations.consistency import audit
from footnote.retrieval import Mode, Query
from footnote.runtime import Runtime
from tests import SAMPLES, driving
from tests.documents.test_deletion import rows
from tests.driving import chunks_of, document_of, job_of, paragraphs, version_of
from tests.fakes import FakeEmbedder
from tests.stored import named, settled
from worker.background_tasks import run_next

pytestmark = pytest.mark.anyio

MODES: list[Mode] = ["hybrid", "vector", "keyword"]
LARGER: dict[str, Any] = {"chunking": {"size": 4000, "overlap": 0}}
AS_CONFIGURED: dict[str, Any] = {"chunking": {"size": 400, "overlap": 50}}


@pytest.fixture
async def tenant(committing_rt: Runtime) -> str:
    return await driving.new_tenant(committing_rt)


def fake(rt: Runtime) -> FakeEmbedder:
    assert isinstance(rt.embedder, FakeEmbedder)
    return rt.embedder


async def create(rt: Runtime, tenant: str, name: str, **given: Any) -> None:
    async with rt.for_tenant(tenant).transaction() as session:
        await collections.create(session, rt, {"name": name, **given})


async def change(rt: Runtime, tenant: str, given: dict[str, Any], name: str = "default") -> None:
    async with rt.for_tenant(tenant).transaction() as session:
        await collections.change(session, rt, name, given)


async def reingesting(rt: Runtime, tenant: str) -> int:
    async with rt.for_tenant(tenant).transaction() as session:
        return (await collections.get(session, "default")).reingesting


async def unfinished(rt: Runtime) -> Sequence[str]:
    async with rt.sessions() as session:
        query = select(Job.id).where(Job.state.in_(jobs.UNFINISHED)).order_by(Job.level, Job.id)
        return (await session.scalars(query)).all()


async def work(rt: Runtime) -> int:
    """Reviews and works until there is nothing left to do; how many jobs there were."""
    done = 0
    for _ in range(20):
        await reingestion.review(rt)
        ids = await unfinished(rt)
        if not ids:
            return done
        for job_id in ids:
            job = await driving.run(rt, job_id)
            assert job.state == "succeeded", (job.error_code, job.error_message)
            done += 1
    raise AssertionError("it does not end")


async def texts(rt: Runtime, document_id: str) -> list[str]:
    return [chunk.text for chunk in await chunks_of(rt, document_id)]


async def search(rt: Runtime, tenant: str, words: str, **options: Any) -> list[retrieval.Hit]:
    return (await retrieval.search(rt.for_tenant(tenant), Query(words, **options))).hits


# -- chunking ------------------------------------------------------------------------------------------------


async def test_another_chunking_makes_every_document_anew_from_the_same_bytes(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    topics = [f"topic{number}" for number in range(5)]
    ids = [await driving.ready(rt, tenant, paragraphs(6, topic)) for topic in topics]
    stored = await settled(rt)
    await change(rt, tenant, LARGER)
    assert await reingesting(rt, tenant) == 5
    assert await work(rt) == 5
    assert await reingesting(rt, tenant) == 0
    for document_id, topic in zip(ids, topics, strict=True):
        assert len(await texts(rt, document_id)) == 1
        document = await document_of(rt, document_id)
        assert document.newest_version == 2
        version = await version_of(rt, document.active_version_id or "")
        assert (version.number, version.bytes) == (2, len(paragraphs(6, topic)))
        hits = await search(rt, tenant, f"{topic}3 shines")
        assert {hit.version for hit in hits if hit.document_id == document_id} == {2}
    assert await settled(rt) == await named(rt) == stored, "no second copy of any object"
    assert [each async for each in audit(rt, fix=False)] == []
    async with rt.sessions() as session:
        assert (await session.scalars(select(Collection.review_after))).all() == [None]
    assert await work(rt) == 0


async def test_unchanged_texts_are_not_embedded_again(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    short = "\n\n".join(f"Paragraph {number} is short." for number in range(3))
    for content in (short, paragraphs(4)):
        await driving.ready(rt, tenant, content)
    fake(rt).seen.clear()
    await change(rt, tenant, {"chunking": {"by_headings": True}})
    assert await work(rt) == 2
    assert fake(rt).seen == []
    await change(rt, tenant, LARGER)
    assert await work(rt) == 2
    assert sum(map(len, fake(rt).seen)) == 1, "the short one is one chunk as before"


async def test_readers_see_each_document_as_it_was_or_as_it_is_never_both_and_never_none(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    ids = [await driving.ready(rt, tenant, paragraphs(6, f"topic{number}")) for number in range(3)]
    enough = asyncio.Event()
    seen: list[dict[str, tuple[int, set[int]]]] = []

    async def read(mode: Mode) -> None:
        while not enough.is_set():
            hits = await search(rt, tenant, "paragraph", mode=mode, top_k=100)
            of_each = {each: [hit for hit in hits if hit.document_id == each] for each in ids}
            seen.append({each: (len(found), {hit.version for hit in found}) for each, found in of_each.items()})

    reading = asyncio.gather(*map(read, MODES))
    try:
        await change(rt, tenant, LARGER)
        await work(rt)
        await change(rt, tenant, {**AS_CONFIGURED, "language": "german"})
        await work(rt)
    finally:
        enough.set()
        await reading
    found = {each for looked in seen for each in ((count, tuple(versions)) for count, versions in looked.values())}
    assert found == {(6, (1,)), (1, (2,)), (6, (3,))}


async def test_a_change_back_while_it_is_being_made_ends_right(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    ids = [await driving.ready(rt, tenant, paragraphs(6, f"topic{number}")) for number in range(4)]
    before = [await texts(rt, each) for each in ids]
    await change(rt, tenant, LARGER)
    await reingestion.review(rt)
    first, second, third, _ = await unfinished(rt)
    assert (await driving.run(rt, first)).state == "succeeded"
    assert await ingest.run_step(rt, second, "chunk")
    for step in ("chunk", "embed"):
        assert await ingest.run_step(rt, third, step)
    await change(rt, tenant, AS_CONFIGURED)
    await work(rt)
    assert [await texts(rt, each) for each in ids] == before
    assert await reingesting(rt, tenant) == 0
    assert await settled(rt) == await named(rt)
    assert [each async for each in audit(rt, fix=False)] == []


async def test_who_works_by_the_old_chunking_does_not_get_to_the_end(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunking changes while a step that will write chunks is at work: it is fenced off and starts again."""
    rt = committing_rt
    accepted = await driving.accept(rt, tenant, paragraphs(6))
    job_id = accepted.details.job.id
    for step in ("chunk", "embed"):
        assert await ingest.run_step(rt, job_id, step)
    inserted, go_on = asyncio.Event(), asyncio.Event()
    insert = ingest.upsert._insert_rows

    async def slow(*arguments: Any) -> Any:
        counts = await insert(*arguments)
        inserted.set()
        await go_on.wait()
        return counts

    monkeypatch.setattr(ingest.upsert, "_insert_rows", slow)
    storing = asyncio.create_task(ingest.run_step(rt, job_id, "upsert"))
    await inserted.wait()
    await asyncio.wait_for(change(rt, tenant, LARGER), 60)
    await asyncio.wait_for(reingestion.review(rt), 60)
    go_on.set()
    assert not await storing
    monkeypatch.undo()
    job = await job_of(rt, job_id)
    assert (job.state, job.step, job.reingestion) == ("queued", "chunk", False)
    assert await driving.step_states(rt, job_id) == dict.fromkeys(jobs.STEPS, "pending")
    await work(rt)
    assert len(await texts(rt, accepted.details.document.id)) == 1
    assert (await document_of(rt, accepted.details.document.id)).newest_version == 1
    assert await settled(rt) == await named(rt)


async def test_a_version_is_cut_in_one_way_from_its_first_part_to_its_last(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker dies between two parts, and the chunking is changed before another one goes on."""
    rt = committing_rt
    monkeypatch.setattr(ingest.chunk, "PART_PAGES", 1)
    content = (SAMPLES / "handbook.pdf").read_bytes()
    whole = await driving.ready(rt, tenant, content, "whole.pdf", collection="whole")
    accepted = await driving.accept(rt, tenant, content, "whole.pdf")
    job_id = accepted.details.job.id
    write = ingest.chunk._write_part
    written: list[Any] = []

    async def once(*arguments: Any) -> Any:
        if written:
            raise asyncio.CancelledError
        written.append(arguments)
        return await write(*arguments)

    monkeypatch.setattr(ingest.chunk, "_write_part", once)
    with pytest.raises(asyncio.CancelledError):
        await ingest.run_step(rt, job_id, "chunk")
    monkeypatch.setattr(ingest.chunk, "_write_part", write)
    assert len(await driving.artifacts_of(rt, accepted.details.version.id)) == 1
    await change(rt, tenant, {"chunking": {"size": 200}})
    assert (await driving.run(rt, job_id)).state == "succeeded"
    assert await texts(rt, accepted.details.document.id) == await texts(rt, whole)
    await work(rt)
    assert max(map(len, await texts(rt, accepted.details.document.id))) <= 200


async def test_a_change_at_the_moment_a_version_is_begun_is_not_missed(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step has read the settings and has not written them yet; who looks for stale documents finds none."""
    rt = committing_rt
    accepted = await driving.accept(rt, tenant, paragraphs(6))
    reading, go_on = asyncio.Event(), asyncio.Event()
    renew = jobs.renew

    async def slow(*arguments: Any) -> None:
        reading.set()
        await go_on.wait()
        await renew(*arguments)

    async def change_and_review() -> None:
        await change(rt, tenant, LARGER)
        await reingestion.review(rt)

    monkeypatch.setattr(jobs, "renew", slow)
    chunking = asyncio.create_task(ingest.run_step(rt, accepted.details.job.id, "chunk"))
    await reading.wait()
    changing = asyncio.create_task(change_and_review())
    async with rt.sessions() as session, asyncio.timeout(60):
        while not changing.done() and not await session.scalar(sql("SELECT count(*) FROM pg_locks WHERE NOT granted")):
            await asyncio.sleep(0.01)
    go_on.set()
    await asyncio.gather(chunking, changing)
    monkeypatch.undo()
    await work(rt)
    assert len(await texts(rt, accepted.details.document.id)) == 1


async def is_large(rt: Runtime, job_id: str) -> bool:
    return (await driving.job_of(rt, job_id)).large


async def test_uploads_go_first_and_what_is_made_anew_is_queued_a_few_at_a_time(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = committing_rt
    monkeypatch.setattr(reingestion, "AT_ONCE", 3)
    ids = [await driving.ready(rt, tenant, f"Text number {number}.") for number in range(7)]
    await change(rt, tenant, LARGER)
    for _ in range(3):
        await reingestion.review(rt)
    uploaded = (await driving.accept(rt, tenant, "Uploaded later.")).details.job.id
    waiting = await unfinished(rt)
    assert (len(waiting), waiting[0]) == (4, uploaded)
    assert [await is_large(rt, each) for each in waiting] == [False, True, True, True]
    assert await work(rt) == 8
    assert [(await document_of(rt, each)).newest_version for each in ids] == [2] * 7


async def test_several_reviewers_make_each_document_anew_once(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    ids = [await driving.ready(rt, tenant, f"Text number {number}.") for number in range(12)]
    await change(rt, tenant, LARGER)
    for _ in range(3):
        await asyncio.gather(*(reingestion.review(rt) for _ in range(4)), change(rt, tenant, LARGER))
    await work(rt)
    assert [(await document_of(rt, each)).newest_version for each in ids] == [2] * 12


async def test_changes_while_documents_are_looked_through_are_not_lost(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    ids = [await driving.ready(rt, tenant, paragraphs(6, f"topic{number}")) for number in range(6)]
    for settings in (LARGER, AS_CONFIGURED, LARGER, AS_CONFIGURED, LARGER):
        await asyncio.gather(*(reingestion.review(rt) for _ in range(3)), change(rt, tenant, settings))
    await work(rt)
    assert [len(await texts(rt, each)) for each in ids] == [1] * 6


async def test_nobody_is_told_of_what_is_only_made_anew(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    await driving.ready(rt, tenant, paragraphs(2), callback_url="http://127.0.0.1:9/hook")

    async def told() -> Sequence[str]:
        async with rt.sessions() as session:
            return (await session.scalars(select(WebhookDelivery.event))).all()

    assert await told() == ["document.ready"]
    await change(rt, tenant, LARGER)
    await work(rt)
    assert await told() == ["document.ready"]


async def test_failed_and_cancelled_uploads_are_left_alone_until_they_are_retried(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    accepted = await driving.accept(rt, tenant, paragraphs(6))
    job_id = accepted.details.job.id
    for step in ("chunk", "embed"):
        assert await ingest.run_step(rt, job_id, step)
    async with rt.for_tenant(tenant).transaction() as session:
        await jobs.cancel(session, job_id)
    await change(rt, tenant, LARGER)
    assert await work(rt) == 0
    assert (await job_of(rt, job_id)).state == "cancelled"
    async with rt.for_tenant(tenant).transaction() as session:
        await jobs.retry(session, job_id)
    assert (await driving.run(rt, job_id)).state == "waiting", "what was made by the old chunking is gone"
    await driving.set_job(rt, job_id, next_attempt_at=func.now())
    assert (await driving.run(rt, job_id)).state == "succeeded"
    assert len(await texts(rt, accepted.details.document.id)) == 1
    assert await settled(rt) == await named(rt)


async def test_what_failed_to_be_made_anew_is_tried_again_by_the_next_change(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    document_id = await driving.ready(rt, tenant, paragraphs(6))
    before = await texts(rt, document_id)
    await change(rt, tenant, LARGER)
    await reingestion.review(rt)
    [job_id] = await unfinished(rt)
    claim = await driving.claim(rt, job_id)
    async with rt.transaction() as session:
        await jobs.fail(session, claim, "internal_error", "It failed.")
    assert await texts(rt, document_id) == before
    again = await driving.accept(rt, tenant, paragraphs(6), callback_url="http://127.0.0.1:9/hook")
    assert again.deduplicated
    version = await version_of(rt, (await document_of(rt, document_id)).active_version_id or "")
    assert {version.object_key, again.details.version.object_key} <= await settled(rt), "it is still seen"
    assert (await driving.run(rt, again.details.job.id)).state == "succeeded"
    assert len(await texts(rt, document_id)) == 1
    assert await settled(rt) == await named(rt)
    await change(rt, tenant, AS_CONFIGURED)
    await reingestion.review(rt)
    [job_id] = await unfinished(rt)
    claim = await driving.claim(rt, job_id)
    async with rt.transaction() as session:
        await jobs.fail(session, claim, "internal_error", "It failed.")
    await change(rt, tenant, LARGER)
    assert await work(rt) == 1
    assert (await job_of(rt, job_id)).state == "succeeded"
    assert len(await texts(rt, document_id)) == 1
    assert await settled(rt) == await named(rt)


@pytest.mark.parametrize("upto", ["chunk", "embed", "upsert"])
async def test_the_bytes_go_when_the_last_version_that_has_them_goes(
    committing_rt: Runtime, tenant: str, upto: str
) -> None:
    """At every moment of a re-ingestion: a newer upload, then a deletion; the old bytes stay while they are seen."""
    rt = committing_rt
    document_id = await driving.ready(rt, tenant, paragraphs(6), external_id="e")
    [key] = await settled(rt)
    await change(rt, tenant, LARGER)
    await reingestion.review(rt)
    [job_id] = await unfinished(rt)
    for step in jobs.STEPS[: jobs.STEPS.index(upto)]:
        assert await ingest.run_step(rt, job_id, step)
    newer = await driving.accept(rt, tenant, "Something else.", external_id="e")
    assert {each for each in await settled(rt) if each.startswith("objects")} == {
        key,
        newer.details.version.object_key,
    }
    assert (await driving.run(rt, newer.details.job.id)).state == "succeeded"
    assert await settled(rt) == {newer.details.version.object_key}
    receipt = await deletion.remove(rt.for_tenant(tenant), document_id)
    assert (receipt.counts["versions"], receipt.counts["objects"], receipt.counts["bytes"]) == (3, 1, 15)
    assert (await settled(rt), await rows(rt)) == (set(), {})


async def test_shared_bytes_are_counted_and_deleted_once(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    document_id = await driving.ready(rt, tenant, paragraphs(6))
    await change(rt, tenant, LARGER)
    await reingestion.review(rt)
    receipt = await deletion.remove(rt.for_tenant(tenant), document_id)
    counted = {name: receipt.counts[name] for name in ("versions", "objects", "bytes", "chunks", "jobs")}
    assert counted == {"versions": 2, "objects": 1, "bytes": len(paragraphs(6)), "chunks": 6, "jobs": 2}
    assert (await settled(rt), await rows(rt)) == (set(), {})


async def test_what_is_in_an_archive_is_made_anew_without_unpacking_it_again(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    parent = await driving.ready(rt, tenant, (SAMPLES / "complaint.eml").read_bytes(), "complaint.eml")
    for job_id in await unfinished(rt):
        await driving.run(rt, job_id)
    async with rt.for_tenant(tenant).transaction() as session:
        [child] = await session.scalars(select(Document.id).where(Document.parent_id == parent))
        await documents.patch_metadata(session, child, {"read": True})
    await change(rt, tenant, {"language": "german"})
    assert await work(rt) == 2
    assert (await document_of(rt, child)).attributes == {"read": True}
    async with rt.sessions() as session:
        assert (await session.scalars(select(Version.number).order_by(Version.number))).all() == [1, 1, 2, 2]


# -- language ------------------------------------------------------------------------------------------------


async def test_a_german_collection_finds_the_plural(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    text = "Die Häuser am Hafen wurden 1874 gebaut."
    await create(rt, tenant, "german", language="german")
    await create(rt, tenant, "english", language="english")
    found = await driving.ready(rt, tenant, text, collection="german")
    await driving.ready(rt, tenant, text, collection="english")
    hits = await search(rt, tenant, "Haus", mode="keyword")
    assert [hit.document_id for hit in hits] == [found]


async def test_while_the_language_changes_each_document_is_found_by_its_own(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    await create(rt, tenant, "default", language="english")
    for number in range(2):
        await driving.ready(rt, tenant, f"Die Häuser am Hafen Nummer {number} sind sheer happiness.")

    async def counts() -> tuple[int, int]:
        by_german = await search(rt, tenant, "Haus", mode="keyword")
        return len(by_german), len(await search(rt, tenant, "happy", mode="keyword"))

    assert await counts() == (0, 2)
    await change(rt, tenant, {"language": "german"})
    assert await counts() == (0, 2)
    await reingestion.review(rt)
    first, second = await unfinished(rt)
    await driving.run(rt, first)
    assert await counts() == (1, 1)
    await driving.run(rt, second)
    assert await counts() == (2, 0)


# -- models --------------------------------------------------------------------------------------------------


@pytest.fixture
def second_model(committing_rt: Runtime) -> FakeEmbedder:
    """Vectors half as long, which do not even have a product with the others."""
    other = FakeEmbedder("fake-32")
    other.dimensions = 32
    committing_rt.others["fake", "fake-32"] = other
    return other


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("diversity", [0.0, 0.5])
async def test_one_search_finds_what_is_in_collections_of_different_models(
    committing_rt: Runtime,
    tenant: str,
    second_model: FakeEmbedder,
    monkeypatch: pytest.MonkeyPatch,
    exact: bool,
    diversity: float,
) -> None:
    monkeypatch.setattr("footnote.retrieval.vector_leg.EXACT_CHUNKS", 5000 if exact else 0)
    rt = committing_rt
    await create(rt, tenant, "second", embedding={"provider": "fake", "model": "fake-32"})
    ours = [await driving.ready(rt, tenant, text) for text in ("A boat carries whale oil.", "Bread is made of flour.")]
    theirs = [
        await driving.ready(rt, tenant, text, collection="second")
        for text in ("A boat has a keel of oak.", "Tides turn at noon.")
    ]
    await driving.index(rt)
    assert sum(map(len, second_model.seen)) == 2
    for embedder in (fake(rt), second_model):
        embedder.seen.clear()
    for mode in MODES:
        hits = await search(rt, tenant, "boat", mode=mode, diversity=diversity)
        assert {hit.document_id for hit in hits[:2]} == {ours[0], theirs[0]}, mode
        assert len(hits) == (2 if mode == "keyword" else 4)
        if not diversity:
            assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert [len(fake(rt).seen), len(second_model.seen)] == [2, 2], "each model is asked once, and none for words"
    alone = await search(rt, tenant, "boat", collections=["second"])
    assert [hit.document_id for hit in alone] == theirs
    assert len(fake(rt).seen) == 2


async def test_collections_keep_their_model_when_another_one_is_configured(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    document_id = await driving.ready(rt, tenant, paragraphs(2))
    changed = replace(rt, embedder=FakeEmbedder("fake-65"))
    with pytest.raises(Conflict, match="embedding_model_changed"):
        await search(changed, tenant, "lamp1")
    assert [hit.document_id for hit in await search(changed, tenant, "lamp1", mode="keyword")][:1] == [document_id]
    changed.others["fake", "fake-64"] = rt.embedder
    assert {hit.document_id for hit in await search(changed, tenant, "lamp1")} == {document_id}
    await driving.ready(changed, tenant, paragraphs(2, "lens"))
    assert fake(changed).seen == []
    await driving.ready(changed, tenant, paragraphs(2), collection="new")
    assert len(fake(changed).seen) == 1


async def test_chunks_in_tokens_are_counted_by_the_collections_own_model(
    committing_rt: Runtime, tenant: str, second_model: FakeEmbedder
) -> None:
    rt = committing_rt
    given = {"embedding": {"provider": "fake", "model": "fake-32"}, "chunking": {"size": 50, "unit": "tokens"}}
    await create(rt, tenant, "tokens", **given)
    document_id = await driving.ready(rt, tenant, paragraphs(6), collection="tokens")
    counted = [second_model.count_tokens(text) for text in await texts(rt, document_id)]
    assert 20 <= sorted(counted)[1] <= max(counted) <= 50


# -- deletion ------------------------------------------------------------------------------------------------


async def test_a_collection_is_not_gone_before_an_upload_that_has_found_it(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = committing_rt
    await create(rt, tenant, "papers")
    found, go_on = asyncio.Event(), asyncio.Event()
    make = accepting._make

    async def slow(*arguments: Any) -> Any:
        found.set()
        await go_on.wait()
        return await make(*arguments)

    monkeypatch.setattr(accepting, "_make", slow)
    uploading = asyncio.create_task(driving.accept(rt, tenant, "New.", collection="papers"))
    await found.wait()
    deleting = asyncio.create_task(driving.remove_collection(rt, tenant, "papers"))
    async with rt.sessions() as session, asyncio.timeout(60):
        while not deleting.done() and not await session.scalar(sql("SELECT count(*) FROM pg_locks WHERE NOT granted")):
            await asyncio.sleep(0.01)
    go_on.set()
    await uploading
    assert (await deleting).counts["documents"] == 1
    assert (await settled(rt), await rows(rt)) == (set(), {})


async def test_an_upload_while_its_collection_is_deleted_is_gone_or_in_a_new_one(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    for number in range(5):
        await driving.accept(rt, tenant, f"Text number {number}.", collection="papers")
    uploads = [driving.accept(rt, tenant, f"New {number}.", collection="papers") for number in range(8)]
    receipt, _ = await asyncio.gather(driving.remove_collection(rt, tenant, "papers"), asyncio.gather(*uploads))
    async with rt.sessions() as session:
        left = (await session.scalars(select(Document.collection_id))).all()
    assert receipt.subject_id not in left
    assert receipt.counts["documents"] + len(left) == 13
    if left:
        await driving.remove_collection(rt, tenant, left[0])
    assert (await settled(rt), await rows(rt)) == (set(), {})


async def test_a_deletion_that_was_interrupted_is_ended_by_others(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = committing_rt
    ids = [await driving.ready(rt, tenant, paragraphs(1, f"topic{number}")) for number in range(4)]
    remove = deletion.remove
    removed: list[Any] = []

    async def interrupted(*arguments: Any) -> Any:
        if len(removed) == 2:
            raise asyncio.CancelledError
        if len(removed) == 3:
            raise KeyboardInterrupt
        removed.append(arguments)
        return await remove(*arguments)

    monkeypatch.setattr(deletion, "remove", interrupted)
    with pytest.raises(asyncio.CancelledError):
        await driving.remove_collection(rt, tenant, "default")
    task = await deletion_of(rt)
    assert (task.state, task.progress_done, task.progress_total) == ("queued", 2, 4), "given back"
    assert await search(rt, tenant, "paragraph") == []
    with pytest.raises(NotFound):
        await driving.accept(rt, tenant, "More.", collection=(await document_of(rt, ids[3])).collection_id)
    removed.append(None)
    with pytest.raises(KeyboardInterrupt):
        await driving.work_off(rt)
    monkeypatch.setattr(deletion, "remove", remove)
    await driving.work_off(rt)
    assert len(await texts(rt, ids[3])) == 1, "the process that was killed may still work on it"
    await rt.execute(update(BackgroundTask).values(lease_until=from_now(-1)))
    receipt = await driving.remove_collection(rt, tenant, task.subject_id)
    assert (receipt.id, receipt.state, receipt.progress_done) == (task.id, "completed", 4)
    assert (receipt.counts["documents"], receipt.counts["chunks"]) == (4, 4)
    assert (await settled(rt), await rows(rt)) == (set(), {})


async def deletion_of(rt: Runtime) -> BackgroundTask:
    async with rt.transaction() as session:
        return (await session.scalars(select(BackgroundTask))).one()


async def test_what_fails_in_a_deletion_is_tried_again_and_told(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = committing_rt
    await driving.ready(rt, tenant, paragraphs(1))

    async def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(deletion, "remove", broken)
        await deletion.begin_collection(rt.for_tenant(tenant), "default")
        await driving.work_off(rt)
    task = await deletion_of(rt)
    assert (task.state, task.retries) == ("waiting", 1)
    assert task.waiting_for == "another attempt: an internal error"
    assert not await run_next(rt), "not before its time"
    await rt.execute(update(BackgroundTask).values(next_attempt_at=func.now()))
    await driving.work_off(rt)
    assert (await deletion_of(rt)).counts["documents"] == 1


async def test_long_deletions_yield_to_each_other(committing_rt: Runtime, tenant: str) -> None:
    rt = replace(committing_rt, settings=committing_rt.settings.model_copy(update={"yield_seconds": 0.0}))
    for name in ("first", "second"):
        for number in range(2):
            await driving.accept(rt, tenant, f"Text {number} of {name}.", collection=name)
        await deletion.begin_collection(rt.for_tenant(tenant), name)

    async def progress() -> list[int]:
        async with rt.transaction() as session:
            done = select(BackgroundTask.progress_done).order_by(BackgroundTask.created_at)
            return list(await session.scalars(done))

    seen = [await progress()]
    while await run_next(rt):
        seen.append(await progress())
    assert seen == [[0, 0], [1, 0], [1, 1], [2, 1], [2, 2], [2, 2], [2, 2]]
