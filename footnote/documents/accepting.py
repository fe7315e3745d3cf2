"""Uploads become documents: deduplicated, given versions, queued as jobs."""

import json
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections, jobs, webhooks
from footnote.collections import expiry, revisions
from footnote.collections.metadata import checked
from footnote.database.driver import driver, planning_once
from footnote.database.ids import new_id
from footnote.database.tenant_scope import acting, tenant_of
from footnote.documents import objects
from footnote.documents.reading import ACCEPTED, DocumentDetails, details_query, read_accepted
from footnote.documents.uploads import Upload
from footnote.models import Collection, Document, Job, Version
from footnote.runtime import Runtime
from footnote.tenancy import audit_log, quotas, usage
from footnote.tenancy.usage import UsageEntry
from footnote.text import clean

_OF_UPLOAD = ("filename", "media_type", "sha256", "bytes", "source_url", "object_key", "shared")  # in a version


@dataclass(frozen=True)
class Accepted:
    details: DocumentDetails
    deduplicated: bool


@dataclass(frozen=True)
class _Asked:
    """An upload, and the fields that came with it."""

    upload: Upload
    collection: Collection
    external_id: str | None
    metadata: dict[str, Any] | None
    callback_url: str | None
    found_in: Version | None
    file_id: str | None
    chunking: dict[str, Any] | None

    def counts_for(self, session: AsyncSession) -> str:
        """The key that it counts for."""
        return self.found_in.key_id if self.found_in else acting(session).actor


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
    file_id: str | None = None,
    chunking: dict[str, Any] | None = None,
) -> Accepted:
    """Writes the document, the version and the job. Work begins when the caller's transaction has committed.

    The same bytes in the same collection give the existing document (`deduplicated`). New bytes under a known
    `external_id` give a new version of that document. So does an address, which is its own `external_id` by default,
    unless it is being fetched. A file `found_in` a container counts for the key that uploaded the container.
    A `shared` upload of a file, which the transaction holds, has one document in the collection, which may have a
    `chunking` of its own.
    Raises TooLarge for the metadata; NotFound, Invalid or Conflict for the collection, which may be expired.
    """
    checked(metadata or {})
    await planning_once(session)
    external_id = external_id or upload.source_url
    upload = replace(upload, filename=clean(upload.filename))
    # Racing uploads of the same thing wait here, one after the other, until the transaction ends.
    same = file_id or external_id or upload.sha256.hex()
    target = await collections.obtain(session, collection, rt.settings, alone=same)
    if target.last_active_at is not None:
        expiry.check(target)
        await expiry.note_active(session, [target.id])
    collections.embedder_of(rt, target)  # refuses an unknown model now, and not in a later step
    asked = _Asked(upload, target, external_id, metadata, callback_url, found_in, file_id, chunking)
    made = await _make(session, asked)
    if isinstance(made, _Made):
        return await _start(session, rt, asked, made)
    return await _accept_again(session, rt, asked, made)


# -- a new document ------------------------------------------------------------------------------------------

# Unless the upload belongs to a document that is there, which it locks: less than a deletion does, because it need not
# wait for a running upsert, which refers to the document. The object is adopted as by `objects.adopt`.
_MAKE = f"""
    WITH existing AS (
        SELECT id FROM document WHERE collection_id = $2 AND {{}} ORDER BY id LIMIT 1 FOR NO KEY UPDATE
    ), new_document AS (
        INSERT INTO document (tenant_id, collection_id, id, external_id, parent_id, filename, sha256, metadata, job_id,
                              file_id, chunking)
        SELECT $1, $2, $3, $4, $5, $6, $7::bytea, $8::jsonb, $9, $17, $18::jsonb
        WHERE NOT EXISTS (SELECT FROM existing) RETURNING *
    ), new_version AS (
        INSERT INTO version (tenant_id, document_id, number, filename, sha256,
                             id, media_type, bytes, source_url, object_key, key_id, shared)
        SELECT $1, id, newest_version, filename, sha256, $10, $11, $12::bigint, $13, $14, $15, $19::boolean
        FROM new_document RETURNING *
    ), adopted AS (
        DELETE FROM unowned_object WHERE key = $14 AND NOT deleting AND EXISTS (SELECT FROM new_document) RETURNING key
    ), noted AS (
        INSERT INTO audit_event (tenant_id, action, object_id, details)
        SELECT $1, 'document.created', $3, $16::jsonb FROM new_document
    )
    SELECT existing.id, (SELECT key FROM adopted), tenant.quotas, {ACCEPTED}
    FROM (SELECT) AS one LEFT JOIN tenant ON tenant.id = $1 AND tenant.deleted_at IS NULL LEFT JOIN existing ON true
    LEFT JOIN new_document AS document ON true LEFT JOIN new_version AS version ON true
    """  # noqa: S608  constants
_MAKE_NAMED, _MAKE_UNNAMED = _MAKE.format("external_id = $4"), _MAKE.format("sha256 = $7::bytea")
_MAKE_OF_FILE = _MAKE.format("file_id = $17")


@dataclass(frozen=True)
class _Made:
    document: Document
    version: Version
    quotas: dict[str, str] | None  # the tenant's own; None: it was deleted


