"""Pages by id, as tools and resources read them: `doc_X` is a document, `doc_X:12` its twelfth page.

Where a page is longer than what is read at once, `doc_X:12:50000` is the rest of it from that character on.
"""

import re
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from api.schemas.mcp import FetchedOut
from footnote import documents
from footnote.citations import links
from footnote.documents import DocumentDetails, StoredText
from footnote.documents.reading import BETWEEN_PAGES
from footnote.errors import NotFound

MOST_CHARACTERS = 50_000  # of text that is read at once: documents of 20,000 pages exist
_ID = re.compile(r"(doc_[0-9a-z]{26})(?::([1-9][0-9]{0,6})(?::([0-9]{1,9}))?)?")


def id_of(document_id: str, page: int, start: int = 0) -> str:
    return f"{document_id}:{page}:{start}" if start else f"{document_id}:{page}"


def title(filename: str, page: int) -> str:
    return f"{filename}, page {page}"


async def fetched(session: AsyncSession, named: str) -> FetchedOut:
    """The page, or the document's first whole pages of up to `MOST_CHARACTERS` together. Raises NotFound."""
    found = _ID.fullmatch(named)
    if found is None:
        raise NotFound("page_not_found", f"There is no page or document with the id {named!r}.")
    document_id, page, start = found[1], int(found[2] or 0), int(found[3] or 0)
    details = await documents.get(session, document_id)
    if page == 0:
        return await _beginning(session, details, named)
    stored = await documents.page_text(session, document_id, page, start=start, end=start + MOST_CHARACTERS)
    return FetchedOut(
        id=named,
        title=title(details.version.filename, page),
        text=stored.text,
        url=links.absolute(links.reader_path(document_id, page, stored.version)),
        metadata=_about(details, stored.pages, page=page, next=_next(document_id, page, stored)),
    )


async def _beginning(session: AsyncSession, details: DocumentDetails, named: str) -> FetchedOut:
    read = await documents.first_pages(session, named, MOST_CHARACTERS)
    return FetchedOut(
        id=named,
        title=details.version.filename,
        text=BETWEEN_PAGES.join(each.text for each in read),
        url=links.absolute(links.reader_path(named)),
        metadata=_about(details, read[-1].pages, next=_next(named, len(read), read[-1])),
    )


def _next(document_id: str, page: int, read: StoredText) -> str | None:
    """The id of the rest of the page; None after the end."""
    if read.char_end < read.characters:
        return id_of(document_id, page, read.char_end)
    return id_of(document_id, page + 1) if page < read.pages else None


def _about(details: DocumentDetails, pages: int, **location: Any) -> dict[str, Any]:
    """The document's own metadata, and ours, which count where both have a name."""
    ours = {"document_id": details.document.id, "pages": pages, "collection": details.collection, **location}
    return details.document.attributes | {name: value for name, value in ours.items() if value is not None}
