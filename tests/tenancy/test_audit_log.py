"""An entry of the audit log is written with the action or not at all, and never changes."""

from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import ProgrammingError

from footnote import documents
from footnote.documents import deletion
from footnote.errors import NotFound
from footnote.jobs import scheduling
from footnote.models import AuditEvent, Document, Tenant
from footnote.operations import bootstrap
from footnote.runtime import Runtime
from footnote.tenancy import access_tokens, audit_log, keys, quotas
from footnote.webhooks import endpoints
from tests import driving
from tests.formats.containers import archive as packed
from worker import housekeeping

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tenant(rt: Runtime) -> str:
    return await driving.new_tenant(rt)


async def events(rt: Runtime) -> list[AuditEvent]:
    async with rt.transaction() as session:
        return list((await session.scalars(select(AuditEvent).order_by(AuditEvent.id))).all())


async def told(rt: Runtime) -> list[tuple[str, str, str]]:
    return [(each.actor, each.action, each.object_id) for each in await events(rt)]


async def test_no_deed_without_its_entry_and_no_entry_without_its_deed(
    rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def accept() -> None:
        upload = await driving.put(rt, tenant, b"The lamp.", "a.txt")
        async with rt.for_tenant(tenant).transaction() as session:
            await documents.accept(session, rt, upload)
            assert len((await session.scalars(select(AuditEvent))).all()) == 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await accept()
    assert await events(rt) == []

    async def refuse(*_: Any) -> None:
        raise RuntimeError("no room")

    document_id = (await driving.accept(rt, tenant, "The lamp.")).details.document.id
    monkeypatch.setattr(audit_log, "note_each", refuse)
    with pytest.raises(RuntimeError, match="no room"):
        await deletion.remove(rt.for_tenant(tenant), document_id)
    async with rt.transaction() as session:
        assert await session.get(Document, document_id) is not None


async def test_neither_a_tenant_nor_the_owner_changes_what_is_written(rt: Runtime, tenant: str) -> None:
    async with rt.for_tenant(tenant).as_actor("key_1", "req_1").transaction() as session:
        await audit_log.note(session, "document.created", "doc_1")
    before = [vars(each) | {"_sa_instance_state": None} for each in await events(rt)]
    assert (before[0]["actor"], before[0]["request_id"]) == ("key_1", "req_1")
    changes = ["UPDATE audit_event SET actor = 'key_2'", "DELETE FROM audit_event", "TRUNCATE audit_event"]
    for change in changes:
        with pytest.raises(ProgrammingError, match="permission denied"):
            await rt.for_tenant(tenant).execute(text(change))
        with pytest.raises(ProgrammingError, match="only added to"):
            await rt.execute(text(change))

    async def purge() -> None:
        async with rt.for_tenant(tenant).transaction() as session:
            await session.execute(audit_log._PURGES)
            await session.execute(text(changes[1]))

    with pytest.raises(ProgrammingError, match="permission denied"):
        await purge()
    foreign = text("INSERT INTO audit_event (tenant_id, action, object_id) VALUES ('ten_2', 'a', 'b')")
    with pytest.raises(ProgrammingError, match="row-level security"):
        await rt.for_tenant(tenant).execute(foreign)
    assert [vars(each) | {"_sa_instance_state": None} for each in await events(rt)] == before


async def test_events_are_in_the_order_in_which_they_were_written(rt: Runtime, tenant: str) -> None:
    async with rt.for_tenant(tenant).transaction() as session:
        for number in range(20):
            await audit_log.note_each(session, "a.b", {f"{number} {each}": {} for each in range(3)})
    found = await events(rt)
    assert [each.object_id for each in found] == [f"{number} {each}" for number in range(20) for each in range(3)]
    assert all(len(each.id) == 30 and each.id.startswith("aud_") for each in found)
    assert [each.at for each in found] == sorted(each.at for each in found)


async def test_what_the_system_and_the_operator_do(rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = packed({"a.txt": b"The lamp.", "b.txt": b"The lens."})
    archive = await driving.accept(rt.as_actor("key_1"), tenant, files, "both.zip", collection="kept")
    await driving.run(rt, archive.details.job.id)
    collection_id, archive_id = archive.details.document.collection_id, archive.details.document.id
    inner = [each.object_id for each in await events(rt) if "parent_id" in each.details]
    assert len(inner) == 2
    assert await told(rt) == [
        ("key_1", "collection.created", collection_id),
        ("key_1", "document.created", archive_id),
        *(("system", "document.created", each) for each in inner),
    ]
    await deletion.begin_collection(rt.for_tenant(tenant).as_actor("key_1"), "kept")
    await driving.work_off(rt)
    deleted = (await events(rt))[4:]
    assert [(each.actor, each.action) for each in deleted] == [
        ("key_1", "collection.deleted"),
        *[("system", "document.deleted")] * 3,
    ]
    assert [each.details for each in deleted[1:]] == [{"deleted_with": archive_id}] * 2 + [
        {"deleted_with": collection_id}
    ]
    before = len(deleted) + 4
    async with rt.transaction() as session:
        name = (await session.get_one(Tenant, tenant)).name
    async with rt.as_actor("operator").transaction() as session:
        await scheduling.pause(session)
        await scheduling.pause(session)
        await scheduling.resume(session)
        await quotas.change(session, name, {"documents": None})
    assert (await told(rt))[before:] == [
        ("operator", "work.paused", ""),
        ("operator", "work.resumed", ""),
        ("operator", "tenant.quotas_changed", tenant),
    ]


async def test_an_endpoint_that_is_gone_is_disabled_by_the_system(rt: Runtime, tenant: str) -> None:
    async with rt.for_tenant(tenant).transaction() as session:
        endpoint = await endpoints.create(session, "http://127.0.0.1:1/", ["*"], None)
        assert not await endpoints.failed(session, rt.settings, endpoint.id, gone=True, last=False)
    assert (await told(rt))[-1] == ("system", "webhook_endpoint.disabled", endpoint.id)


async def test_what_changes_nothing_is_no_deed(rt: Runtime, tenant: str) -> None:
    async with rt.for_tenant(tenant).transaction() as session:
        key, _ = await keys.create(session, tenant, "robot")
        for _ in range(2):
            await keys.revoke(session, key.id)
        with pytest.raises(NotFound):
            await keys.revoke(session, "key_1")
    assert [action for _, action, _ in await told(rt)] == ["key.created", "key.revoked"]


async def test_no_secret_and_no_name_is_in_the_log(rt: Runtime, tenant: str) -> None:
    async with rt.transaction() as session:
        _, secret = await keys.create(session, tenant, "a name", ("read", "write"))
    holder = (await keys.verify(rt, secret)).principal
    async with rt.transaction() as session:
        token, _, _ = await access_tokens.issue(session, holder, None, 60)
    async with rt.for_tenant(tenant).transaction() as session:
        url = "http://127.0.0.1:1/?secret=swordfish"
        endpoint = await endpoints.create(session, url, ["*"], "a name")
    await driving.accept(rt, tenant, "The lamp.", "a name.txt", external_id="a name", metadata={"a": "a name"})
    written = str([vars(each) for each in await events(rt)])
    for unwanted in (secret, token, endpoint.secret, "swordfish", "a name", "lamp"):
        assert unwanted not in written


@pytest.mark.parametrize(("days", "kept"), [(30.0, ["2"]), (0.0, ["0", "1", "2"])])
async def test_what_was_kept_long_enough_is_forgotten_in_parts(
    rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch, days: float, kept: list[str]
) -> None:
    monkeypatch.setattr(audit_log, "PURGED_AT_ONCE", 1)
    object.__setattr__(rt, "settings", rt.settings.model_copy(update={"audit_days": days}))
    written = text(
        "INSERT INTO audit_event (tenant_id, action, object_id, at) SELECT :tenant, 'a.b', each, "
        "now() - make_interval(days => 41 - 10 * each) FROM generate_series(0, 2) AS each"
    )
    await rt.execute(written.bindparams(tenant=tenant))
    await housekeeping._purge(rt)
    assert [each.object_id for each in await events(rt)] == kept


async def test_tenants_are_made_by_the_operator(rt: Runtime, settings: Any, own_database: str) -> None:
    own = settings.model_copy(update={"database_url": own_database})
    tenant_id, _ = await bootstrap.create_tenant(own, "lighthouse")
    await bootstrap.webhook_secret(own, "lighthouse")
    async with bootstrap._acting(own) as session:
        found = (await session.scalars(select(AuditEvent).order_by(AuditEvent.id))).all()
    assert [(each.actor, each.action, each.tenant_id) for each in found] == [
        ("operator", action, tenant_id) for action in ("tenant.created", "key.created", "tenant.secret_shown")
    ]