async def _make(session: AsyncSession, asked: _Asked) -> _Made | str:
    """A new document; or the id of the existing one to which the upload belongs, locked. Raises Unavailable."""
    upload, job_id = asked.upload, new_id("job")
    parent_id = asked.found_in.document_id if asked.found_in else None
    metadata, said = json.dumps(asked.metadata or {}), json.dumps(_about(asked.collection.id, 1, job_id, parent_id))
    of_document = new_id("doc"), asked.external_id, parent_id, upload.filename, upload.sha256, metadata, job_id
    of_version = new_id("ver"), upload.media_type, upload.bytes, upload.source_url, upload.object_key
    values = tenant_of(session), asked.collection.id, *of_document, *of_version, asked.counts_for(session), said
    chunking = json.dumps(asked.chunking) if asked.chunking else None
    make = _MAKE_OF_FILE if asked.file_id else _MAKE_NAMED if asked.external_id else _MAKE_UNNAMED
    connection = await driver(session)
    row = await connection.fetchrow(make, *values, asked.file_id, chunking, upload.shared)
    assert row is not None
    existing_id, adopted, own_quotas, *made = row
    if existing_id is not None:
        return str(existing_id)
    if adopted != upload.object_key and not upload.shared:
        raise objects.too_late()
    return _Made(*read_accepted(made), own_quotas)


async def _start(session: AsyncSession, rt: Runtime, asked: _Asked, made: _Made) -> Accepted:
    job = await jobs.create(session, made.version, job_id=made.document.job_id)
    if asked.callback_url:
        await webhooks.subscribe(session, job, asked.callback_url)
    if made.document.parent_id is None:  # files in an archive were admitted with the archive
        await quotas.check_room(session, rt.settings, made.quotas)
    # Last, because all requests with the key wait for each other from here on.
    await usage.record(session, rt.settings, made.version.key_id, UsageEntry("document"))
    return Accepted(DocumentDetails(made.document, made.version, job, asked.collection.name), deduplicated=False)


# -- a document that is there --------------------------------------------------------------------------------


async def _accept_again(session: AsyncSession, rt: Runtime, asked: _Asked, document_id: str) -> Accepted:
    document = await session.get_one(Document, document_id)
    refiltered = asked.metadata not in (None, document.attributes)
    # A file does not change. Its document may have a newer version, which was uploaded under its `external_id`.
    repeated = asked.file_id is not None or await _repeats(session, document, asked.upload)
    if repeated:
        document.attributes = document.attributes if asked.metadata is None else asked.metadata
        await _again(session, document, asked)
    else:
        await _supersede(session, document, asked)
        await _replace(session, rt, document, asked)
    key_id = None if repeated else asked.counts_for(session)
    return await _accepted(session, rt, document, key_id, refiltered=refiltered)


async def _repeats(session: AsyncSession, document: Document, upload: Upload) -> bool:
    """Whether an upload has nothing new: the same bytes, and no address that may have other bytes now."""
    if document.sha256 != upload.sha256:
        return False
    job = await session.get_one(Job, document.job_id)
    return upload.source_url is None or job.state in jobs.UNFINISHED


async def _again(session: AsyncSession, document: Document, asked: _Asked) -> None:
    """Handles an upload of the same bytes: there is nothing to do, unless the last attempt ended without a result.

    Then the new object replaces the old one, which may be damaged.
    """
    job = await session.get_one(Job, document.job_id, with_for_update=True)
    upload = asked.upload
    if job.state in ("failed", "cancelled") and upload.object_key:
        version = await session.get_one(Version, job.version_id)
        await objects.give_up_artifacts(session, [version.id])
        if version.sha256 == upload.sha256:
            await objects.give_up_bytes(session, version)
            version.object_key, version.shared = upload.object_key, upload.shared
        if not upload.shared:
            await objects.adopt(session, upload.object_key)
        document.chunking = asked.chunking or document.chunking
        job = await _queue(session, document, version)
    elif not upload.shared:
        await objects.give_up(session, [upload.object_key])
    if asked.callback_url:
        await webhooks.subscribe(session, job, asked.callback_url)
    await session.refresh(document)  # metadata as Postgres stores it, so that every later answer is the same


async def _supersede(session: AsyncSession, document: Document, asked: _Asked) -> None:
    """Prepares a newer version: work in flight for an older one must not replace it."""
    await jobs.end_unfinished(session, Job.document_id == document.id)
    await objects.give_up_versions(session, document.id, but=document.active_version_id)
    document.newest_version += 1
    document.sha256 = asked.upload.sha256
    document.filename = asked.upload.filename
    document.updated_at = func.now()
    if asked.metadata is not None:
        document.attributes = asked.metadata
    await session.flush()


async def _replace(session: AsyncSession, rt: Runtime, document: Document, asked: _Asked) -> None:
    upload = asked.upload
    version = Version(
        id=new_id("ver"),
        tenant_id=document.tenant_id,
        document_id=document.id,
        number=document.newest_version,
        key_id=asked.counts_for(session),
        **{name: getattr(upload, name) for name in _OF_UPLOAD},
    )
    session.add(version)
    await session.flush()
    if upload.object_key:
        await objects.adopt(session, upload.object_key)
    job = await _queue(session, document, version)
    if asked.callback_url:
        await webhooks.subscribe(session, job, asked.callback_url)
    await session.refresh(document)
    if document.parent_id is None:  # files in an archive were admitted with the archive
        await quotas.check_room(session, rt.settings)


async def reingest(session: AsyncSession, document: Document, version: Version) -> None:
    """Queues a new version of the bytes of the newest one. No caller asked for it, so no webhook is sent.

    The caller holds the document, and no job of it is unfinished.
    """
    document.newest_version += 1
    same = ("tenant_id", "document_id", *_OF_UPLOAD)
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
    action = "document.repeated" if deduplicated else "document.replaced"
    about = _about(document.collection_id, document.newest_version, document.job_id, document.parent_id)
    await audit_log.note(session, action, document.id, **about)


def _about(collection_id: str, version: int, job_id: str, parent_id: str | None) -> dict[str, Any]:
    """The details of an upload for the audit log."""
    found_in = {"parent_id": parent_id} if parent_id else {}
    return {"collection_id": collection_id, "version": version, "job_id": job_id} | found_in
