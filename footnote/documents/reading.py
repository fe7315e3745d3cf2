"""Reads documents, lists of them, their pages and chunks; changes their metadata."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import jobs
from footnote.collections import revisions
from footnote.collections.metadata import patched, replaced
from footnote.database.driver import driver, planning_once
from footnote.database.rows import RowReader
from footnote.database.tenant_scope import scoped, tenant_of
from footnote.errors import FootnoteError, Gone, NotFound
from footnote.models import Chunk, Collection, Document, Job, Page, Version
from footnote.models.documents import VISIBLE
from footnote.tenancy import audit_log

FLAT = (str, int, float, bool)  # metadata that are neither lists nor objects
BETWEEN_PAGES = "\n\n"  # where several are read as one text
FIRST_PAGES = 200  # of a document that are looked at to read its beginning


@dataclass(frozen=True)
class DocumentDetails:
    """A document with its newest version, that version's newest job, and the collection's name."""

    document: Document
    version: Version
    job: Job
    collection: str


_DOCUMENT, _VERSION = RowReader(Document), RowReader(Version)
ACCEPTED = f"{_DOCUMENT.columns}, {_VERSION.columns}"  # what `read_accepted` takes
_GET = f"""
    SELECT collection.name, {ACCEPTED}, {jobs.ROWS.columns}
    FROM document
    JOIN version ON version.document_id = document.id AND version.number = document.newest_version
    JOIN job ON job.id = document.job_id
    JOIN collection ON collection.id = document.collection_id
    WHERE document.tenant_id = $1 AND document.id = $2 AND collection.deleted_at IS NULL
    """  # noqa: S608  constants


def read_accepted(values: Sequence[Any]) -> tuple[Document, Version]:
    """A document and its version from the columns `ACCEPTED`."""
    return _DOCUMENT.read(values[: len(_DOCUMENT)]), _VERSION.read(values[len(_DOCUMENT) :])


def details_query(session: AsyncSession) -> Select[Document, Version, Job, str]:
    newest = (Version.document_id == Document.id) & (Version.number == Document.newest_version)
    return (
        scoped(session, Document)
        .join(Version, newest)
        .join(Job, Job.id == Document.job_id)
        .join(Collection, Collection.id == Document.collection_id)
        .with_only_columns(Document, Version, Job, Collection.name)
    )


async def get(session: AsyncSession, document_id: str) -> DocumentDetails:
    """The objects belong to no session. Raises NotFound."""
    found = await (await planning_once(session)).fetchrow(_GET, tenant_of(session), document_id)
    if found is None:
        raise unknown(document_id)
    return details(found)


def details(row: Sequence[Any]) -> DocumentDetails:
    """From the columns of `_GET`."""
    name, *values = row
    return DocumentDetails(*read_accepted(values[: -len(jobs.ROWS)]), jobs.ROWS.read(values[-len(jobs.ROWS) :]), name)


def unknown(document_id: str) -> NotFound:
    return NotFound("document_not_found", f"There is no document {document_id!r}.")


@dataclass(frozen=True)
class StoredText:
    """The characters `char_start:char_end` of a page's text, which has `characters`; offsets count code points.

    `outline`: the sections of it that are in these characters, as `formats.ParsedPage` has them.
    """

    text: str
    char_start: int
    char_end: int
    characters: int
    version: int
    pages: int
    outline: Sequence[Any] = ()


async def page_text(
    session: AsyncSession,
    document_id: str,
    number: int,
    version: int | None = None,
    *,
    start: int = 0,
    end: int | None = None,
) -> StoredText:
    """The stored text of a page of the version that queries see, or its characters `start:end`.

    For another `version`: raises Gone if it was replaced, else NotFound.
    """
    await get(session, document_id)
    part = func.substr(Page.text, start + 1) if end is None else func.substr(Page.text, start + 1, max(0, end - start))
    # In one statement: before a second one, another version could become the active one.
    page = (
        scoped(session, Page)
        .join(Document, Document.active_version_id == Page.version_id)
        .join(Version, Version.id == Page.version_id)
        .where(Document.id == document_id, Page.number == number)
        .where(true() if version is None else Version.number == version)
    )
    statement = page.with_only_columns(part, func.char_length(Page.text), Version.number, Version.pages, Page.outline)
    stored = (await session.execute(statement)).one_or_none()
    if stored is None:
        raise await no_page(session, document_id, number, version)
    text, characters, shown, pages, outline = stored
    start = min(start, characters)
    end = start + len(text)
    within = [each for each in outline or () if each[0] < end and each[1] > start]
    return StoredText(text, start, end, characters, shown, pages or 1, within)


# Only the first pages are looked at: char_length has to read each. A page may be as long as a whole text file.
_FIRST_PAGES = f"""
    SELECT number, text, characters, version, pages FROM (
        SELECT *, sum(characters + {len(BETWEEN_PAGES)}) OVER (ORDER BY number) AS until FROM (
            SELECT page.number, substr(page.text, 1, $3) AS text, char_length(page.text) AS characters,
                   version.number AS version, version.pages
            FROM document
            JOIN version ON version.id = document.active_version_id
            JOIN page ON page.version_id = version.id
            WHERE document.tenant_id = $1 AND document.id = $2 AND page.number <= {FIRST_PAGES}
        ) AS first
    ) AS summed
    WHERE until <= $3 + {len(BETWEEN_PAGES)} OR number = 1 ORDER BY number
    """  # noqa: S608  constants


async def first_pages(session: AsyncSession, document_id: str, most: int) -> list[StoredText]:
    """The beginning of the version that queries see: whole pages, of up to `most` characters when they are joined.

    A first page that is longer is cut. Raises NotFound.
    """
    await get(session, document_id)
    rows = await (await driver(session)).fetch(_FIRST_PAGES, tenant_of(session), document_id, most)
    if not rows:
        raise await no_page(session, document_id, 1, None)
    return [
        StoredText(text, 0, len(text), characters, version, pages or 1) for _, text, characters, version, pages in rows
    ]


async def pages_after(session: AsyncSession, version_id: str, number: int, limit: int) -> Sequence[tuple[int, str]]:
    """Numbers and texts of the pages after that one, in order."""
    pages = scoped(session, Page).with_only_columns(Page.number, Page.text)
    behind = pages.where(Page.version_id == version_id, Page.number > number).order_by(Page.number).limit(limit)
    return [(row[0], row[1]) for row in await session.execute(behind)]


async def no_page(session: AsyncSession, document_id: str, number: int, version: int | None) -> FootnoteError:
    """The error for a missing page: the text of another version must not be taken for the one that was cited."""
    active = scoped(session, Version).join(Document, Document.active_version_id == Version.id)
    shown = await session.scalar(active.where(Document.id == document_id).with_only_columns(Version.number))
    if version is not None and shown is not None and version < shown:
        return Gone(
            "version_replaced",
            f"Version {version} was replaced, its pages no longer exist; the current version is {shown}.",
        )
    of_version = f" of version {version}" if version is not None else ""
    return NotFound("page_not_found", f"The document has no page {number}{of_version} that is ready.")


async def chunks(session: AsyncSession, document_id: str, *, limit: int, after: int) -> Sequence[Chunk]:
    """Chunks of the active version in order, from the position after `after`. Raises NotFound."""
    await get(session, document_id)
    query = scoped(session, Chunk).where(Chunk.document_id == document_id, Chunk.position > after)
    return (await session.scalars(query.order_by(Chunk.position).limit(limit))).all()


async def ancestors(session: AsyncSession, document: Document) -> list[str]:
    """Ids of the containers that the document was found in, the nearest first."""
    found = []
    parent_id = document.parent_id
    while parent_id:
        found.append(parent_id)
        parent_id = await session.scalar(select(Document.parent_id).where(Document.id == parent_id))
    return found


async def patch_metadata(session: AsyncSession, document_id: str, patch: dict[str, Any] | None) -> None:
    """Merges the patch into the metadata as RFC 7396 has it. Raises NotFound, TooLarge."""
    await _change_metadata(session, document_id, lambda before: patched(before, patch))


async def replace_metadata(session: AsyncSession, document_id: str, given: dict[str, Any]) -> None:
    """Replaces all metadata but lists and objects. Raises NotFound, TooLarge."""
    await _change_metadata(session, document_id, lambda before: replaced(before, given, FLAT))


async def _change_metadata(
    session: AsyncSession, document_id: str, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    chosen = scoped(session, Document).where(Document.id == document_id, VISIBLE)
    document = await session.scalar(chosen.with_for_update(key_share=True))
    if document is None:
        raise unknown(document_id)
    document.attributes = change(document.attributes)
    document.updated_at = func.now()
    await session.flush()
    await session.refresh(document)
    await audit_log.note(session, "document.updated", document_id, changed=["metadata"])
    await revisions.changed(session, [document.collection_id])
