"""Files: bytes that belong to no collection. Documents of several collections may be made from one, and share them.

A document that came without a file counts as one, too: `file_X` is then `doc_X`, until it is shared. The owner of a
shared object is the row of the file (ADR 61); a file is deleted by `deletion.remove_file`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import jobs
from footnote.collections import find as find_collection
from footnote.database.clock import from_now
from footnote.database.driver import driver
from footnote.database.ids import new_id
from footnote.database.tenant_scope import scoped, tenant_of
from footnote.documents.accepting import Accepted, accept
from footnote.documents.file_counts import STATE, STATES, FileStatus
from footnote.documents.objects import adopt
from footnote.documents.reading import DocumentDetails, details_query, replace_metadata
from footnote.documents.uploads import Upload
from footnote.errors import NotFound
from footnote.jobs import tasks
from footnote.models import Document, File, Job, Version
from footnote.models.documents import VISIBLE
from footnote.runtime import Runtime
from footnote.tenancy import audit_log, quotas

EXPIRED_AT_ONCE = 100
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


@dataclass(frozen=True)
class FileDetails:
    """A file, or a document that came without one: `media_type` and `object_key` may be empty."""

    id: str
    filename: str
    bytes: int
    purpose: str
    created_at: datetime
    expires_at: datetime | None
    media_type: str
    object_key: str | None


_COLUMNS = "filename, bytes, purpose, created_at, expires_at, media_type, object_key"
_NATIVE_COLUMNS = (
    "version.filename, version.bytes, 'assistants' AS purpose, document.created_at, CAST(NULL AS timestamptz), "
    "version.media_type, version.object_key"
)
_NEWEST = "JOIN version ON version.document_id = document.id AND version.number = document.newest_version"
_ALIVE = "document.collection_id NOT IN (SELECT id FROM collection WHERE deleted_at IS NOT NULL)"
_FIND = f"""
SELECT id, {_COLUMNS} FROM file WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL
UNION ALL
SELECT $2, {_NATIVE_COLUMNS} FROM document {_NEWEST}
WHERE document.tenant_id = $1 AND document.id = $3 AND document.file_id IS NULL AND {_ALIVE}
LIMIT 1
"""  # noqa: S608  constants


async def find(session: AsyncSession, file_id: str) -> FileDetails:
    """Raises NotFound."""
    connection = await driver(session)
    row = await connection.fetchrow(_FIND, tenant_of(session), file_id, document_id_of(file_id))
    if row is None:
        raise unknown(file_id)
    return FileDetails(*row)


async def is_native(session: AsyncSession, file_id: str) -> bool:
    """Whether the file is a document that came without one. Raises NotFound."""
    visible = scoped(session, File).where(File.id == file_id, File.deleted_at.is_(None))
    if await session.scalar(visible.with_only_columns(File.id)):
        return False
    begun = await tasks.of_subject(session, "file.delete", tenant_of(session), file_id)
    if begun is not None and begun.state != "completed":
        return False
    await find(session, file_id)
    return True


# Each half is read in the order of an index. Of the documents only those on the page that the files leave: where each
# file was made a document of, there may be many documents and none without a file. Two statements, because the planner
# must know where the files end: it reads the whole table if it does not.
_OWN = """
SELECT id FROM file
WHERE tenant_id = $1 AND deleted_at IS NULL AND ($5::text IS NULL OR purpose = $5)
  AND ($2::text IS NULL OR id > 'file_' || $2) AND ($3::text IS NULL OR id < 'file_' || $3)
