"""A file owns its bytes: documents of several collections share them. Nothing is lost or left, whatever ends when."""

import asyncio
import random
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import NoResultFound

from footnote import collections, documents
from footnote.documents import deletion, files, reingestion
from footnote.errors import Forbidden, NotFound
from footnote.jobs import tasks
from footnote.models import BackgroundTask, Deletion, Document, File
from footnote.operations.consistency import audit
from footnote.runtime import Runtime
from footnote.tenancy import quotas
from tests import driving
from tests.documents.test_deletion import found, nothing_left
from tests.documents.test_deletion_races import until_somebody_waits
from tests.driving import chunks_of, job_of, paragraphs
from tests.stored import named, settled

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tenant(committing_rt: Runtime) -> str:
    return await driving.new_tenant(committing_rt)


async def attached(rt: Runtime, tenant: str, file_id: str, collection: str, **options: Any) -> str:
    """The id of a document of the file that is ready."""
    accepted = await driving.attach(rt, tenant, file_id, collection, **options)
    job = await driving.run(rt, accepted.details.job.id)
    assert job.state == "succeeded", (job.error_code, job.error_message)
    return accepted.details.document.id


async def key_of(rt: Runtime, file_id: str) -> str:
    async with rt.sessions() as session:
        return (await session.get_one(File, file_id)).object_key


async def held_bytes(rt: Runtime, tenant: str) -> int:
    async with rt.for_tenant(tenant).transaction() as session:
        return int((await quotas.used_and_left(session, rt.settings))["bytes"]["used"] or 0)


async def consistent(rt: Runtime) -> bool:
    return [each async for each in audit(rt, fix=False)] == [] and await settled(rt) == await named(rt)


async def test_documents_share_the_bytes_of_a_file_and_go_with_it(committing_rt: Runtime, tenant: str) -> None:
    rt, words = committing_rt, paragraphs(3)
    file_id = await driving.file(rt, tenant, words, "lamp.txt")
    one, two = [await attached(rt, tenant, file_id, name) for name in ("first", "second")]
    key = await key_of(rt, file_id)
    again = await driving.attach(rt, tenant, file_id, "first", attributes={"year": 2026})
    assert (again.details.document.id, again.deduplicated) == (one, True), "never a second one"
    assert again.details.document.attributes == {"year": 2026}
    assert await named(rt) == {key}
    assert await held_bytes(rt, tenant) == len(words), "shared bytes count once"

    receipt = await deletion.remove(rt.for_tenant(tenant), one)
    assert (receipt.counts["objects"], receipt.counts["bytes"]) == (0, 0), "the bytes stay with their file"
    assert await settled(rt) == {key}
    assert await found(rt, tenant, "lamp2") == {two}
    assert await consistent(rt)
    one = await attached(rt, tenant, file_id, "first")

    task = await deletion.remove_file(rt.for_tenant(tenant), file_id)
    assert {name: task.counts[name] for name in ("documents", "objects", "bytes")} == {
        "documents": 2,
        "objects": 1,
        "bytes": len(words),
    }
    assert await found(rt, tenant, "lamp2") == set()
    assert await held_bytes(rt, tenant) == 0
    assert await nothing_left(rt)
    async with rt.sessions() as session:
        assert {one, two} <= set(await session.scalars(select(Deletion.document_id))), "a receipt for each"
    with pytest.raises(NotFound, match="file_not_found"):
        await deletion.remove_file(rt.for_tenant(tenant), file_id)


async def test_another_tenant_has_no_such_file(committing_rt: Runtime, tenant: str) -> None:
    rt, stranger = committing_rt, await driving.new_tenant(committing_rt)
    ids = [await driving.file(rt, tenant, "Ours."), "file_" + (await driving.ready(rt, tenant, "Native."))[4:]]
    for file_id in ids:
        with pytest.raises(NotFound, match="file_not_found"):
            await driving.attach(rt, stranger, file_id, "theirs")
        with pytest.raises(NotFound, match="file_not_found"):
            await deletion.remove_file(rt.for_tenant(stranger), file_id)
    assert len(await named(rt)) == 2
    assert await consistent(rt)


