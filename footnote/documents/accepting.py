"""Uploads become documents: deduplicated, given versions, queued as jobs."""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections, jobs, webhooks
from footnote.collections import revisions
from footnote.collections.metadata import checked
from footnote.database.ids import new_id
from footnote.database.tenant_scope import acting, tenant_of
from footnote.documents import objects
from footnote.documents.reading import DocumentDetails, details_query
from footnote.documents.uploads import Upload
from footnote.models import Document, Job, Version
from footnote.runtime import Runtime
from footnote.tenancy import audit_log, quotas, usage
from footnote.tenancy.usage import UsageEntry
from footnote.text import clean


@dataclass(frozen=True)
class Accepted:
    details: DocumentDetails
    deduplicated: bool


async def accept(
    session: AsyncSession,
    rt: Runtime,
    upload: Upload,
    *,
    collection: str = "default",
    metadata: dict[str, Any] | None = None,
    external_id: str | None = None,
    callback_url: str | None = None,
    found_in: Version | None = None,
) -> Accepted:
    """Writes the document, the version and the job. Work begins when the caller's transaction has committed.

    The same bytes in the same collection give the existing document (`deduplicated`). New bytes under a known
    `external_id` give a new version of that document. So does an address, which is its own `external_id` by default,
    unless it is being fetched. A file `found_in` a container counts for the key that uploaded the container.
    Raises TooLarge for the metadata; NotFound, Invalid or Conflict for the collection.
    """
    checked(metadata or {})
    external_id = external_id or upload.source_url
    upload = replace(upload, filename=clean(upload.filename))
    target = await collections.obtain(session, collection, rt.settings)
    collections.embedder_of(rt, target)  # refuses an unknown model now, and not in a later step
    existing = await _existing(session, target.id, external_id, upload.sha256)
    refiltered = existing is not None and metadata not in (None, existing.attributes)
    if existing is not None and await _repeats(session, existing, upload):
        existing.attributes = existing.attributes if metadata is None else metadata
        await _again(session, existing, upload, callback_url)
        return await _accepted(session, rt, existing, None, refiltered=refiltered)
    if existing is None:
        existing = Document(
            id=new_id("doc"),
            tenant_id=tenant_of(session),
            collection_id=target.id,
            external_id=external_id,
            parent_id=found_in and found_in.document_id,
            filename=upload.filename,
            attributes=metadata or {},
            sha256=upload.sha256,
            newest_version=1,
            job_id="",
        )
        session.add(existing)
    else:
        await _supersede(session, existing, upload, metadata)
    await session.flush()
    key_id = found_in.key_id if found_in else acting(session).actor
    await _start(session, rt, existing, upload, key_id, callback_url)
    return await _accepted(session, rt, existing, key_id, refiltered=refiltered)


async def _lock(session: AsyncSession, collection_id: str, what: str) -> None:
    """Racing uploads of the same thing wait here, one after the other, until the transaction ends."""
    name = f"{collection_id}:{what}"
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


async def _existing(
    session: AsyncSession, collection_id: str, external_id: str | None, sha256: bytes
) -> Document | None:
    """The document to which an upload belongs, locked; None for a new one."""
    await _lock(session, collection_id, external_id or sha256.hex())
    same = Document.external_id == external_id if external_id else Document.sha256 == sha256
    query = select(Document).where(Document.collection_id == collection_id, same).order_by(Document.id).limit(1)
    # A weaker lock than a deletion takes: this need not wait for a running upsert, which refers to the document.
    return await session.scalar(query.with_for_update(key_share=True))


async def _repeats(session: AsyncSession, document: Document, upload: Upload) -> bool:
    """Whether an upload has nothing new: the same bytes, and no address that may have other bytes now."""
    if document.sha256 != upload.sha256:
        return False
    job = await session.get_one(Job, document.job_id)
    return upload.source_url is None or job.state in jobs.UNFINISHED


