"""Accepting uploads: one document for the same bytes, however many send them at once."""

import asyncio
import hashlib
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, func, inspect, select

from footnote import documents, jobs
from footnote.database.driver import driver
from footnote.database.ids import new_id
from footnote.documents import Accepted
from footnote.errors import Invalid, NotFound, ProviderRejected
from footnote.models import Collection, Document, Job, JobCallback, Version, WebhookDelivery
from footnote.runtime import Runtime
from tests import driving
from tests.driving import document_of, job_of, paragraphs
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tenant(rt: Runtime) -> str:
    return await driving.new_tenant(rt)


async def count(rt: Runtime, table: type[Document] | type[Job] | type[Version] | type[Collection]) -> int:
    async with rt.sessions() as session:
        return (await session.scalars(select(func.count()).select_from(table))).one()


async def test_the_same_bytes_in_a_collection_are_one_document_with_one_job(rt: Runtime, tenant: str) -> None:
    first = await driving.accept(rt, tenant, "Some text.", "a.txt")
    second = await driving.accept(rt, tenant, "Some text.", "b.txt")
    assert (first.deduplicated, second.deduplicated) == (False, True)
    assert second.details.document.id == first.details.document.id
    assert second.details.job.id == first.details.job.id
    assert second.details.version.filename == "a.txt"
    assert (await count(rt, Document), await count(rt, Job), await count(rt, Version)) == (1, 1, 1)


async def test_collections_and_tenants_have_documents_of_their_own(rt: Runtime, tenant: str) -> None:
    other = await driving.new_tenant(rt)
    ids = {
        (await driving.accept(rt, owner, "Some text.", collection=collection)).details.document.id
        for owner in (tenant, other)
        for collection in ("one", "two")
    }
    assert len(ids) == 4


@pytest.mark.parametrize("external_id", [None, "handbook"])
async def test_twenty_uploads_of_the_same_bytes_at_once_make_one_document(
    committing_rt: Runtime, external_id: str | None
) -> None:
    rt = committing_rt
    tenant = await driving.new_tenant(rt)
    # The collection is there already: making it would by itself let the uploads in one by one.
    await driving.accept(rt, tenant, "Other text.")
    made = await asyncio.gather(*(driving.accept(rt, tenant, "Some text.", external_id=external_id) for _ in range(20)))
    assert len({each.details.document.id for each in made}) == 1
    assert len({each.details.job.id for each in made}) == 1
    assert sum(not each.deduplicated for each in made) == 1
    assert (await count(rt, Document), await count(rt, Job), await count(rt, Collection)) == (2, 2, 1)


async def test_versions_uploaded_at_once_leave_one_job_that_is_not_cancelled(committing_rt: Runtime) -> None:
    rt = committing_rt
    tenant = await driving.new_tenant(rt)
    made = await asyncio.gather(
        *(driving.accept(rt, tenant, f"Text {number}.", external_id="e") for number in range(12))
    )
    document = await document_of(rt, made[0].details.document.id)
    assert document.newest_version == 12
    ended = [await job_of(rt, each.details.job.id) for each in made]
    assert [job.id for job in ended if job.state != "cancelled"] == [document.job_id]
    assert (await driving.run(rt, document.job_id)).state == "succeeded"
    newest = await document_of(rt, document.id)
    (chunk,) = await driving.chunks_of(rt, document.id)
    assert hashlib.sha256(chunk.text.encode()).digest() == newest.sha256


@pytest.mark.parametrize("end", ["failed", "cancelled"])
async def test_a_document_that_ended_without_a_result_is_tried_again_when_it_is_uploaded_again(
    rt: Runtime, tenant: str, end: str
) -> None:
    assert isinstance(rt.embedder, FakeEmbedder)
    first = await driving.accept(rt, tenant, paragraphs(3))
    if end == "failed":
        rt.embedder.before = refuse
        await driving.run(rt, first.details.job.id)
        rt.embedder.before = lambda _texts: None
    else:
        async with rt.for_tenant(tenant).transaction() as session:
            await jobs.cancel(session, first.details.job.id)
    assert (await job_of(rt, first.details.job.id)).state == end
    again = await driving.accept(rt, tenant, paragraphs(3), callback_url="http://example.com/hook")
    assert again.deduplicated
    assert again.details.document.id == first.details.document.id
    assert again.details.job.id != first.details.job.id
    async with rt.transaction() as session:
        urls = await session.scalars(select(JobCallback.url).where(JobCallback.job_id == again.details.job.id))
    assert urls.all() == ["http://example.com/hook"]
    job = await driving.run(rt, again.details.job.id)
    assert job.state == "succeeded"
    assert len(await driving.chunks_of(rt, job.document_id)) == 3


