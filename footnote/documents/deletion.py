"""Deletes documents, collections and files at any moment, with everything derived from them, and with a receipt."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections, jobs, webhooks
from footnote.collections import expiry, revisions
from footnote.database.rows import affected
from footnote.database.tenant_scope import scoped
from footnote.documents import derived_answers, idempotency, objects
from footnote.embeddings import checkpoint, second_vectors
from footnote.errors import NotFound
from footnote.jobs import listing, tasks
from footnote.models import BackgroundTask, Collection, Deletion, Document, File, Job, Page, Version
from footnote.runtime import Runtime
from footnote.tenancy import audit_log, tallies
from footnote.tenancy.tallies import DocumentTally

COUNTED = (
    *("documents", "versions", "pages", "chunks", "second_vectors", "embeddings"),
    *("jobs", "answers", "objects", "bytes"),
)
AT_ONCE = 3  # deletions of a tenant in one process: they may wait for each other while they hold a connection


async def remove(rt: Runtime, document_id: str, gone_with: str | None = None) -> Deletion:
    """Deletes the document and everything derived from it. Returns the receipt, also if it was deleted before.

    Raises NotFound. Jobs are ended first, without a lock on their documents: a worker that is storing chunks holds such
    a lock until it notices. Each generation has a transaction of its own: a step that unpacks a container holds its
    job and waits for others. `gone_with`: the collection or file that is being deleted with the document, if any.
    """
    async with rt.exclusive("deletion", slots=AT_ONCE):
        return await rt.again_while_busy(partial(_remove, rt, document_id, gone_with))


async def _remove(rt: Runtime, document_id: str, gone_with: str | None) -> Deletion:
    async with rt.transaction() as session:
        family = await _family(session, document_id)
    for generation in family:
        async with rt.transaction() as session:
            await jobs.end_unfinished(session, Job.document_id.in_(generation), None)
    async with rt.transaction() as session:
        family = await _family(session, document_id, locked=True)
        if not family:
            receipt = await session.scalar(scoped(session, Deletion).where(Deletion.document_id == document_id))
            if receipt is None:
                raise NotFound("document_not_found", f"There is no document {document_id!r}.")
            return receipt
        innermost_first = [each for generation in reversed(family) for each in generation]
        of_family = scoped(session, Document).with_only_columns(Document.collection_id)
        collection_ids = (await session.scalars(of_family.where(Document.id.in_(innermost_first)).distinct())).all()
        counts = Counter({"documents": len(innermost_first)})
        counts.update(await _delete_dependent(session, innermost_first))
        counts.update(await _delete_rows(session, innermost_first))
        causes = dict.fromkeys(innermost_first, document_id) | {document_id: gone_with}
        actions = {each: {"deleted_with": cause} if cause else {} for each, cause in causes.items()}
        await audit_log.note_each(session, "document.deleted", actions)
        counts["answers"] += await revisions.changed(session, collection_ids)
        receipt = Deletion(document_id=document_id, tenant_id=rt.tenant, counts=dict(counts), collection_id=gone_with)
        session.add(receipt)
        await session.flush()
        await session.refresh(receipt)
        return receipt


async def _family(session: AsyncSession, document_id: str, *, locked: bool = False) -> list[Sequence[str]]:
    """Ids by generation: the document, the documents found in it, those found in these; none if it is gone."""
    ids = scoped(session, Document).with_only_columns(Document.id).order_by(Document.id)
    if locked:
        ids = ids.with_for_update()
    family: list[Sequence[str]] = []
    generation = (await session.scalars(ids.where(Document.id == document_id))).all()
    while generation:
        family.append(generation)
        generation = (await session.scalars(ids.where(Document.parent_id.in_(generation)))).all()
    return family


async def _delete_dependent(session: AsyncSession, document_ids: Sequence[str]) -> dict[str, int]:
    """Removes what was made from the documents except their texts, and gives up their objects. Returns the counts.

    An archive of a thousand files takes no more statements than one document.
    """
    jobs_of = await listing.ids_of(session, document_ids)
    await jobs.end_unfinished(session, Job.document_id.in_(document_ids), None)
    await webhooks.documents_deleted(session, jobs_of)
    await idempotency.redact_documents(session, document_ids)
    versions = (await session.scalars(select(Version).where(Version.document_id.in_(document_ids)))).all()
    own = {each.object_key: each.bytes for each in versions if each.object_key and not each.shared}
    return {
        "versions": len(versions),
        "jobs": sum(map(len, jobs_of.values())),
        "bytes": sum(own.values()),
        "answers": await derived_answers.redact_documents(session, document_ids),
        "objects": len(await objects.give_up_versions(session, *document_ids, but=None)),
    }


async def _delete_rows(session: AsyncSession, document_ids: Sequence[str]) -> dict[str, int]:
    """Deletes the documents with their texts and vectors, all at once."""
    versions = select(Version.id).where(Version.document_id.in_(document_ids))
    embeddings = await checkpoint.delete_unused(session, document_ids)
    counts = {
        "embeddings": embeddings,
        **await second_vectors.remove_chunks(session, document_ids),
        "pages": await affected(session, delete(Page).where(Page.version_id.in_(versions))),
    }
    await session.execute(delete(Document).where(Document.id.in_(document_ids)))
    return counts


# -- a collection or a file ----------------------------------------------------------------------------------


async def begin_collection(rt: Runtime, name_or_id: str) -> BackgroundTask:
    """Hides the collection and queues its deletion; returns the same task when asked again by id. Raises NotFound.

    Its documents are deleted one after the other, each in a transaction of its own: a single transaction would hold
    up every other writer of the tenant.
    """
    async with rt.transaction() as session:
        begun = await tasks.of_subject(session, "collection.delete", rt.tenant, name_or_id)
        if begun is not None:
            return begun
        hidden = await collections.hide(session, name_or_id)
        held = (await tallies.of_collections(session, [hidden.id])).get(hidden.id, DocumentTally())
        return await tasks.begin(session, "collection.delete", rt.tenant, hidden.id, hidden.name, held.documents)


async def remove_file(rt: Runtime, file_id: str) -> BackgroundTask:
    """Deletes a file with the documents that were made from it; returns the completed task, which is the receipt.

    If the caller is killed, a background process continues. Raises NotFound, also once it is deleted.
    """
    async with rt.transaction() as session:
        task = await tasks.of_subject(session, "file.delete", rt.tenant, file_id)
        if task is None or task.state == "completed":
            hidden = await _hide_file(session, file_id)
            made = select(func.count()).select_from(Document).where(Document.file_id == file_id)
            total = await session.scalar(made) or 0
            about = file_id, hidden.filename, total
            task = await tasks.begin(session, "file.delete", rt.tenant, *about, wake=False)
    return await tasks.finish(rt.operator, task.id, remove_next)


async def _hide_file(session: AsyncSession, file_id: str) -> File:
    """Waits for documents that are being made from the file: they lock it until they are there."""
    visible = scoped(session, File).where(File.id == file_id, File.deleted_at.is_(None))
    file = await session.scalar(visible.with_for_update(key_share=True))
    if file is None:
        raise NotFound("file_not_found", f"There is no file {file_id!r}.")
    file.deleted_at = func.now()
    await session.flush()
    await audit_log.note(session, "file.deleted", file_id)
    return file


async def remove_next(rt: Runtime, task: BackgroundTask) -> int | None:
    """Deletes one document of what is hidden or, after the last one, that itself: then the task is completed."""
    rt = rt.for_tenant(task.tenant_id)
    hidden, column, end = _WITH_DOCUMENTS[task.kind]
    within = (Document.tenant_id == task.tenant_id) & (column == task.subject_id)
    first = select(Document.id).where(within).order_by(Document.id).limit(1)
    async with rt.transaction() as session:
        document_id = await session.scalar(first)
        if document_id is None:
            # An upload that found it before it was hidden locks it until its document is there.
            await session.execute(select(hidden.id).where(hidden.id == task.subject_id).with_for_update())
            document_id = await session.scalar(first)
        if document_id is None:
            await end(session, task)  # does nothing if another process was faster
            return None
    removed = 0
    with suppress(NotFound):  # deleted by another request just now
        removed = (await remove(rt, document_id, task.subject_id)).counts["documents"]
    return removed


async def empty_expired(rt: Runtime, collection_id: str) -> None:
    """Deletes the documents of a collection as long as it is expired; it stays."""
    within = select(Document.id).where(Document.tenant_id == rt.tenant, Document.collection_id == collection_id)
    while True:
        async with rt.transaction() as session:
            if not await expiry.still_expired(session, collection_id):
                return
            document_id = await session.scalar(within.order_by(Document.id).limit(1))
        if document_id is None:
            return
        with suppress(NotFound):  # deleted by a request
            await remove(rt, document_id)


_TOTALS = text(
    """
    SELECT name, CAST(sum(CAST(number AS bigint)) AS bigint) AS total
    FROM deletion, jsonb_each_text(counts) AS counted(name, number) WHERE collection_id = :id GROUP BY name
    """
)


async def _totals(session: AsyncSession, task: BackgroundTask) -> dict[str, int]:
    totals = await session.execute(_TOTALS, {"id": task.subject_id})
    return dict.fromkeys(COUNTED, 0) | {row.name: row.total for row in totals}


async def _delete_collection(session: AsyncSession, task: BackgroundTask) -> None:
    await tasks.complete(session, task.id, await _totals(session, task))
    await session.execute(delete(Collection).where(Collection.id == task.subject_id))


async def _delete_file(session: AsyncSession, task: BackgroundTask) -> None:
    """The object is given up in the transaction that deletes the row: before that, the row protects it."""
    removal = delete(File).where(File.id == task.subject_id).returning(File.object_key, File.bytes)
    gone = (await session.execute(removal)).one_or_none()
    if gone is not None:
        counts = Counter(await _totals(session, task)) + Counter(objects=1, bytes=gone.bytes)
        await tasks.complete(session, task.id, dict.fromkeys(COUNTED, 0) | counts)
        await idempotency.redact_documents(session, [task.subject_id])
        await objects.give_up(session, [gone.object_key])


_WITH_DOCUMENTS: dict[str, tuple[Any, Any, Callable[[AsyncSession, BackgroundTask], Awaitable[None]]]] = {
    "collection.delete": (Collection, Document.collection_id, _delete_collection),
    "file.delete": (File, Document.file_id, _delete_file),
}
