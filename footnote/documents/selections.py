"""Many documents at once, by a background task: deleted, moved, or ingested again.

What was chosen is written down first. Documents that come later are not meant, and a task that is resumed continues
after the last one that is done.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections
from footnote.database.ids import new_id
from footnote.database.tenant_scope import scoped, tenant_of
from footnote.documents import deletion, moving, reingestion
from footnote.documents.listing import DocumentFilter, ids_of
from footnote.errors import Conflict, Invalid, NotFound
from footnote.jobs import tasks
from footnote.models import BackgroundTask, Document
from footnote.models.documents import VISIBLE
from footnote.runtime import Runtime
from footnote.tenancy import audit_log

MOST = 10_000  # documents of one task

_ACTIONS: dict[tasks.Kind, str] = {
    "documents.delete": "document.deletion_requested",
    "documents.move": "document.move_requested",
    "documents.reingest": "document.reingestion_requested",
}


async def begin(
    session: AsyncSession, kind: tasks.Kind, chosen: Sequence[str] | DocumentFilter, about: str = ""
) -> BackgroundTask:
    """Queues the task. Ids of documents that are gone are left out. Raises NotFound; Invalid for too many."""
    if isinstance(chosen, DocumentFilter):
        found: Sequence[str] = await ids_of(session, chosen, limit=MOST + 1)
        if len(found) > MOST:
            raise Invalid.in_fields([{"field": "body.where", "message": f"Chooses more than {MOST} documents."}])
    else:
        known = scoped(session, Document).with_only_columns(Document.id)
        found = (await session.scalars(known.where(Document.id.in_(chosen), VISIBLE).order_by(Document.id))).all()
    task_id = new_id("tsk")
    task = await tasks.begin(session, kind, tenant_of(session), task_id, about, len(found), found)
    await audit_log.note(session, _ACTIONS[kind], task.id, documents=len(found))
    return task


async def begin_move(
    session: AsyncSession, rt: Runtime, chosen: Sequence[str] | DocumentFilter, collection: str
) -> BackgroundTask:
    """The same for a move to the collection; a new name makes a new one."""
    target = await collections.obtain(session, collection, rt.settings)
    return await begin(session, "documents.move", chosen, target.id)


async def delete_next(rt: Runtime, task: BackgroundTask) -> int | None:
    """Deletes the next of the documents; after the last one the task is completed."""
    rt = rt.for_tenant(task.tenant_id)
    document_id = await _next(rt, task)
    if document_id is None:
        return None
    with suppress(NotFound):  # it was deleted meanwhile, or with the archive that it was found in
        await deletion.remove(rt, document_id)
    return 1


async def reingest_next(rt: Runtime, task: BackgroundTask) -> int | None:
    """Queues the next of the documents for ingestion; after the last one the task is completed."""
    rt = rt.for_tenant(task.tenant_id)
    document_id = await _next(rt, task)
    if document_id is None:
        return None
    async with rt.transaction() as session:
        await reingestion.again(session, document_id, task.created_at)
    return 1


async def move_next(rt: Runtime, task: BackgroundTask) -> int | None:
    """Moves the next of the documents, if it can be; after the last one the task is completed.

    The receipt counts those that are in the collection then.
    """
    rt = rt.for_tenant(task.tenant_id)
    document_id = await _next(rt, task, receipt=_moved)
    if document_id is None:
        return None
    with suppress(NotFound, Conflict, Invalid):  # it stays, or was moved already with what it was found in
        await rt.again_while_busy(partial(_move, rt, document_id, task.subject_name))
    return 1


async def _move(rt: Runtime, document_id: str, collection_id: str) -> None:
    async with rt.transaction() as session:
        await moving.move(session, rt, document_id, collection_id)


async def _moved(session: AsyncSession, task: BackgroundTask) -> int:
    chosen = select(func.unnest(BackgroundTask.document_ids)).where(BackgroundTask.id == task.id)
    there = scoped(session, Document).where(Document.id.in_(chosen), Document.collection_id == task.subject_name)
    return await session.scalar(there.with_only_columns(func.count())) or 0


async def _all(_session: AsyncSession, task: BackgroundTask) -> int:
    return task.progress_total


Receipt = Callable[[AsyncSession, BackgroundTask], Awaitable[int]]


async def _next(rt: Runtime, task: BackgroundTask, receipt: Receipt = _all) -> str | None:
    """The id of the document that is next. Without one, the task is completed."""
    nth = BackgroundTask.document_ids[BackgroundTask.progress_done + 1]
    async with rt.transaction() as session:
        found = await session.scalar(select(nth).where(BackgroundTask.id == task.id))
        if found is None:
            await tasks.complete(session, task.id, {"documents": await receipt(session, task)})
            await session.execute(update(BackgroundTask).where(BackgroundTask.id == task.id).values(document_ids=None))
    return found
