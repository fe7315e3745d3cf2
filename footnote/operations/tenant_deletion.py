"""The end of a tenant: its keys are refused at once, then it is removed with everything, with a receipt.

A background task (`jobs.tasks`), safe to be killed at any moment and worked on by several processes at once.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Table, delete, exists, func, literal_column, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import jobs
from footnote.database.paging import newest_first
from footnote.database.rows import affected
from footnote.documents import deletion, objects
from footnote.errors import NotFound, TenantDeleted
from footnote.jobs import tasks
from footnote.models import BackgroundTask, Base, DirectUpload, Document, File, Job, TallyRow, Tenant
from footnote.runtime import Runtime
from footnote.tenancy import audit_log, tallies

A_PART = 20  # documents, until what else there may be is looked for again
ROWS_AT_ONCE = 5000
_ROW: ColumnElement[Any] = literal_column("ctid")
OUTLIVE_IT = {"audit_event"}
# What may be much and belongs to no document. It goes first, so that no webhook is sent for each document, and in
# parts; children before their parents, to be counted. Everything else goes at the end, with the tenant itself.
BESIDE_DOCUMENTS = (
    *("webhook_attempt", "webhook_delivery", "webhook_endpoint", "job_callback", "query_batch_item", "query_batch"),
    *("message", "conversation", "response", "cached_answer", "idempotency_key"),
)


def tables() -> list[Table]:
    """Those with rows of tenants that end with their tenant; children before their parents.

    Background tasks come last: deleting a collection begins one while it holds the collection. Tallies come after the
    changes that may be folded into them at this moment.
    """
    owned = [table for table in Base.metadata.sorted_tables if "tenant_id" in table.c and table.name not in OUTLIVE_IT]
    children_first = owned[::-1]
    last = [TallyRow.__tablename__, BackgroundTask.__tablename__]
    return sorted(children_first, key=lambda table: last.index(table.name) if table.name in last else -1)


async def begin(rt: Runtime, tenant_id: str) -> BackgroundTask:
    """Has the tenant's keys refused and queues its deletion; the same task when asked again.

    Raises TenantDeleted if there is no such tenant and no task.
    """
    async with rt.operator.transaction() as session:
        # Not as strongly as to delete it: uploads under way need not be waited for.
        tenant = await session.get(Tenant, tenant_id, with_for_update={"key_share": True})
        task = await tasks.of_subject(session, "tenant.delete", tenant_id, tenant_id)
        if task is not None:
            return task
        if tenant is None:
            raise TenantDeleted
        tenant.deleted_at = func.now()
        await audit_log.note_for(session, tenant_id, "tenant.deleted", tenant_id)
        held = await tallies.of_tenant(session, tenant_id)
        return await tasks.begin(session, "tenant.delete", tenant_id, tenant_id, tenant.name, held.documents)


async def remove(rt: Runtime, tenant_id: str) -> BackgroundTask:
    """Deletes the tenant with all it has; the completed task, also when asked again. Raises TenantDeleted."""
    return await tasks.finish(rt.operator, (await begin(rt, tenant_id)).id, remove_part)


async def receipts(session: AsyncSession) -> Sequence[BackgroundTask]:
    """Of all tenants that were deleted, or are being, newest first."""
    deletions = select(BackgroundTask).where(BackgroundTask.kind == "tenant.delete")
    return (await session.scalars(deletions.order_by(BackgroundTask.created_at.desc()))).all()


async def remove_part(rt: Runtime, task: BackgroundTask) -> int | None:
    """Deletes all but the documents, then some documents, and after the last one the tenant: the task is complete."""
    rt, tenant_id = rt.operator, task.tenant_id
    async with rt.transaction() as session:
        await jobs.end_unfinished(session, Job.tenant_id == tenant_id, None)
    for table in tables():
        if table.name in BESIDE_DOCUMENTS:
            while await _remove_rows(rt, task, table) == ROWS_AT_ONCE:
                pass
    removed = 0
    for _ in range(A_PART):
        async with rt.transaction() as session:
            document_id = await session.scalar(_first_document(tenant_id))
        if document_id is None:
            while await _remove_files(rt, task) == ROWS_AT_ONCE:
                pass
            return None if await rt.again_while_busy(partial(_end, rt, task)) else removed
        with suppress(NotFound):  # deleted by another request just now
            removed += (await deletion.remove(rt.for_tenant(tenant_id), document_id)).counts["documents"]
    return removed


def _first_document(tenant_id: str) -> Any:
    return select(Document.id).where(Document.tenant_id == tenant_id).order_by(newest_first(Document.id)).limit(1)


async def _remove_rows(rt: Runtime, task: BackgroundTask, table: Table) -> int:
    """Removes some rows of the tenant; how many. They are counted in the receipt."""
    some = select(_ROW).select_from(table).where(table.c.tenant_id == task.tenant_id).limit(ROWS_AT_ONCE)
    async with rt.transaction() as session:
        receipt = await session.get_one(BackgroundTask, task.id, with_for_update=True)
        removed = await affected(session, delete(table).where(_ROW.in_(some)))
        _add(receipt, {table.name: removed})
    return removed


async def _remove_files(rt: Runtime, task: BackgroundTask) -> int:
    """Removes some files of which no document is left, and gives up their objects; how many."""
    some = select(File.id).where(File.tenant_id == task.tenant_id).order_by(File.id).limit(ROWS_AT_ONCE)
    attached = exists().where(Document.file_id == File.id)
    async with rt.transaction() as session:
        receipt = await session.get_one(BackgroundTask, task.id, with_for_update=True)
        # A document that is being made from one holds it; the next statement sees that document.
        ids = (await session.scalars(some.with_for_update())).all()
        removal = delete(File).where(File.id.in_(ids), ~attached).returning(File.object_key)
        keys = (await session.scalars(removal)).all()
        await objects.give_up(session, keys)
        _add(receipt, {File.__tablename__: len(keys)})
    return len(keys)


def _add(receipt: BackgroundTask, rows: dict[str, int]) -> None:
    counts = Counter(receipt.counts.get("rows", {})) + Counter(rows)
    receipt.counts = {**receipt.counts, "rows": dict(counts)}


_DOCUMENTS = text(
    """
    SELECT counted.name, CAST(sum(CAST(number AS bigint)) AS bigint) AS total
    FROM deletion, jsonb_each_text(counts) AS counted(name, number)
    WHERE tenant_id = :id AND deleted_at >= :began GROUP BY counted.name
    """
)


async def _end(rt: Runtime, task: BackgroundTask) -> bool:
    """Whether the tenant is gone; False if there is a document or file, of an upload that began before the deletion."""
    tenant_id = task.tenant_id
    async with rt.transaction() as session:
        receipt = await session.get_one(BackgroundTask, task.id, with_for_update=True)
        # A request that is writing something of the tenant holds it until that is there; afterwards none can.
        if await session.get(Tenant, tenant_id, with_for_update=True) is None:
            return True
        files = select(File.id).where(File.tenant_id == tenant_id).limit(1)
        if await session.scalar(_first_document(tenant_id)) or await session.scalar(files):
            return False
        totals = await session.execute(_DOCUMENTS, {"id": tenant_id, "began": receipt.created_at})
        documents = dict.fromkeys(deletion.COUNTED, 0) | {row.name: row.total for row in totals}
        for key in (await session.scalars(select(DirectUpload.key).where(DirectUpload.tenant_id == tenant_id))).all():
            await objects.withdraw(session, key)
        for table in tables():
            removal = delete(table).where(table.c.tenant_id == tenant_id)
            if table.name == BackgroundTask.__tablename__:  # but its own
                removal = removal.where(table.c.id != task.id)
            _add(receipt, {table.name: await affected(session, removal)})
        await session.execute(delete(Tenant).where(Tenant.id == tenant_id))
        await session.flush()
        await tasks.complete(session, task.id, documents | receipt.counts)
    return True