async def _again(session: AsyncSession, document: Document, upload: Upload, callback_url: str | None) -> None:
    """Handles an upload of the same bytes: there is nothing to do, unless the last attempt ended without a result.

    Then the new object replaces the old one, which may be damaged.
    """
    job = await session.get_one(Job, document.job_id, with_for_update=True)
    if job.state in ("failed", "cancelled") and upload.object_key:
        version = await session.get_one(Version, job.version_id)
        await objects.give_up_bytes(session, version)
        await objects.give_up_artifacts(session, [version.id])
        await objects.adopt(session, upload.object_key)
        version.object_key = upload.object_key
        job = await _queue(session, document, version)
    else:
        await objects.give_up(session, [upload.object_key])
    if callback_url:
        await webhooks.subscribe(session, job, callback_url)
    await session.refresh(document)  # metadata as Postgres stores it, so that every later answer is the same


async def _supersede(
    session: AsyncSession, document: Document, upload: Upload, metadata: dict[str, Any] | None
) -> None:
    """Prepares a newer version: work in flight for an older one must not replace it."""
    await jobs.end_unfinished(session, Job.document_id == document.id)
    await objects.give_up_versions(session, document.id, but=document.active_version_id)
    document.newest_version += 1
    document.sha256 = upload.sha256
    document.filename = upload.filename
    document.updated_at = func.now()
    if metadata is not None:
        document.attributes = metadata


async def _start(
    session: AsyncSession,
    rt: Runtime,
    document: Document,
    upload: Upload,
    key_id: str,
    callback_url: str | None,
) -> None:
    version = Version(
        id=new_id("ver"),
        tenant_id=document.tenant_id,
        document_id=document.id,
        number=document.newest_version,
        filename=upload.filename,
        media_type=upload.media_type,
        sha256=upload.sha256,
        bytes=upload.bytes,
        source_url=upload.source_url,
        object_key=upload.object_key,
        key_id=key_id,
    )
    session.add(version)
    await session.flush()
    if upload.object_key:
        await objects.adopt(session, upload.object_key)
    job = await _queue(session, document, version)
    if callback_url:
        await webhooks.subscribe(session, job, callback_url)
    await session.refresh(document)
    if document.parent_id is None:  # files in an archive were admitted with the archive
        await quotas.check_room(session, rt.settings)


async def reingest(session: AsyncSession, document: Document, version: Version) -> None:
    """Queues a new version of the bytes of the newest one. No caller asked for it, so no webhook is sent.

    The caller holds the document, and no job of it is unfinished.
    """
    document.newest_version += 1
    same = ("tenant_id", "document_id", "filename", "media_type", "sha256", "bytes", "source_url", "object_key")
    copied = {name: getattr(version, name) for name in same}
    again = Version(id=new_id("ver"), number=document.newest_version, **copied)
    session.add(again)
    await session.flush()
    await _queue(session, document, again, reingestion=True)


async def _queue(session: AsyncSession, document: Document, version: Version, *, reingestion: bool = False) -> Job:
    job = await jobs.create(session, version, reingestion=reingestion)
    document.job_id = job.id
    await session.flush()
    return job


async def _accepted(
    session: AsyncSession, rt: Runtime, document: Document, counts_for: str | None, *, refiltered: bool
) -> Accepted:
    """The accepted document, also if its collection is being deleted: then the document is deleted with it.

    `counts_for`: the key that it counts for, or None if it is deduplicated.
    """
    deduplicated = counts_for is None
    found = await session.execute(details_query(session).where(Document.id == document.id))
    await _record(session, document, deduplicated)
    if refiltered:
        await revisions.changed(session, [document.collection_id])
    if counts_for is not None:  # last, because all requests with the key wait for each other from here on
        await usage.record(session, rt.settings, counts_for, UsageEntry("document"))
    return Accepted(DocumentDetails(*found.one()), deduplicated)


async def _record(session: AsyncSession, document: Document, deduplicated: bool) -> None:
    if deduplicated and document.parent_id:  # its archive was read again: no caller acted
        return
    action = "repeated" if deduplicated else "created" if document.newest_version == 1 else "replaced"
    about = {"collection_id": document.collection_id, "version": document.newest_version, "job_id": document.job_id}
    found_in = {"parent_id": document.parent_id} if document.parent_id else {}
    await audit_log.note(session, f"document.{action}", document.id, **about, **found_in)
