"""A document's life: accepted, deduplicated, given versions, looked at. Its end is in `deletion`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Select, func, select, text, true
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections, jobs, webhooks
from footnote.collections import revisions
from footnote.collections.metadata import checked, patched
from footnote.database.ids import new_id
from footnote.documents import objects
from footnote.documents.uploads import Upload
from footnote.errors import FootnoteError, Gone, NotFound
from footnote.filters import Filter, sql
from footnote.models import Chunk, Collection, Document, Job, Page, Version
from footnote.models.documents import VISIBLE
from footnote.runtime import Runtime
from footnote.tenancy import audit_log, quotas, usage
from footnote.tenancy.tenants import scoped
from footnote.tenancy.usage import Spent
from footnote.text import clean


@dataclass(frozen=True)
class Details:
    """A document with its newest version, that version's newest job, and the collection's name."""

    document: Document
    version: Version
    job: Job
    collection: str


@dataclass(frozen=True)
class Accepted:
    details: Details
    deduplicated: bool


def object_key(tenant_id: str) -> str:
    """Where a new upload goes. Random, not by content: a store that can only append needs the name up front."""
    return f"objects/{tenant_id}/{new_id('obj')}"


async def accept(
    session: AsyncSession,
    rt: Runtime,
    upload: Upload,
    *,
    tenant_id: str,
    collection: str = "default",
    metadata: dict[str, Any] | None = None,
    external_id: str | None = None,
    callback_url: str | None = None,
    parent_id: str | None = None,
    key_id: str = "",
    request_id: str | None = None,
) -> Accepted:
    """Writes document, version and job, to be worked on once the caller's transaction commits.

    The same bytes in the same collection give the existing document (`deduplicated`). New bytes under a known
    `external_id` give a new version of that document. So does an address, which is its own `external_id` by default,
    unless it is being fetched. Raises TooLarge for the metadata; NotFound, Invalid or Conflict for the collection.
    """
    checked(metadata or {})
    external_id = external_id or upload.source_url
    upload = replace(upload, filename=clean(upload.filename))
    target = await collections.obtain(session, tenant_id, collection, rt.settings)
    collections.embedder_of(rt, target)  # or it would be refused only later
    existing = await _existing(session, target.id, external_id, upload.sha256)
    refiltered = existing is not None and metadata not in (None, existing.attributes)
    if existing is not None and await _repeats(session, existing, upload):
        existing.attributes = existing.attributes if metadata is None else metadata
        await _again(session, existing, upload, callback_url, request_id)
        return await _accepted(session, rt, existing, None, refiltered=refiltered)
    if existing is None:
        existing = Document(
            id=new_id("doc"),
            tenant_id=tenant_id,
            collection_id=target.id,
            external_id=external_id,
            parent_id=parent_id,
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
    await _start(session, rt, existing, upload, key_id, callback_url, request_id)
    return await _accepted(session, rt, existing, key_id, refiltered=refiltered)


async def _lock(session: AsyncSession, collection_id: str, what: str) -> None:
    """Makes racing uploads of the same thing take turns until the transaction ends."""
    name = f"{collection_id}:{what}"
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


async def _existing(
    session: AsyncSession, collection_id: str, external_id: str | None, sha256: bytes
) -> Document | None:
    """The document that an upload is of, locked."""
    await _lock(session, collection_id, external_id or sha256.hex())
    same = Document.external_id == external_id if external_id else Document.sha256 == sha256
    query = select(Document).where(Document.collection_id == collection_id, same).order_by(Document.id).limit(1)
    # Not as strongly as to delete it: an upsert at work refers to the document, and need not be waited for.
    return await session.scalar(query.with_for_update(key_share=True))


async def _repeats(session: AsyncSession, document: Document, upload: Upload) -> bool:
    """Whether there is nothing new in an upload: the same bytes, unless an address may hold others by now."""
    if document.sha256 != upload.sha256:
        return False
    job = await session.get_one(Job, document.job_id)
    return upload.source_url is None or job.state in jobs.UNFINISHED


async def _again(
    session: AsyncSession, document: Document, upload: Upload, callback_url: str | None, request_id: str | None
) -> None:
    """The same bytes once more: nothing to do, unless the last attempt ended without a result.

    Then the new object takes the old one's place, which may be what was wrong.
    """
    job = await session.get_one(Job, document.job_id, with_for_update=True)
    if job.state in ("failed", "cancelled") and upload.object_key:
        version = await session.get_one(Version, job.version_id)
        await objects.give_up_bytes(session, version)
        await objects.give_up_artifacts(session, [version.id])
        await objects.adopt(session, upload.object_key)
        version.object_key = upload.object_key
        job = await _queue(session, document, version, request_id)
    else:
        await objects.give_up(session, [upload.object_key])
    if callback_url:
        await webhooks.subscribe(session, job, callback_url)
    await session.refresh(document)  # metadata as Postgres keeps it, so that every later answer is the same


async def _supersede(
    session: AsyncSession, document: Document, upload: Upload, metadata: dict[str, Any] | None
) -> None:
    """Makes room for a newer version: what is still in flight for an older one must not win."""
    await jobs.end_unfinished(session, Job.document_id == document.id)
    await objects.give_up_versions(session, document.id, but=document.active_version_id)
    document.newest_version += 1
    document.sha256 = upload.sha256
    document.filename = upload.filename
    document.updated_at = func.now()
    if metadata is not None:
        document.attributes = metadata


async def patch_metadata(session: AsyncSession, tenant_id: str, document_id: str, patch: dict[str, Any] | None) -> None:
    """Merges the patch into the metadata as RFC 7396 has it. Raises NotFound, TooLarge."""
    chosen = scoped(Document, tenant_id).where(Document.id == document_id, VISIBLE)
    document = await session.scalar(chosen.with_for_update(key_share=True))
    if document is None:
        raise _unknown(document_id)
    document.attributes = patched(document.attributes, patch)
    document.updated_at = func.now()
    await session.flush()
    await session.refresh(document)
    await audit_log.note(session, tenant_id, "document.updated", document_id, changed=["metadata"])
    await revisions.changed(session, tenant_id, [document.collection_id])


async def ancestors(session: AsyncSession, document: Document) -> list[str]:
    """Ids of the containers that the document was found in, the nearest first."""
    found = []
    parent_id = document.parent_id
    while parent_id:
        found.append(parent_id)
        parent_id = await session.scalar(select(Document.parent_id).where(Document.id == parent_id))
    return found


async def _start(
    session: AsyncSession,
    rt: Runtime,
    document: Document,
    upload: Upload,
    key_id: str,
    callback_url: str | None,
    request_id: str | None,
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
    job = await _queue(session, document, version, request_id)
    if callback_url:
        await webhooks.subscribe(session, job, callback_url)
    await session.refresh(document)
    if document.parent_id is None:  # an archive was let in with all that is in it
        await quotas.check_room(session, rt.settings, document.tenant_id)


async def make_anew(session: AsyncSession, document: Document, version: Version) -> None:
    """A new version of the bytes of the newest one: nobody asked for it, and nobody is told.

    The caller holds the document, and no job of it is unfinished.
    """
    document.newest_version += 1
    kept = ("tenant_id", "document_id", "filename", "media_type", "sha256", "bytes", "source_url", "object_key")
    copied = {name: getattr(version, name) for name in kept}
    anew = Version(id=new_id("ver"), number=document.newest_version, **copied)
    session.add(anew)
    await session.flush()
    await _queue(session, document, anew, None, anew=True)


async def _queue(
    session: AsyncSession, document: Document, version: Version, request_id: str | None, *, anew: bool = False
) -> Job:
    job = await jobs.create(
        session,
        tenant_id=document.tenant_id,
        document_id=document.id,
        version_id=version.id,
        large=version.bytes >= jobs.LARGE_BYTES,
        request_id=request_id,
        anew=anew,
    )
    document.job_id = job.id
    await session.flush()
    return job


# -- looked at -----------------------------------------------------------------------------------------------


def _details(tenant_id: str) -> Select[Document, Version, Job, str]:
    newest = (Version.document_id == Document.id) & (Version.number == Document.newest_version)
    return (
        scoped(Document, tenant_id)
        .join(Version, newest)
        .join(Job, Job.id == Document.job_id)
        .join(Collection, Collection.id == Document.collection_id)
        .with_only_columns(Document, Version, Job, Collection.name)
    )


async def get(session: AsyncSession, tenant_id: str, document_id: str) -> Details:
    """Raises NotFound."""
    found = (await session.execute(_details(tenant_id).where(Document.id == document_id, VISIBLE))).one_or_none()
    if found is None:
        raise _unknown(document_id)
    return Details(*found)


async def _accepted(
    session: AsyncSession, rt: Runtime, document: Document, counts_for: str | None, *, refiltered: bool
) -> Accepted:
    """Also if the collection is being deleted since: then the document goes with it.

    `counts_for`: the key that it counts for, or None if it is deduplicated.
    """
    deduplicated = counts_for is None
    found = await session.execute(_details(document.tenant_id).where(Document.id == document.id))
    await _note(session, document, deduplicated)
    if refiltered:
        await revisions.changed(session, document.tenant_id, [document.collection_id])
    if counts_for is not None:  # last, because all that have the key wait for each other from here on
        await usage.record(session, rt.settings, document.tenant_id, counts_for, Spent("document"))
    return Accepted(Details(*found.one()), deduplicated)


async def _note(session: AsyncSession, document: Document, deduplicated: bool) -> None:
    if deduplicated and document.parent_id:  # its archive was read again: nobody's deed
        return
    action = "repeated" if deduplicated else "created" if document.newest_version == 1 else "replaced"
    about = {"collection_id": document.collection_id, "version": document.newest_version, "job_id": document.job_id}
    found_in = {"parent_id": document.parent_id} if document.parent_id else {}
    await audit_log.note(session, document.tenant_id, f"document.{action}", document.id, **about, **found_in)


def _unknown(document_id: str) -> NotFound:
    return NotFound("document_not_found", f"There is no document {document_id!r}.")


async def page_of(
    session: AsyncSession,
    tenant_id: str,
    *,
    limit: int,
    before: str | None = None,
    collection: str | None = None,
    states: Sequence[str] = (),
    external_id: str | None = None,
    sha256: bytes | None = None,
    filter: Filter | None = None,
) -> list[Details]:
    """Newest first, `limit` at most, older than the id `before`."""
    query = _details(tenant_id).where(VISIBLE).order_by(Document.id.desc()).limit(limit)
    if before:
        query = query.where(Document.id < before)
    if collection:
        query = query.where(Document.collection_id == (await collections.find(session, tenant_id, collection)).id)
    if states:
        query = query.where(Job.state.in_(states))
    if external_id:
        query = query.where(Document.external_id == external_id)
    if sha256:
        query = query.where(Document.sha256 == sha256)
    if filter:
        condition, parameters = sql.condition(filter, tenant_id, sql.NEWEST)
        query = query.where(text(condition).bindparams(**parameters))
    return [Details(*row) for row in (await session.execute(query)).all()]


async def page_text(
    session: AsyncSession, tenant_id: str, document_id: str, number: int, version: int | None = None
) -> tuple[str, int]:
    """The stored text of a page of the version that queries see, and how many pages there are.

    Another `version` than that has no pages: raises Gone where it was replaced, else NotFound.
    """
    await get(session, tenant_id, document_id)
    # In one statement: by the next one, another version could be the active one.
    page = (
        scoped(Page, tenant_id)
        .join(Document, Document.active_version_id == Page.version_id)
        .join(Version, Version.id == Page.version_id)
        .where(Document.id == document_id, Page.number == number)
        .where(true() if version is None else Version.number == version)
    )
    stored = (await session.execute(page.with_only_columns(Page.text, Version.pages))).one_or_none()
    if stored is None:
        raise await no_page(session, tenant_id, document_id, number, version)
    return stored.text, stored.pages or 1


async def no_page(
    session: AsyncSession, tenant_id: str, document_id: str, number: int, version: int | None
) -> FootnoteError:
    """Why there is no such page: another text must never pass for the one that a footnote was checked against."""
    active = scoped(Version, tenant_id).join(Document, Document.active_version_id == Version.id)
    shown = await session.scalar(active.where(Document.id == document_id).with_only_columns(Version.number))
    if version is not None and shown is not None and version < shown:
        return Gone("version_replaced", f"Version {version} was replaced, its pages are gone; now it is {shown}.")
    of_version = f" of version {version}" if version is not None else ""
    return NotFound("page_not_found", f"The document has no page {number}{of_version} that is ready.")


async def chunks(session: AsyncSession, tenant_id: str, document_id: str, *, limit: int, after: int) -> Sequence[Chunk]:
    """Chunks of the active version in order, from the position behind `after`. Raises NotFound."""
    await get(session, tenant_id, document_id)
    query = scoped(Chunk, tenant_id).where(Chunk.document_id == document_id, Chunk.position > after)
    return (await session.scalars(query.order_by(Chunk.position).limit(limit))).all()