# -- ended at any moment -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [0, 1, 2])
async def test_a_deletion_that_is_killed_is_completed_by_another_process(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    """Before the first document, between two of them, and before the file itself."""
    rt = committing_rt
    file_id = await driving.file(rt, tenant, paragraphs(2))
    for name in ("first", "second"):
        await attached(rt, tenant, file_id, name)
    done = 0

    async def until_killed(rt: Runtime, task: BackgroundTask) -> int | None:
        nonlocal done
        if done == parts:
            raise asyncio.CancelledError
        done += 1
        return await remove_next(rt, task)

    remove_next = deletion.remove_next
    monkeypatch.setattr(deletion, "remove_next", until_killed)
    with pytest.raises(asyncio.CancelledError):
        await deletion.remove_file(rt.for_tenant(tenant), file_id)
    monkeypatch.undo()
    assert await consistent(rt), "the file names its object to the end"
    with pytest.raises(NotFound, match="file_not_found"):
        await driving.attach(rt, tenant, file_id, "third")
    await driving.work_off(rt)
    assert await nothing_left(rt)
    async with rt.sessions() as session:
        (receipt,) = (await session.scalars(select(BackgroundTask))).all()
    assert (receipt.state, receipt.counts["documents"], receipt.counts["objects"]) == ("completed", 2, 1)


async def test_a_request_for_a_deletion_under_way_waits_for_its_end(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    file_id = await driving.file(rt, tenant, paragraphs(2))
    await attached(rt, tenant, file_id, "first")
    async with rt.for_tenant(tenant).transaction() as session:
        await deletion._hide_file(session, file_id)
        await tasks.begin(session, "file.delete", tenant, file_id, "notes.txt", 1)
    ended = await asyncio.gather(*(deletion.remove_file(rt.for_tenant(tenant), file_id) for _ in range(3)))
    assert {each.state for each in ended} == {"completed"}
    assert await nothing_left(rt)


async def test_a_file_that_is_refused_leaves_nothing(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    async with rt.transaction() as session:
        name = await session.scalar(text("SELECT name FROM tenant WHERE id = :id"), {"id": tenant})
        await quotas.change(session, name, {"bytes": Decimal(12)})
    file_id = await driving.file(rt, tenant, "Ten bytes.")
    await attached(rt, tenant, file_id, "first")
    with pytest.raises(Forbidden, match="quota_exceeded"):
        await driving.file(rt, tenant, "Too much.")
    assert await settled(rt) == await named(rt) == {await key_of(rt, file_id)}


# -- at the same time --------------------------------------------------------------------------------------------


async def test_a_document_made_while_its_file_is_deleted_goes_with_it(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    file_id = await driving.file(rt, tenant, paragraphs(2))
    made, go_on = asyncio.Event(), asyncio.Event()

    async def attach() -> None:
        async with rt.for_tenant(tenant).transaction() as session:
            target = await collections.obtain(session, "first", rt.settings)
            await files.attach(session, rt, file_id, target.id)
            made.set()
            await go_on.wait()

    attaching = asyncio.create_task(attach())
    await made.wait()
    removal = asyncio.create_task(deletion.remove_file(rt.for_tenant(tenant), file_id))
    await until_somebody_waits(rt)
    go_on.set()
    await attaching
    assert (await removal).counts["documents"] == 1
    assert await nothing_left(rt)


async def test_files_attached_and_deleted_at_random_instants_leave_nothing(committing_rt: Runtime, tenant: str) -> None:
    rt, dice = committing_rt, random.Random(7)
    acting = rt.for_tenant(tenant)

    async def act(file_id: str) -> None:
        async def attach(collection: str) -> None:
            await asyncio.sleep(dice.uniform(0, 0.02))
            accepted = await driving.attach(rt, tenant, file_id, collection)
            with suppress(NoResultFound):  # it is gone with its file
                await driving.run(rt, accepted.details.job.id)
            if dice.random() < 0.3:
                await deletion.remove(acting, accepted.details.document.id)

        async def remove() -> None:
            await asyncio.sleep(dice.uniform(0, 0.04))
            await deletion.remove_file(acting, file_id)

        ended = await asyncio.gather(*map(attach, ("a", "b", "a")), remove(), return_exceptions=True)
        refused = [each for each in ended if isinstance(each, BaseException)]
        assert all(isinstance(each, NotFound) for each in refused), refused

    ids = [await driving.file(rt, tenant, paragraphs(2, f"topic{number % 2}")) for number in range(8)]
    await asyncio.gather(*map(act, ids))
    assert await consistent(rt)
    assert await nothing_left(rt)
    async with rt.sessions() as session:
        deadlocks = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        assert await session.scalar(deadlocks) == 0


# -- documents that came without a file --------------------------------------------------------------------------


async def test_a_native_document_is_a_file_that_others_may_share(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    first, later = paragraphs(2, "lamp"), paragraphs(2, "lens")
    native = await driving.ready(rt, tenant, first, external_id="e")
    file_id = "file_" + native.removeprefix("doc_")
    again = await driving.attach(rt, tenant, file_id, "default", attributes={"year": 1874})
    assert (again.details.document.id, again.details.document.file_id) == (native, None), "it is there already"
    shared = await attached(rt, tenant, file_id, "other")
    assert await held_bytes(rt, tenant) == len(first)
    assert await driving.ready(rt, tenant, later, external_id="e") == native
    assert await held_bytes(rt, tenant) == len(first) + len(later)
    texts = {each: (await chunks_of(rt, each))[0].text[:21] for each in (native, shared)}
    assert texts == {native: "Paragraph 0 of the le", shared: "Paragraph 0 of the la"}, "a file does not change"
    again = await driving.attach(rt, tenant, file_id, "default")
    assert (again.details.document.id, again.details.version.number) == (native, 2), "nor bring old bytes back"
    assert await consistent(rt)


async def test_bytes_that_a_native_document_began_outlive_it(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    native = await driving.ready(rt, tenant, paragraphs(2))
    file_id = "file_" + native.removeprefix("doc_")
    shared = await attached(rt, tenant, file_id, "other")
    await deletion.remove(rt.for_tenant(tenant), native)
    assert await found(rt, tenant, "lamp1") == {shared}
    assert await consistent(rt)
    await driving.remove_collection(rt, tenant, "other")
    assert await settled(rt) == {await key_of(rt, file_id)}
    await deletion.remove_file(rt.for_tenant(tenant), file_id)
    assert await nothing_left(rt)


async def test_a_native_document_deleted_while_it_is_shared(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    for _ in range(6):
        native = await driving.ready(rt, tenant, paragraphs(1))
        file_id = "file_" + native.removeprefix("doc_")
        removal = deletion.remove(rt.for_tenant(tenant), native)
        ended = await asyncio.gather(driving.attach(rt, tenant, file_id, "other"), removal, return_exceptions=True)
        assert all(isinstance(each, NotFound) for each in ended if isinstance(each, BaseException)), ended
        assert await consistent(rt)
    async with rt.sessions() as session:
        left = (await session.scalars(select(File.id))).all()
    for file_id in left:
        await deletion.remove_file(rt.for_tenant(tenant), file_id)
    assert await nothing_left(rt)


# -- attempts and cutting ----------------------------------------------------------------------------------------


async def test_a_file_that_cannot_be_read_says_so_when_it_is_attached(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    reasons = {"a.png": (b"\x89PNG\r\n\x1a\n", "unsupported_type"), "a.pdf": (b"Plain text.", "type_mismatch")}
    for filename, (content, code) in reasons.items():
        file_id = await driving.file(rt, tenant, content, filename)
        attempts = [await driving.attach(rt, tenant, file_id, "first") for _ in range(2)]
        assert attempts[0].details.job.id == attempts[1].details.job.id
        for _ in range(2):
            job = await driving.run(rt, attempts[-1].details.job.id)
            assert (job.state, job.error_code) == ("failed", code)
            attempts.append(await driving.attach(rt, tenant, file_id, "first"))
            assert attempts[-1].details.job.id != job.id, "another attempt"
        assert len({each.details.document.id for each in attempts}) == 1
        assert await key_of(rt, file_id) in await settled(rt)
    assert await consistent(rt)


async def test_a_document_may_be_cut_in_a_way_of_its_own(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt, words = committing_rt, paragraphs(9)
    asked = {"size": 800, "overlap": 400, "unit": "tokens", "by_headings": False}
    wide = await attached(rt, tenant, await driving.file(rt, tenant, words, "a.txt"), "first", chunking=asked)
    plain = await attached(rt, tenant, await driving.file(rt, tenant, words, "b.txt"), "first")
    assert (len(await chunks_of(rt, wide)), len(await chunks_of(rt, plain))) == (1, 9)
    monkeypatch.setattr(rt.embedder, "longest_text", 100)
    narrow = await attached(rt, tenant, await driving.file(rt, tenant, words, "c.txt"), "first", chunking=asked)
    cut = await chunks_of(rt, narrow)
    assert len(cut) > 1
    assert max(rt.embedder.count_tokens(each.text) for each in cut) <= 100, "no longer than the model reads"
    assert (await driving.document_of(rt, narrow)).chunking == asked

    acting = rt.for_tenant(tenant)
    async with acting.transaction() as session:
        changed = await collections.change(session, rt, "first", {"chunking": {"size": 900}})
        assert changed.reingesting == 1, "those with a chunking of their own stay as they are"
    await reingestion.review(rt)
    for document_id in (wide, plain, narrow):
        await driving.run(rt, (await driving.document_of(rt, document_id)).job_id)
    assert [(await driving.document_of(rt, each)).newest_version for each in (wide, plain, narrow)] == [1, 2, 1]
    async with acting.transaction() as session:
        assert (await collections.get(session, "first")).reingesting == 0
        assert (await documents.get(session, plain)).version.shared
    assert (await job_of(rt, (await driving.document_of(rt, plain)).job_id)).state == "succeeded"
    assert await consistent(rt)
    async with rt.sessions() as session:
        assert await session.scalar(select(func.count()).select_from(Document)) == 3
