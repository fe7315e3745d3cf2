"""The end of a tenant: refused from the first moment on, then removed with everything, with a receipt.

Safe to be stopped at any moment, and to be gone on with by several at once: `finish` takes over.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Table, delete, func, literal_column, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import jobs
from footnote.database.clock import from_now
from footnote.documents import deletion, objects
from footnote.errors import NotFound, TenantDeleted
from footnote.models import Base, DirectUpload, Document, Job, Tenant, TenantDeletion
from footnote.runtime import Runtime
from footnote.tenancy import audit_log

ABANDONED_SECONDS = 60.0  # since it was begun: of a large tenant much is left then, and both go on
A_PART = 1000  # documents, until what else there may be is looked for again
ROWS_AT_ONCE = 5000
_ROW: ColumnElement[Any] = literal_column("ctid")
OUTLIVE_IT = {"audit_event", "tenant_deletion"}
# What may be many rows and belongs to no document. It goes first, so that no webhook is sent for each document, and in
# parts; children before their parents, to be counted. What else a tenant has goes at the end, with the tenant itself.
BESIDE_DOCUMENTS = (
    *("webhook_attempt", "webhook_delivery", "webhook_endpoint", "job_callback", "query_batch_item", "query_batch"),
    *("message", "conversation", "cached_answer", "idempotency_key"),
)


def tables() -> list[Table]:
    """Those with rows of tenants that end with their tenant; children before their parents."""
    owned = [table for table in Base.metadata.sorted_tables if "tenant_id" in table.c and table.name not in OUTLIVE_IT]
    return owned[::-1]


async def remove(rt: Runtime, tenant_id: str) -> TenantDeletion:
    """Deletes the tenant with all it has; the receipt, also when asked again. Raises TenantDeleted if there is none."""
    rt = rt.operator
    await _begin(rt, tenant_id)
    receipt = None
    while receipt is None:
        receipt = await _go_on(rt, tenant_id)
    return receipt


async def finish(rt: Runtime) -> None:
    """Continues the deletion of a tenant whose process went silent; a part of it."""
    async with rt.transaction() as session:
        begun = select(Tenant.id).where(Tenant.deleted_at < from_now(-ABANDONED_SECONDS))
        tenant_id = await session.scalar(begun.order_by(Tenant.deleted_at).limit(1))
    if tenant_id is not None:
        await _go_on(rt, tenant_id)


async def receipts(session: AsyncSession) -> Sequence[TenantDeletion]:
    """Of all tenants that were deleted, or are being, newest first."""
    return (await session.scalars(select(TenantDeletion).order_by(TenantDeletion.began_at.desc()))).all()


async def _begin(rt: Runtime, tenant_id: str) -> None:
    async with rt.transaction() as session:
        # Not as strongly as to delete it: uploads under way need not be waited for.
        tenant = await session.get(Tenant, tenant_id, with_for_update={"key_share": True})
        if tenant is not None and tenant.deleted_at is None:
            tenant.deleted_at = func.now()
            session.add(TenantDeletion(tenant_id=tenant_id, name=tenant.name, counts={}))
            await audit_log.note_for(session, tenant_id, "tenant.deleted", tenant_id)
        elif await session.get(TenantDeletion, tenant_id) is None:
            raise TenantDeleted


async def _go_on(rt: Runtime, tenant_id: str) -> TenantDeletion | None:
    """What is beside the documents, some documents, and after the last of them the tenant: then the receipt."""
    async with rt.transaction() as session:
        await jobs.end_unfinished(session, Job.tenant_id == tenant_id, None)
    for table in tables():
        if table.name in BESIDE_DOCUMENTS:
            while await _remove_part(rt, tenant_id, table) == ROWS_AT_ONCE:
                pass
    for _ in range(A_PART):
        async with rt.transaction() as session:
            document_id = await session.scalar(_first_document(tenant_id))
        if document_id is None:
            return await rt.again_while_busy(partial(_end, rt, tenant_id))
        with suppress(NotFound):  # another process was faster
            await deletion.remove(rt.for_tenant(tenant_id), document_id)
    return None


def _first_document(tenant_id: str) -> Any:
    return select(Document.id).where(Document.tenant_id == tenant_id).order_by(Document.id).limit(1)


async def _remove_part(rt: Runtime, tenant_id: str, table: Table) -> int:
    """Removes some rows of the tenant; how many. They are counted in the receipt."""
    part = select(_ROW).select_from(table).where(table.c.tenant_id == tenant_id).limit(ROWS_AT_ONCE)
    async with rt.transaction() as session:
        receipt = await session.get_one(TenantDeletion, tenant_id, with_for_update=True)
        removed = await _count(session, delete(table).where(_ROW.in_(part)))
        _add(receipt, {table.name: removed})
    return removed


async def _count(session: AsyncSession, removal: Any) -> int:
    removed = await session.execute(removal)
    assert isinstance(removed, CursorResult)
    return removed.rowcount


def _add(receipt: TenantDeletion, rows: dict[str, int]) -> None:
    counts = Counter(receipt.counts.get("rows", {})) + Counter(rows)
    receipt.counts = {**receipt.counts, "rows": dict(counts)}


_DOCUMENTS = text(
    """
    SELECT counted.name, CAST(sum(CAST(number AS bigint)) AS bigint) AS total
    FROM deletion, jsonb_each_text(counts) AS counted(name, number)
    WHERE tenant_id = :id AND deleted_at >= :began GROUP BY counted.name
    """
)


async def _end(rt: Runtime, tenant_id: str) -> TenantDeletion | None:
    """The receipt; None if there still is a document, of an upload that began before the deletion."""
    async with rt.transaction() as session:
        receipt = await session.get_one(TenantDeletion, tenant_id, with_for_update=True)
        # Writers of the tenant's rows hold it until they commit; afterwards none can begin.
        held = await session.scalar(select(Tenant.id).where(Tenant.id == tenant_id).with_for_update())
        if held is None:
            return receipt
        if await session.scalar(_first_document(tenant_id)) is not None:
            return None
        sums = await session.execute(_DOCUMENTS, {"id": tenant_id, "began": receipt.began_at})
        documents = dict.fromkeys(deletion.COUNTED, 0) | {row.name: row.total for row in sums}
        for key in (await session.scalars(select(DirectUpload.key).where(DirectUpload.tenant_id == tenant_id))).all():
            await objects.withdraw(session, key)
        for table in tables():
            removal = delete(table).where(table.c.tenant_id == tenant_id)
            _add(receipt, {table.name: await _count(session, removal)})
        await session.execute(delete(Tenant).where(Tenant.id == tenant_id))
        receipt.counts = documents | receipt.counts
        receipt.finished_at = func.now()
        await session.flush()
        await session.refresh(receipt)
        return receipt
