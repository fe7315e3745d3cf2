"""Deleting a tenant leaves nothing of it and all of the others, whatever process is stopped."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from footnote import documents, ingest, model_swap
from footnote.documents import deletion
from footnote.errors import TenantDeleted, Unauthenticated
from footnote.jobs import tasks
from footnote.models import (
    Artifact,
    AuditEvent,
    BackgroundTask,
    Base,
    BrowserSession,
    CachedAnswer,
    DocumentSequence,
    FileBatch,
    FileBatchItem,
    FollowedTenant,
    IdempotencyKey,
    PagePicture,
    RefusedUpload,
    StoredResponse,
    TallyRow,
    Tenant,
    UnownedObject,
    WebhookAttempt,
)
from footnote.operations import bootstrap, tenant_deletion
from footnote.operations.consistency import audit
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings
from footnote.tenancy import access_tokens, keys, tenants
from tests import driving
from tests.api.test_tenant_wall import TEXT, made_by
from tests.documents.test_deletion_races import until_somebody_waits
from tests.fakes import FakeEmbedder
from tests.stored import in_store, settled
from tests.waking import waking
from worker import background_tasks

pytestmark = pytest.mark.anyio
OUTLIVES_IT = tenant_deletion.OUTLIVE_IT | {"background_task"}
PASSING = "vocabulary_removal"  # its rows end with their transaction
OWNED = [table for table in Base.metadata.sorted_tables if "tenant_id" in table.c and table.name != PASSING]


@pytest.fixture
async def tenant(committing_rt: Runtime) -> str:
    return await driving.new_tenant(committing_rt)


async def fill(rt: Runtime, tenant: str) -> None:
    """A row in every table, and documents that are ready, half done and deleted."""
    ids = await made_by(rt, tenant, TEXT)
    begun = await driving.accept(rt, tenant, driving.paragraphs(9), callback_url="http://127.0.0.1:1/")
    for step in ("chunk", "embed"):  # its vectors are stored apart until the chunks are
        assert await ingest.run_step(rt, begun.details.job.id, step)
    await deletion.remove(rt.for_tenant(tenant), await driving.ready(rt, tenant, "Gone before."))
    await driving.ready(rt, tenant, "Gone with its collection.", collection="gone")
    await driving.remove_collection(rt, tenant, "gone")
    await driving.attach(rt, tenant, await driving.file(rt, tenant, "Of a file."), ids["collection_id"])
    await driving.file(rt, tenant, "Of no document.")
    await swapping(rt, tenant, ids["collection_id"])
    of_version = {"version_id": begun.details.version.id, "number": 99}
    about: dict[type[Base], dict[str, Any]] = {
        Artifact: {"key": f"artifacts/{tenant}", "tally": {}, **of_version},
        PagePicture: {"key": f"pictures/{tenant}", "width": 400, **of_version},
        FollowedTenant: {"until": func.now()},
        FileBatch: {"id": f"vsfb_{tenant}", "key_id": "k", "collection_id": ids["collection_id"]},
        FileBatchItem: {"batch_id": f"vsfb_{tenant}", "position": 0, "file_id": "file_unknown"},
        RefusedUpload: {"id": f"ref_{tenant}", "filename": "a.exe", "code": "unsupported_type", "message": "No."},
        CachedAnswer: {"id": f"ans_{tenant}", "scope": b"", "collection_ids": [], "question": "", "answer": {}},
        StoredResponse: {
            "id": f"r_{tenant}",
            "request": {},
            "status": "",
            "model": "",
            "usage": {},
            "expires_at": func.now(),
        },
        TallyRow: {"collection_id": "", "documents": 0, "searchable": 0, "chunks": 0, "bytes": 0},
        DocumentSequence: {"document_id": ids["document_id"], "last": 1},
        IdempotencyKey: {"key": "k", "holder": "h", "held_until": func.now()},
        WebhookAttempt: {
            "delivery_id": ids["delivery_id"],
            **{"number": 1, "started_at": func.now(), "latency_ms": 1},
        },
        BrowserSession: {
            "id": f"ses_{tenant}",
            "key_id": "k",
            "secret_sha256": tenant.encode(),
            "expires_at": func.now(),
        },
    }
    async with rt.transaction() as session:
        for table, row in about.items():
            await session.execute(insert(table).values(tenant_id=tenant, **row))
    for folder in ("artifacts", "pictures"):
        out = await rt.store.open_writer(f"{folder}/{tenant}")
        await out.commit()


async def swapping(rt: Runtime, tenant: str, collection_id: str) -> None:
    """Another model for the collection, with a second vector for each chunk."""
    rt.others["fake", "other"] = FakeEmbedder("other")
    swap = (await model_swap.begin(rt.for_tenant(tenant), collection_id, "fake", "other", "")).swap
    async with rt.transaction() as session:
        task = await tasks.of_subject(session, model_swap.KIND, tenant, swap.id)
        assert task is not None
    claimed = await tasks.take_due(rt.operator, task.id)
    assert claimed is not None
    await tasks.run(rt.operator, claimed, background_tasks.PARTS[model_swap.KIND])


async def rows(rt: Runtime, tenant: str) -> dict[str, int]:
    """How many the tenant has, by table."""
    async with rt.transaction() as session:
        counted = {
            table.name: await session.scalar(select(func.count()).where(table.c.tenant_id == tenant)) for table in OWNED
        }
    return {name: count for name, count in counted.items() if count}


async def key_of(rt: Runtime, tenant: str) -> str:
    async with rt.transaction() as session:
        return (await keys.create(session, tenant, "robot"))[1]


async def refused(rt: Runtime, presented: str) -> bool:
    verify = access_tokens.verify if access_tokens.looks_like_token(presented) else keys.verify
    try:
        await verify(rt, presented)
    except Unauthenticated:
        return True
    return False


async def test_nothing_of_a_tenant_is_left_and_everything_of_another(committing_rt: Runtime, tenant: str) -> None:
    rt, other = committing_rt, await driving.new_tenant(committing_rt)
    for each in (tenant, other):
        await fill(rt, each)
    before, theirs = await rows(rt, tenant), await rows(rt, other)
    assert before.keys() == {table.name for table in OWNED}, "or there is nothing to be left"
    async with rt.for_tenant(tenant).transaction() as session:
        name = await tenants.name_of(session)
    receipt = await tenant_deletion.remove(rt.as_actor("operator"), tenant)
    assert (left := await rows(rt, tenant)).keys() == OUTLIVES_IT
    assert left["background_task"] == 1, "the receipt"
    assert await rows(rt, other) == theirs
    async with rt.transaction() as session:
        later = select(UnownedObject.key).where(UnownedObject.delete_at > func.now())
        assert [key for key in await session.scalars(later) if tenant in key] == []
    assert {key for key in await settled(rt) if tenant in key} == set()
    assert len([key for key in await in_store(rt) if other in key]) > 2
    assert [each async for each in audit(rt, fix=False)] == []

    counts = dict(receipt.counts)
    others = counts.pop("rows")
    assert (counts["documents"], counts["chunks"], counts["pages"]) == (3, before["chunk"], before["page"])
    assert counts.keys() == set(deletion.COUNTED)
    kinds = {"conversation": 1, "message": 1, "api_key": 1, "collection": 2, "deletion": 5, "background_task": 3}
    assert {name: others[name] for name in kinds} == kinds
    assert others["file"] == 2
    assert (await tenant_deletion.remove(rt, tenant)).counts == receipt.counts
    async with rt.transaction() as session:
        [again] = await tenant_deletion.receipts(session)
        assert (again.tenant_id, again.subject_name, again.counts) == (tenant, name, receipt.counts)
        assert again.finished_at is not None
        logged = select(AuditEvent.actor, AuditEvent.action).where(AuditEvent.object_id == tenant)
        assert (await session.execute(logged)).all() == [("operator", "tenant.deleted")]
        assert (await tenants.create(session, again.subject_name)).id != tenant
    with pytest.raises(TenantDeleted):
        await tenant_deletion.remove(rt, "ten_1")


async def test_from_the_first_moment_it_is_refused_and_another_process_finishes(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt, other = committing_rt, await driving.new_tenant(committing_rt)
    for number in range(3):
        await driving.accept(rt, tenant, f"Lamp {number}.")
    late = await driving.put(rt, tenant, b"Late.", "a.txt")
    key, stranger = await key_of(rt, tenant), await key_of(rt, other)
    holder = (await keys.verify(rt, key)).principal
    async with rt.transaction() as session:
        token, _, _ = await access_tokens.issue(session, holder, None, 60)
    removed: list[str] = []
    remove = deletion.remove

    async def killed_at_the_second(*arguments: Any) -> Any:
        if removed:
            raise KeyboardInterrupt
        removed.append(arguments[-1])
        return await remove(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(deletion, "remove", killed_at_the_second)
        patch.setattr(tenant_deletion, "A_PART", 1)
        with pytest.raises(KeyboardInterrupt):
            await tenant_deletion.remove(rt, tenant)
    async with rt.transaction() as session:
        task = await session.scalar(select(BackgroundTask).where(BackgroundTask.tenant_id == tenant))
        assert task is not None
        assert (task.state, task.progress_done, task.progress_total) == ("running", 1, 3)
    assert [await refused(rt, each) for each in (key, token, stranger)] == [True, True, False]
    with pytest.raises(TenantDeleted):
        async with rt.for_tenant(tenant).transaction() as session:
            await documents.accept(session, rt, late)
    assert (await rows(rt, tenant))["document"] == 2

    await driving.work_off(rt)
    assert (await rows(rt, tenant))["document"] == 2, "the process that began it may still work on it"
    await rt.execute(update(BackgroundTask).values(lease_until=func.now() - func.make_interval(0, 0, 0, 0, 0, 0, 1)))
    loop = background_tasks.BackgroundTasks(rt)
    working = asyncio.create_task(loop.run())
    async with waking(rt, {"work": loop.woken}), asyncio.timeout(60):
        while (await rows(rt, tenant)).keys() != OUTLIVES_IT:
            await asyncio.sleep(0.02)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    async with rt.transaction() as session:
        receipt = await session.get_one(BackgroundTask, task.id)
    assert receipt.state == "completed"
    assert receipt.counts["documents"] == 3, "also what was removed before"
    assert await refused(rt, key)
    with pytest.raises(TenantDeleted):  # a request that was at work all the time
        async with rt.for_tenant(tenant).transaction() as session:
            await documents.accept(session, rt, late)


async def test_an_upload_under_way_is_waited_for_and_deleted(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    accepted, go_on = asyncio.Event(), asyncio.Event()

    async def upload() -> None:
        late = await driving.put(rt, tenant, b"Late.", "a.txt")
        async with rt.for_tenant(tenant).transaction() as session:
            await documents.accept(session, rt, late)
            accepted.set()
            await go_on.wait()

    uploading = asyncio.create_task(upload())
    await accepted.wait()
    removal = asyncio.create_task(tenant_deletion.remove(rt, tenant))
    await until_somebody_waits(rt)
    go_on.set()
    await uploading
    assert (await removal).counts["documents"] == 1
    assert (left := await rows(rt, tenant)).keys() == OUTLIVES_IT
    assert left["background_task"] == 1, "the receipt"
    assert await settled(rt) == set()


async def test_deleted_by_two_at_once_while_its_documents_are_worked_on(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    jobs = [(await driving.accept(rt, tenant, driving.paragraphs(6, f"lamp{n}"))).details.job.id for n in range(4)]
    steps = [asyncio.create_task(driving.run(rt, job_id)) for job_id in jobs]
    receipts = await asyncio.gather(*(tenant_deletion.remove(rt, tenant) for _ in range(2)))
    await asyncio.gather(*steps, return_exceptions=True)  # their jobs are gone
    assert [each.counts["documents"] for each in receipts] == [4, 4]
    assert (left := await rows(rt, tenant)).keys() == OUTLIVES_IT
    assert left["background_task"] == 1, "the receipt"
    assert await settled(rt) == set()
    assert [each async for each in audit(rt, fix=False)] == []


async def test_a_new_first_tenant_where_the_last_one_was_deleted(settings: Settings, own_database: str) -> None:
    own = settings.model_copy(update={"database_url": own_database})
    first = await bootstrap.ensure_first_tenant(own)
    async with open_runtime(own, pool_size=2) as rt:
        async with rt.transaction() as session:
            tenant = await tenants.find(session, bootstrap.FIRST_TENANT)
        await rt.execute(update(Tenant).values(deleted_at=func.now()))
        assert await bootstrap.ensure_first_tenant(own) is None, "it is not gone yet"
        await rt.execute(update(Tenant).values(deleted_at=None))
        await tenant_deletion.remove(rt, tenant.id)
        second = await bootstrap.ensure_first_tenant(own)
        assert second is not None
        assert (own.data_dir / "api_key").read_text() == second + "\n"
        assert [await refused(rt, each) for each in (first or "", second)] == [True, False]
