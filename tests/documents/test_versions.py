"""A new version takes the old one's place at one moment, for every reader, and takes its bytes along."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import text

from footnote import documents, ingest, jobs
from footnote.ingest import upsert
from footnote.retrieval import Mode, Query, search
from footnote.runtime import Runtime
from tests import driving
from tests.driving import chunks_of, document_of, job_of, paragraphs
from tests.fakes import FakeEmbedder
from tests.stored import in_store, named, settled

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tenant(committing_rt: Runtime) -> str:
    return await driving.new_tenant(committing_rt)


def quick(rt: Runtime) -> Runtime:
    """The same Runtime with a heartbeat that beats every 50 ms."""
    return replace(rt, settings=rt.settings.model_copy(update={"heartbeat_seconds": 0.05}))


async def new_version(rt: Runtime, tenant: str, content: str, upto: str = "embed") -> str:
    """The job of a version of the document `e`, driven through its first steps."""
    job_id = (await driving.accept(rt, tenant, content, external_id="e")).details.job.id
    for step in jobs.STEPS[: jobs.STEPS.index(upto) + 1]:
        assert await ingest.run_step(rt, job_id, step)
    return job_id


# -- what readers see ----------------------------------------------------------------------------------------


@dataclass
class Reader:
    """Looks again and again, and records what it saw: the topics of the texts, each with their number."""

    look: Callable[[], Awaitable[Sequence[str]]]
    seen: list[dict[str, int]] = field(default_factory=list)

    async def read(self, enough: asyncio.Event) -> None:
        while not enough.is_set():
            texts = await self.look()
            topics = [each.partition("of the ")[2].partition(".")[0] for each in texts]
            self.seen.append({topic: topics.count(topic) for topic in topics})
            await asyncio.sleep(0.02)  # the processor is for what writes meanwhile


def readers(rt: Runtime, tenant: str, document_id: str) -> list[Reader]:
    def searching(mode: Mode) -> Callable[[], Awaitable[Sequence[str]]]:
        async def look() -> Sequence[str]:
            return [
                hit.text for hit in (await search(rt.for_tenant(tenant), Query("paragraph", mode=mode, top_k=100))).hits
            ]

        return look

    async def chunks() -> Sequence[str]:
        async with rt.for_tenant(tenant).transaction() as session:
            found = await documents.chunks(session, document_id, limit=100, after=-1)
        return [chunk.text for chunk in found]

    async def page() -> Sequence[str]:
        async with rt.for_tenant(tenant).transaction() as session:
            stored = await documents.page_text(session, document_id, 1)
        assert stored.pages == 1
        return [each for each in stored.text.split("\n\n") if each]

    return [Reader(look) for look in (searching("hybrid"), searching("vector"), searching("keyword"), chunks, page)]


@pytest.mark.parametrize("exact", [True, False])
async def test_readers_see_one_version_whole_never_two_and_never_none(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch, exact: bool
) -> None:
    """By an exact scan as for small collections, and by the vector index as for large ones."""
    monkeypatch.setattr("footnote.retrieval.vector_leg.EXACT_CHUNKS", 5000 if exact else 0)
    rt = committing_rt
    sizes = {f"topic{number}": 20 + number for number in range(6)}
    document_id = await driving.ready(rt, tenant, paragraphs(20, "topic0"), external_id="e")
    await driving.index(rt)
    looking, enough = readers(rt, tenant, document_id), asyncio.Event()
    reading = asyncio.gather(*(reader.read(enough) for reader in looking))
    for topic, size in list(sizes.items())[1:]:
        job_id = await new_version(rt, tenant, paragraphs(size, topic))
        assert await ingest.run_step(rt, job_id, "upsert")
    enough.set()
    await reading
    for reader in looking:
        assert {len(each) for each in reader.seen} == {1}, "one version, and never none"
        order = [int(topic.removeprefix("topic")) for each in reader.seen for topic in each]
        assert order == sorted(order), "and never an older one again"
        assert len(set(order)) >= 3
        missing = {sizes[topic] - count for each in reader.seen for topic, count in each.items()}
        assert missing == {0} if exact else max(missing) <= 2, "the index may overlook some"


# -- races with an upload ------------------------------------------------------------------------------------


async def test_a_new_version_is_accepted_while_the_one_before_is_being_stored_and_wins(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = quick(committing_rt)
    document_id = await driving.ready(rt, tenant, paragraphs(3, "first"), external_id="e")
    older = await new_version(rt, tenant, paragraphs(9, "second"))
    inserted = asyncio.Event()
    insert = upsert._insert_rows

    async def endless(*arguments: Any) -> Any:
        await insert(*arguments)
        inserted.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(upsert, "_insert_rows", endless)
    storing = asyncio.create_task(ingest.run_step(rt, older, "upsert"))
    await inserted.wait()
    newest = await asyncio.wait_for(driving.accept(rt, tenant, paragraphs(4, "third"), external_id="e"), 60)
    assert not await asyncio.wait_for(storing, 60)
    assert (await job_of(rt, older)).state == "cancelled"
    assert ["of the first" in chunk.text for chunk in await chunks_of(rt, document_id)] == [True] * 3
    monkeypatch.undo()
    assert (await driving.run(rt, newest.details.job.id)).state == "succeeded"
    assert len(await chunks_of(rt, document_id)) == 4
    assert await settled(rt) == await named(rt) == {newest.details.version.object_key}


async def test_an_upload_of_a_new_version_and_the_end_of_chunking_do_not_lock_each_other_out(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One ends the job and lets its version's object go, the other counts the version and moves the job on."""
    rt = committing_rt
    older = (await driving.accept(rt, tenant, paragraphs(3), external_id="e")).details.job.id
    counted, go_on = asyncio.Event(), asyncio.Event()
    finish = jobs.finish_step

    async def slow(*arguments: Any) -> bool:
        counted.set()
        await go_on.wait()
        return await finish(*arguments)

    failed: list[object] = []
    monkeypatch.setattr(jobs, "finish_step", slow)
    monkeypatch.setattr(ingest, "_record_failure", lambda *arguments: failed.append(arguments[-1]))
    chunking = asyncio.create_task(ingest.run_step(rt, older, "chunk"))
    await counted.wait()
    upload = asyncio.create_task(driving.accept(rt, tenant, paragraphs(4, "lens"), external_id="e"))
    async with rt.sessions() as session, asyncio.timeout(60):
        while not await session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
            await asyncio.sleep(0.01)
    go_on.set()
    newest = await upload
    assert await chunking
    assert failed == []
    assert (await job_of(rt, older)).state == "cancelled"
    assert (await driving.run(rt, newest.details.job.id)).state == "succeeded"
    assert await settled(rt) == await named(rt)


