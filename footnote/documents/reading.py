"""Reads documents, lists of them, their pages and chunks; changes their metadata."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections, jobs
from footnote.collections import revisions
from footnote.collections.metadata import patched
from footnote.database.driver import Written, driver, planning_once, positional
from footnote.database.rows import RowReader
from footnote.database.tenant_scope import scoped, tenant_of
from footnote.errors import FootnoteError, Gone, NotFound
from footnote.filters import Filter, sql
from footnote.models import Chunk, Collection, Document, Job, Page, Version
from footnote.models.documents import VISIBLE
from footnote.tenancy import audit_log, tallies

SMALL = 2_000  # documents of a collection that may all be looked at


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
    return _details(found)


# The rows of a page are found before anything is joined to them: see `footnote.database.paging`.
_LIST = f"""
    WITH page AS MATERIALIZED ({{page}})
    SELECT collection.name, {ACCEPTED}, {jobs.ROWS.columns}
    FROM page JOIN document ON document.id = page.id
    JOIN version ON version.document_id = document.id AND version.number = document.newest_version
    JOIN job ON job.id = document.job_id
    JOIN collection ON collection.id = document.collection_id
    WHERE document.tenant_id = :tenant
    ORDER BY page.id DESC
    """  # noqa: S608  constants
# The documents of a collection that is being deleted are not visible. Such collections are few.
_IS_VISIBLE = "document.collection_id NOT IN (SELECT c.id FROM collection c WHERE c.deleted_at IS NOT NULL)"
_NEWEST = """
    SELECT document.id FROM document
    WHERE document.tenant_id = :tenant {older} AND {condition}
    ORDER BY document.id DESC NULLS LAST LIMIT :limit
    """
# A subquery and no join: a join would not be expected to find a page before all jobs of the state are read.
_NEWEST_IN_STATE = """
    SELECT job.document_id AS id FROM job
    WHERE job.tenant_id = :tenant AND job.state = :state_{place} {older} AND (
        SELECT document.id FROM document
        WHERE document.id = job.document_id AND document.job_id = job.id AND {condition}
      ) IS NOT NULL
    ORDER BY job.document_id DESC NULLS LAST LIMIT :limit
    """


def unknown(document_id: str) -> NotFound:
    return NotFound("document_not_found", f"There is no document {document_id!r}.")


async def list_documents(
    session: AsyncSession,
    *,
    limit: int,
    before: str | None = None,
    collection: str | None = None,
    states: Sequence[str] = (),
    external_id: str | None = None,
    sha256: bytes | None = None,
    filter: Filter | None = None,
) -> list[DocumentDetails]:
    """Newest first, `limit` at most, older than the id `before`. The objects belong to no session."""
    given: dict[str, Any] = {"tenant": tenant_of(session), "limit": Written(_page_size(limit))}
    conditions = [_IS_VISIBLE]
    if before:
        given["before"] = before
    few = bool(external_id or sha256)
    if collection:
        given["collection"] = (await collections.find(session, collection)).id
        conditions.append("document.collection_id = :collection")
        few |= bool(states) and await _is_small(session, given["collection"])
    for column, value in (("external_id", external_id), ("sha256", sha256)):
        if value:
            given[column] = value
            conditions.append(f"document.{column} = :{column}")
    if filter:
        condition, parameters = sql.condition(filter, tenant_of(session), sql.NEWEST)
        given |= parameters
        conditions.append(condition)
    given |= {f"state_{place}": each for place, each in enumerate(states)}
    page = _page(" AND ".join(conditions), len(states), few=few, older=bool(before))
    statement = _LIST.format(page=page)
    written, values = positional(statement, given)
    rows = await (await driver(session)).fetch(written, *values)
    return [_details(row) for row in rows[:limit]]


def _page_size(limit: int) -> int:
    """The same for many limits, so that few statements are prepared."""
    return next((size for size in (2, 21, 51, 101) if size >= limit), limit)


def _details(row: Sequence[Any]) -> DocumentDetails:
    name, *values = row
    return DocumentDetails(*read_accepted(values[: -len(jobs.ROWS)]), jobs.ROWS.read(values[-len(jobs.ROWS) :]), name)


async def _is_small(session: AsyncSession, collection_id: str) -> bool:
    tally = (await tallies.of_collections(session, [collection_id])).get(collection_id)
    return tally is None or tally.documents <= SMALL


def _page(condition: str, states: int, *, few: bool, older: bool) -> str:
    """Ids of documents; found by the states of their jobs, unless only a `few` documents can be meant."""
    if few or not states:
        if states:
            among = ", ".join(f":state_{place}" for place in range(states))
            condition += f" AND (SELECT job.state FROM job WHERE job.id = document.job_id) IN ({among})"  # noqa: S608  constants
        return _NEWEST.format(condition=condition, older="AND document.id < :before" if older else "")
    older_in_state = "AND job.document_id < :before" if older else ""
    each = (
        f"({_NEWEST_IN_STATE.format(condition=condition, place=place, older=older_in_state)})"
        for place in range(states)
    )
    return f"SELECT id FROM ({' UNION ALL '.join(each)}) AS page ORDER BY id DESC LIMIT :limit"  # noqa: S608  constants


@dataclass(frozen=True)
class StoredText:
    """The characters `char_start:char_end` of a page's text, which has `characters`; offsets count code points."""

    text: str
    char_start: int
    char_end: int
    characters: int
    version: int
    pages: int


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
    told = page.with_only_columns(part, func.char_length(Page.text), Version.number, Version.pages)
    stored = (await session.execute(told)).one_or_none()
    if stored is None:
        raise await no_page(session, document_id, number, version)
    text, characters, shown, pages = stored
    start = min(start, characters)
    return StoredText(text, start, start + len(text), characters, shown, pages or 1)


async def no_page(session: AsyncSession, document_id: str, number: int, version: int | None) -> FootnoteError:
    """The error for a missing page: the text of another version must not be taken for the one that was cited."""
    active = scoped(session, Version).join(Document, Document.active_version_id == Version.id)
    shown = await session.scalar(active.where(Document.id == document_id).with_only_columns(Version.number))
    if version is not None and shown is not None and version < shown:
        return Gone("version_replaced", f"Version {version} was replaced, its pages are gone; now it is {shown}.")
    of_version = f" of version {version}" if version is not None else ""
    return NotFound("page_not_found", f"The document has no page {number}{of_version} that is ready.")


async def chunks(session: AsyncSession, document_id: str, *, limit: int, after: int) -> Sequence[Chunk]:
    """Chunks of the active version in order, from the position behind `after`. Raises NotFound."""
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
    chosen = scoped(session, Document).where(Document.id == document_id, VISIBLE)
    document = await session.scalar(chosen.with_for_update(key_share=True))
    if document is None:
        raise unknown(document_id)
    document.attributes = patched(document.attributes, patch)
    document.updated_at = func.now()
    await session.flush()
    await session.refresh(document)
    await audit_log.note(session, "document.updated", document_id, changed=["metadata"])
    await revisions.changed(session, [document.collection_id])
