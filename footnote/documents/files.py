"""Files: bytes that belong to no collection. Documents of several collections may be made from one, and share them.

A document that came without a file counts as one, too: `file_X` is then `doc_X`, until it is shared. The owner of a
shared object is the row of the file (ADR 61); a file is deleted by `deletion.remove_file`.
"""

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import jobs
from footnote.database.clock import from_now
from footnote.database.ids import new_id
from footnote.database.tenant_scope import scoped, tenant_of
from footnote.documents.accepting import Accepted, accept
from footnote.documents.objects import adopt
from footnote.documents.reading import DocumentDetails, details_query, replace_metadata
from footnote.documents.uploads import Upload
from footnote.errors import NotFound
from footnote.models import Document, File, Job, Version
from footnote.models.documents import VISIBLE
from footnote.runtime import Runtime
from footnote.tenancy import audit_log, quotas

OF_DOCUMENTS = "assistants"  # the purpose of documents that came without a file


async def create(
    session: AsyncSession, rt: Runtime, upload: Upload, *, purpose: str, expires_after: float | None = None
) -> File:
    """The row that owns the object of an upload. `expires_after`: seconds until it is deleted with its documents.

    Raises Unavailable, Forbidden.
    """
    named = {name: getattr(upload, name) for name in ("filename", "media_type", "sha256", "bytes", "object_key")}
    file = File(id=new_id("file"), tenant_id=tenant_of(session), purpose=purpose, **named)
    file.expires_at = from_now(expires_after) if expires_after else None
    session.add(file)
    await session.flush()
    await adopt(session, file.object_key)
    await session.refresh(file)
    await audit_log.note(session, "file.created", file.id)
    await quotas.check_room(session, rt.settings)
    return file


async def attach(
    session: AsyncSession,
    rt: Runtime,
    file_id: str,
    collection_id: str,
    *,
    attributes: dict[str, Any] | None = None,
    chunking: dict[str, Any] | None = None,
) -> Accepted:
    """Makes a document of the file in the collection; the same one again, with another attempt if the last one ended
    without a result.

    Raises NotFound for the file or the collection, and what `accept` does.
    """
    file = await _held(session, file_id)
    if file is None:
        document = await _native(session, file_id)
        if document.collection_id == collection_id:
            return await _attach_again(session, document, attributes)
        file = await _shared(session, document)
    named = {name: getattr(file, name) for name in ("filename", "media_type", "sha256", "bytes", "object_key")}
    upload = Upload(**named, shared=True)
    of_file: dict[str, Any] = {"file_id": file.id, "chunking": chunking}
    return await accept(session, rt, upload, collection=collection_id, metadata=attributes, **of_file)


async def _held(session: AsyncSession, file_id: str) -> File | None:
    """The file, which is not deleted before the transaction ends; None if there is no such row."""
    visible = scoped(session, File).where(File.id == file_id, File.deleted_at.is_(None))
    return await session.scalar(visible.with_for_update(read=True))


def unknown(file_id: str) -> NotFound:
    return NotFound("file_not_found", f"There is no file {file_id!r}.")


# -- documents that came without a file --------------------------------------------------------------------------


def document_id_of(file_id: str) -> str:
    """The document that a file without a row is."""
    return "doc_" + file_id.removeprefix("file_")


def file_id_of(document: Document) -> str:
    """The file that a document was made from, or is."""
    return document.file_id or "file_" + document.id.removeprefix("doc_")


async def _native(session: AsyncSession, file_id: str) -> Document:
    """Holds the document, as a new version of it or its deletion does. Raises NotFound."""
    chosen = scoped(session, Document).where(Document.id == document_id_of(file_id), VISIBLE)
    document = await session.scalar(chosen.where(Document.file_id.is_(None)).with_for_update(key_share=True))
    if document is None:
        raise unknown(file_id)
    return document


async def _attach_again(session: AsyncSession, document: Document, attributes: dict[str, Any] | None) -> Accepted:
    await jobs.requeue(session, Job.id == document.job_id)
    if attributes is not None:
        await replace_metadata(session, document.id, attributes)
    found = await session.execute(details_query(session).where(Document.id == document.id))
    return Accepted(DocumentDetails(*found.one()), deduplicated=True)


async def _shared(session: AsyncSession, document: Document) -> File:
    """Makes the document's newest bytes a file, which others can share. Raises NotFound if there are none yet."""
    newest = select(Version).where(Version.document_id == document.id, Version.number == document.newest_version)
    version = (await session.scalars(newest)).one()
    file_id = file_id_of(document)
    if version.object_key is None:
        raise unknown(file_id)
    named = {name: getattr(version, name) for name in ("filename", "media_type", "sha256", "bytes", "object_key")}
    about = {"purpose": OF_DOCUMENTS, "created_at": document.created_at}
    file = File(id=file_id, tenant_id=document.tenant_id, **named, **about)
    session.add(file)
    await session.flush()
    document.file_id = file_id
    same = update(Version).where(Version.document_id == document.id, Version.object_key == version.object_key)
    await session.execute(same.values(shared=True))
    await audit_log.note(session, "file.created", file_id, document_id=document.id)
    return file