# -- what stays in the store ---------------------------------------------------------------------------------


async def test_the_store_keeps_the_bytes_of_what_is_seen_and_of_the_newest_version(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    accepted = [await driving.accept(rt, tenant, "One.", external_id="e")]
    await driving.run(rt, accepted[0].details.job.id)
    for content in ("Two.", "Three."):
        accepted.append(await driving.accept(rt, tenant, content, external_id="e"))
        await ingest.run_step(rt, accepted[-1].details.job.id, "chunk")
    one, two, three = (each.details.version.object_key for each in accepted)
    kept = await settled(rt)
    assert kept == await named(rt)
    assert {key for key in kept if key.startswith("objects")} == {one, three}
    assert len(kept) == 3, "and an artifact of the newest"
    await driving.run(rt, accepted[2].details.job.id)
    assert await settled(rt) == {three}
    assert two not in await in_store(rt)
    document = await document_of(rt, accepted[0].details.document.id)
    assert document.active_version_id == accepted[2].details.version.id


async def test_only_changed_chunks_of_a_new_version_are_embedded(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    assert isinstance(rt.embedder, FakeEmbedder)
    first = paragraphs(12).split("\n\n")
    document_id = await driving.ready(rt, tenant, "\n\n".join(first), external_id="e")
    before = {chunk.text for chunk in await chunks_of(rt, document_id)}
    rt.embedder.seen.clear()
    await driving.ready(
        rt, tenant, "\n\n".join([*first[:4], *first[5:9], first[9].upper(), *first[10:]]), external_id="e"
    )
    changed = {chunk.text for chunk in await chunks_of(rt, document_id)} - before
    assert 2 <= len(changed) <= 4, "a chunk overlaps the one before it"
    assert sum(map(len, rt.embedder.seen)) == len(changed)