ORDER BY id {order} LIMIT $4
"""
_PAGE = f"""
WITH native AS MATERIALIZED (
    SELECT id FROM document
    WHERE tenant_id = $1 AND file_id IS NULL AND ($5::text IS NULL OR $5 = 'assistants') AND {_ALIVE}
      AND ($2::text IS NULL OR id > 'doc_' || $2) AND ($3::text IS NULL OR id < 'doc_' || $3)
    ORDER BY id {{order}} LIMIT $4
)
SELECT * FROM (
    SELECT id, {_COLUMNS} FROM file WHERE tenant_id = $1 AND id = ANY($6::text[])
    UNION ALL
    SELECT 'file_' || substr(document.id, 5), {_NATIVE_COLUMNS} FROM document {_NEWEST}
    WHERE document.id IN (SELECT id FROM native)
) AS page (id) ORDER BY id {{order}} LIMIT $4
"""  # noqa: S608  constants
_DOWN, _UP = "DESC NULLS LAST", "ASC NULLS FIRST"


async def page_of(
    session: AsyncSession,
    *,
    limit: int,
    low: str | None = None,
    high: str | None = None,
    purpose: str | None = None,
    descends: bool = True,
) -> list[FileDetails]:
    """Files by their ids, between `low` and `high`, which are not among them."""
    connection, order = await driver(session), _DOWN if descends else _UP
    low, high = [each and each.removeprefix("file_") for each in (low, high)]
    asked = tenant_of(session), low, high, limit, purpose
    own = [row[0] for row in await connection.fetch(_OWN.format(order=order), *asked)]
    if len(own) == limit:
        last = own[-1].removeprefix("file_")
        low, high = (last, high) if descends else (low, last)
    asked = tenant_of(session), low, high, limit, purpose
    return [FileDetails(*row) for row in await connection.fetch(_PAGE.format(order=order), *asked, own)]


async def expired(session: AsyncSession) -> Sequence[tuple[str, str]]:
    """Tenant and id of expired files; for the operator."""
    over = select(File.tenant_id, File.id).where(File.expires_at <= func.now(), File.deleted_at.is_(None))
    return [(tenant_id, file_id) for tenant_id, file_id in await session.execute(over.limit(EXPIRED_AT_ONCE))]


def unknown(file_id: str) -> NotFound:
    return NotFound("file_not_found", f"There is no file {file_id!r}.")


# -- documents that came without a file --------------------------------------------------------------------------


def document_id_of(file_id: str) -> str:
    """The document that a file without a row is."""
    return "doc_" + file_id.removeprefix("file_")


def file_id_of(document: Document) -> str:
    """The file of a document, or the document as a file."""
    return document.file_id or "file_" + document.id.removeprefix("doc_")


async def of_documents(session: AsyncSession, document_ids: Sequence[str]) -> dict[str, str]:
    """The file of each document, also of deleted ones."""
    made = scoped(session, Document).with_only_columns(Document.id, Document.file_id)
    rows = await session.execute(made.where(Document.id.in_(document_ids), Document.file_id.is_not(None)))
    own = {document_id: file_id for document_id, file_id in rows if file_id}
    return {each: own.get(each) or "file_" + each.removeprefix("doc_") for each in document_ids}


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


# -- in one collection -------------------------------------------------------------------------------------------


async def in_collection(session: AsyncSession, collection_id: str, file_id: str) -> DocumentDetails:
    """The document of a file. Raises NotFound for the collection or the file."""
    await find_collection(session, collection_id)
    itself = (Document.id == document_id_of(file_id)) & Document.file_id.is_(None)
    chosen = details_query(session).where(Document.collection_id == collection_id)
    found = (await session.execute(chosen.where((Document.file_id == file_id) | itself))).one_or_none()
    if found is None:
        raise unknown(file_id)
    return DocumentDetails(*found)


# By the ids of files, each half in the order of an index.
_IN_COLLECTION = """
WITH made AS MATERIALIZED (
    SELECT id, file_id FROM document
    WHERE tenant_id = $1 AND collection_id = $2 AND file_id IS NOT NULL
      AND ($3::text IS NULL OR file_id > 'file_' || $3) AND ($4::text IS NULL OR file_id < 'file_' || $4)
      AND ($6::text IS NULL OR (SELECT {state} FROM job WHERE job.id = document.job_id) = $6)
    ORDER BY file_id {order} LIMIT $5
), native AS MATERIALIZED (
    SELECT id, 'file_' || substr(id, 5) AS file_id FROM document
    WHERE tenant_id = $1 AND collection_id = $2 AND file_id IS NULL
      AND ($3::text IS NULL OR id > 'doc_' || $3) AND ($4::text IS NULL OR id < 'doc_' || $4)
      AND ($6::text IS NULL OR (SELECT {state} FROM job WHERE job.id = document.job_id) = $6)
    ORDER BY id {order} LIMIT $5
)
SELECT id FROM (SELECT * FROM made UNION ALL SELECT * FROM native) AS page ORDER BY file_id {order} LIMIT $5
"""
_COLLECTION_DOWN = _IN_COLLECTION.format(order="DESC", state=STATE)
_COLLECTION_UP = _IN_COLLECTION.format(order="ASC", state=STATE)


async def list_in_collection(
    session: AsyncSession,
    collection_id: str,
    *,
    limit: int,
    low: str | None = None,
    high: str | None = None,
    status: FileStatus | None = None,
    descends: bool = True,
) -> list[DocumentDetails]:
    """Documents of a collection by the ids of their files, between `low` and `high`, which are not among them."""
    between = [each and each.removeprefix("file_") for each in (low, high)]
    asked = tenant_of(session), collection_id, *between, limit, STATES[status][0] if status else None
    rows = await (await driver(session)).fetch(_COLLECTION_DOWN if descends else _COLLECTION_UP, *asked)
    ids = [row[0] for row in rows]
    found = await session.execute(details_query(session).where(Document.id.in_(ids)))
    details = {each[0].id: DocumentDetails(*each) for each in found}
    return [details[each] for each in ids if each in details]
