"""Files that are attached to a collection together, up to thousands of them: by a background task, some at a time.

The batch is there from the first, with all its files: those that were not attached yet count as in progress.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections, jobs
from footnote.collections import expiry
from footnote.collections.metadata import checked
from footnote.database.driver import driver
from footnote.database.ids import first_id, new_id
from footnote.database.tenant_scope import acting, scoped, tenant_of
from footnote.documents import files
from footnote.documents.file_counts import ITEM_STATE, STATE, STATES, FileStatus
from footnote.documents.reading import DocumentDetails, details_query
from footnote.errors import FootnoteError, NotFound
from footnote.jobs import tasks
from footnote.models import BackgroundTask, Document, FileBatch, FileBatchItem, Job
from footnote.runtime import Runtime
from footnote.tenancy import audit_log

MOST = 2000
A_PART = 20  # files attached between two looks at the clock
STORED_SECONDS = 30 * 24 * 3600.0


@dataclass(frozen=True)
class WantedFile:
    """A file to attach, and how."""

    file_id: str
    attributes: dict[str, Any] | None = None
    chunking: dict[str, Any] | None = None


async def begin(session: AsyncSession, collection_id: str, wanted: Sequence[WantedFile]) -> FileBatch:
    """A batch that a background process works on. Raises NotFound or Invalid for the collection, TooLarge."""
    collection = await collections.find(session, collection_id)
    expiry.check(collection)
    for each in wanted:
        checked(each.attributes or {})
    tenant_id = tenant_of(session)
    owned = {"tenant_id": tenant_id, "collection_id": collection_id}
    batch = FileBatch(id=new_id("vsfb"), key_id=acting(session).actor, **owned)
    session.add(batch)
    await session.flush()
    await session.refresh(batch)
    rows = [
        {"batch_id": batch.id, "position": position, "tenant_id": tenant_id, **vars(each)}
        for position, each in enumerate(wanted)
    ]
    if rows:
        await session.execute(insert(FileBatchItem), rows)
    await tasks.begin(session, "files.attach", tenant_id, batch.id, collection.name, len(rows))
    await audit_log.note(session, "file_batch.created", batch.id, collection_id=collection_id, files=len(rows))
    return batch


async def get(session: AsyncSession, collection_id: str, batch_id: str) -> FileBatch:
    """Raises NotFound."""
    await collections.find(session, collection_id)
    chosen = scoped(session, FileBatch).where(FileBatch.id == batch_id, FileBatch.collection_id == collection_id)
    batch = await session.scalar(chosen)
    if batch is None:
        raise NotFound("file_batch_not_found", f"There is no batch {batch_id!r}.")
    return batch


async def cancel(session: AsyncSession, collection_id: str, batch_id: str) -> FileBatch:
    """Ends what has not ended of the batch; what is attached stays. Raises NotFound."""
    batch = await get(session, collection_id, batch_id)
    await session.refresh(batch, with_for_update=True)  # no file is attached at the same time
    if batch.cancelled_at is None:
        batch.cancelled_at = func.now()
        await session.flush()
        await session.refresh(batch)
        attached = select(FileBatchItem.document_id).where(FileBatchItem.batch_id == batch_id)
        ended = await jobs.end_unfinished(session, Job.document_id.in_(attached))
        await audit_log.note(session, "file_batch.cancelled", batch_id, jobs=len(ended))
    return batch


# -- worked on -----------------------------------------------------------------------------------------------


async def attach_some(rt: Runtime, task: BackgroundTask) -> int | None:
    """Attaches the next files of a batch; None when none is left: that completes the task."""
    acting_rt = rt.for_tenant(task.tenant_id)
    async with acting_rt.transaction() as session:
        batch = await session.get(FileBatch, task.subject_id)
        open_ones = _open(task.subject_id).order_by(FileBatchItem.position).limit(A_PART)
        positions = (await session.scalars(open_ones)).all()
    if batch is None or batch.cancelled_at is not None or not positions:
        async with acting_rt.transaction() as session:
            await tasks.complete(session, task.id, {"documents": await _attached(session, task.subject_id)})
        return None
    by_key = acting_rt.as_actor(batch.key_id)
    for position in positions:
        await rt.again_while_busy(partial(_attach_one, by_key, task.subject_id, position))
    return len(positions)


def _open(batch_id: str) -> Any:
    waits = FileBatchItem.document_id.is_(None), FileBatchItem.error.is_(None)
    return select(FileBatchItem.position).where(FileBatchItem.batch_id == batch_id, *waits)


async def _attached(session: AsyncSession, batch_id: str) -> int:
    made = select(func.count(FileBatchItem.document_id)).where(FileBatchItem.batch_id == batch_id)
    return await session.scalar(made) or 0


async def _attach_one(rt: Runtime, batch_id: str, position: int) -> None:
    """What is wrong with a file or its collection is written to its item. A temporary error is raised."""
    try:
        async with rt.transaction() as session:
            if (item := await _held(session, batch_id, position)) is None:
                return
            batch = await session.get_one(FileBatch, batch_id)
            about = {"attributes": item.attributes, "chunking": item.chunking}
            accepted = await files.attach(session, rt, item.file_id, batch.collection_id, **about)
            item.document_id = accepted.details.document.id
    except FootnoteError as error:
        if error.retryable:
            raise
        async with rt.transaction() as session:
            if item := await _held(session, batch_id, position):
                item.error = {"code": error.code, "message": error.message}


async def _held(session: AsyncSession, batch_id: str, position: int) -> FileBatchItem | None:
    """The item, if its file is still to be attached; the batch is not cancelled before the transaction ends."""
    uncancelled = select(FileBatch.id).where(FileBatch.id == batch_id, FileBatch.cancelled_at.is_(None))
    if await session.scalar(uncancelled.with_for_update(read=True)) is None:
        return None
    item = await session.get(FileBatchItem, (batch_id, position), with_for_update=True)
    return item if item and item.document_id is None and item.error is None else None


# -- listed --------------------------------------------------------------------------------------------------

_LISTED = f"""
SELECT i.position, i.document_id, CASE WHEN i.document_id IS NULL THEN {ITEM_STATE} ELSE {STATE} END AS state
FROM file_batch b JOIN file_batch_item i ON i.batch_id = b.id
LEFT JOIN document ON document.id = i.document_id LEFT JOIN job ON job.id = document.job_id
WHERE b.tenant_id = $1 AND b.id = $2
"""  # noqa: S608  constants


async def list_items(
    session: AsyncSession, batch_id: str, status: FileStatus | None = None
) -> list[tuple[FileBatchItem, DocumentDetails | None]]:
    """The files of a batch by their ids, newest first; `MOST` at most, so they are read at once."""
    rows = await (await driver(session)).fetch(_LISTED, tenant_of(session), batch_id)
    wanted = STATES[status] if status else None
    chosen = {row["position"]: row["document_id"] for row in rows if wanted is None or row["state"] in wanted}
    ids = [each for each in chosen.values() if each]
    of_documents = details_query(session).where(Document.id.in_(ids))
    details = {each.Document.id: DocumentDetails(*each) for each in await session.execute(of_documents)}
    items = scoped(session, FileBatchItem).where(FileBatchItem.batch_id == batch_id)
    found = [each for each in await session.scalars(items) if each.position in chosen]
    found.sort(key=lambda each: each.file_id, reverse=True)
    return [(each, details.get(each.document_id or "")) for each in found]


async def purge(session: AsyncSession) -> None:
    """Removes batches that are too old to be of use, which their ids show; their documents stay."""
    oldest = first_id("vsfb", datetime.now(UTC) - timedelta(seconds=STORED_SECONDS))
    await session.execute(delete(FileBatch).where(FileBatch.id < oldest))