async def test_uploading_again_heals_a_document_whose_object_was_lost(rt: Runtime, tenant: str) -> None:
    first = await driving.accept(rt, tenant, paragraphs(3))
    lost = first.details.version.object_key
    assert lost
    await rt.store.delete(lost)
    assert (await driving.run(rt, first.details.job.id)).error_code == "object_missing"
    again = await driving.accept(rt, tenant, paragraphs(3))
    assert (again.deduplicated, again.details.version.object_key == lost) == (True, False)
    assert (await driving.run(rt, again.details.job.id)).state == "succeeded"


async def test_whoever_uploads_the_same_bytes_again_is_told_too(rt: Runtime, tenant: str) -> None:
    first = await driving.accept(rt, tenant, paragraphs(2), callback_url="http://example.com/one")
    await driving.accept(rt, tenant, paragraphs(2), callback_url="http://example.com/two")
    await driving.run(rt, first.details.job.id)
    await driving.accept(rt, tenant, paragraphs(2), callback_url="http://example.com/three")
    async with rt.transaction() as session:
        sent = (await session.execute(select(WebhookDelivery.event, WebhookDelivery.url))).all()
    assert sorted(tuple(row) for row in sent) == [
        ("document.ready", f"http://example.com/{name}") for name in ("one", "three", "two")
    ]


def refuse(_texts: list[str]) -> None:
    raise ProviderRejected("provider_rejected")


async def test_new_bytes_under_a_known_external_id_are_a_new_version(rt: Runtime, tenant: str) -> None:
    first = await driving.accept(rt, tenant, "Old.", "a.txt", external_id="e", metadata={"kept": 1})
    second = await driving.accept(rt, tenant, "New.", "b.txt", external_id="e")
    assert not second.deduplicated
    assert second.details.document.id == first.details.document.id
    assert (second.details.version.number, second.details.version.filename) == (2, "b.txt")
    assert second.details.document.attributes == {"kept": 1}, "metadata stays where none is sent"
    third = await driving.accept(rt, tenant, "Newer.", "b.txt", external_id="e", metadata={})
    assert (third.details.version.number, third.details.document.attributes) == (3, {})


async def test_going_back_to_older_bytes_is_a_new_version_too(rt: Runtime, tenant: str) -> None:
    for number, content in enumerate(("one", "two", "one"), start=1):
        accepted = await driving.accept(rt, tenant, content, external_id="e")
        assert (accepted.details.version.number, accepted.deduplicated) == (number, False)


async def test_an_unknown_collection_id_is_not_found_and_leaves_nothing(rt: Runtime, tenant: str) -> None:
    theirs = await driving.new_tenant(rt)
    foreign = (await driving.accept(rt, theirs, "Some text.")).details.document.collection_id
    for collection in ("col_00000000000000000000000000", foreign):
        with pytest.raises(NotFound, match="collection_not_found"):
            await driving.accept(rt, tenant, "Some text.", collection=collection)
    assert await count(rt, Document) == 1


@pytest.mark.parametrize("name", ["", "a b", "-a", "../a", "a" * 64, "a\x00", "ä", "a\n"])
async def test_a_bad_collection_name_is_refused(rt: Runtime, tenant: str, name: str) -> None:
    with pytest.raises(Invalid, match="bad_collection_name"):
        await driving.accept(rt, tenant, "Some text.", collection=name)
    assert await count(rt, Collection) == 0


async def test_a_collection_is_found_by_its_id_too(rt: Runtime, tenant: str) -> None:
    first = await driving.accept(rt, tenant, "Some text.", collection="notes")
    by_id = first.details.document.collection_id
    second = await driving.accept(rt, tenant, "Other text.", collection=by_id)
    assert (second.details.collection, second.details.document.collection_id) == ("notes", by_id)


async def test_an_upload_that_is_rolled_back_leaves_nothing_to_work_on(committing_rt: Runtime) -> None:
    rt = committing_rt
    tenant = await driving.new_tenant(rt)
    upload = await driving.put(rt, tenant, b"x", "a.txt")

    class Crash(Exception): ...

    async def accept_and_crash() -> None:
        async with rt.for_tenant(tenant).transaction() as session:
            await documents.accept(session, rt, upload)
            raise Crash

    with pytest.raises(Crash):
        await accept_and_crash()
    assert (await count(rt, Document), await count(rt, Job), await count(rt, Version)) == (0, 0, 0)


# -- looked at -----------------------------------------------------------------------------------------------


async def listed(rt: Runtime, tenant: str, **options: object) -> list[str]:
    async with rt.for_tenant(tenant).transaction() as session:
        page = await documents.list_documents(session, **{"limit": 100, **options})  # type: ignore[arg-type]
    return [each.document.id for each in page]


async def test_pages_of_a_list_cover_every_document_once_newest_first(rt: Runtime, tenant: str) -> None:
    made = [(await driving.accept(rt, tenant, f"Text {number}.")).details.document.id for number in range(7)]
    seen: list[str] = []
    while page := await listed(rt, tenant, limit=3, before=seen[-1] if seen else None):
        seen += page
    assert seen == sorted(made, reverse=True)


async def test_lists_can_be_narrowed_and_never_show_another_tenants(rt: Runtime, tenant: str) -> None:
    theirs = await driving.new_tenant(rt)
    await driving.accept(rt, theirs, "Theirs.")
    done = await driving.ready(rt, tenant, "Done.", external_id="d")
    waiting = (await driving.accept(rt, tenant, "Waiting.", collection="other")).details.document.id
    assert set(await listed(rt, tenant)) == {done, waiting}
    assert await listed(rt, tenant, collection="other") == [waiting]
    assert await listed(rt, tenant, states=("succeeded",)) == [done]
    assert await listed(rt, tenant, external_id="d") == [done]


async def test_another_tenants_document_is_unknown_in_every_way(rt: Runtime, tenant: str) -> None:
    document_id = await driving.ready(rt, tenant, "Some text.")
    stranger = rt.for_tenant(await driving.new_tenant(rt))
    async with stranger.transaction() as session:
        for look in (
            documents.get(session, document_id),
            documents.page_text(session, document_id, 1),
            documents.chunks(session, document_id, limit=9, after=-1),
        ):
            with pytest.raises(NotFound, match="document_not_found"):
                await look


async def test_pages_and_chunks_are_those_of_the_active_version(rt: Runtime, tenant: str) -> None:
    document_id = await driving.ready(rt, tenant, paragraphs(5, "old"), external_id="e")
    new: Accepted = await driving.accept(rt, tenant, paragraphs(2, "new"), external_id="e")
    async with rt.for_tenant(tenant).transaction() as session:
        page = await documents.page_text(session, document_id, 1)
        assert (page.text.rstrip(), page.pages) == (paragraphs(5, "old").rstrip(), 1)
        rest = await documents.chunks(session, document_id, limit=2, after=1)
        assert [chunk.position for chunk in rest] == [2, 3]
        for number in (0, 2, -1):
            with pytest.raises(NotFound, match="page_not_found"):
                await documents.page_text(session, document_id, number)
    await driving.run(rt, new.details.job.id)
    async with rt.for_tenant(tenant).transaction() as session:
        assert "new" in (await documents.page_text(session, document_id, 1)).text


async def test_ids_sort_by_the_time_they_were_made() -> None:
    made = []
    for _ in range(5):
        made.append(new_id("doc"))
        await asyncio.sleep(0.002)
    assert made == sorted(made)
    assert {len(each) for each in made} == {30}


async def test_what_is_answered_is_what_is_stored(rt: Runtime, tenant: str) -> None:
    """Uploads and reads take rows from the driver, the rest of the product takes them from SQLAlchemy."""
    given: dict[str, Any] = {"z": 1.50, "a": [None, "\u00e4"], "aa": {}}
    accepted = await driving.accept(rt, tenant, "Some text.", metadata=given, external_id="e")
    async with rt.for_tenant(tenant).transaction() as session:
        read = await documents.get(session, accepted.details.document.id)
        job = await jobs.read(session, accepted.details.job.id)
        stored = [await session.get_one(type(each), each.id) for each in (read.document, read.version, read.job)]
    for details in (accepted.details, replace(read, job=job), read):
        for shown, row in zip((details.document, details.version, details.job), stored, strict=True):
            names = [each.key for each in inspect(type(row)).column_attrs]
            assert {name: getattr(shown, name) for name in names} == {name: getattr(row, name) for name in names}
    assert (read.document.attributes, read.collection) == (given, "default")


async def test_a_new_document_takes_few_statements(committing_rt: Runtime) -> None:
    tenant = await driving.new_tenant(committing_rt)
    rt = committing_rt.for_tenant(tenant)
    statements: list[str] = []

    def note(*given: Any) -> None:
        statements.append(given[2] if len(given) > 1 else given[0].query)

    async def accept(content: bytes) -> None:
        upload = await driving.put(rt, tenant, content, "a.txt")
        async with rt.transaction() as session:
            connection, engine = await driver(session), session.get_bind()
            connection.add_query_logger(note)
            event.listen(engine, "before_cursor_execute", note)
            statements.clear()
            await documents.accept(session, rt, upload)
            await asyncio.sleep(0)  # the driver's logger is called by the loop
            event.remove(engine, "before_cursor_execute", note)
            connection.remove_query_logger(note)

    await accept(b"first")
    await accept(b"second")
    # How to plan, the collection, the document, its job, and what counts for the key.
    assert len(statements) == 5, statements
