"""Images of pages, each rendered once, and the boxes around quotes on them."""

import asyncio
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import documents
from footnote.database.ids import new_id
from footnote.database.tenant_scope import scoped
from footnote.documents import objects
from footnote.errors import DocumentRejected, Invalid, Unsupported
from footnote.formats import has_pictures, ocr
from footnote.formats.sandbox import parent
from footnote.models import Page, PagePicture, Version
from footnote.runtime import Runtime
from footnote.storage import writing

AT_ONCE = 2  # children at work for one process
LONGEST_QUOTE = 8_000  # characters
_room = asyncio.Semaphore(AT_ONCE)


@dataclass(frozen=True)
class Highlights:
    """Boxes as [left, top, right, bottom], shares of the page's width and height, one box for each line."""

    page: int
    quote: str
    boxes: list[list[float]]


async def picture(rt: Runtime, document_id: str, number: int, width: int, version_number: int | None = None) -> bytes:
    """A page of the version that queries see, as WebP. Raises NotFound, Unsupported; Gone if it is another version."""
    async with rt.transaction() as session:
        version = await _shown(session, document_id, number, version_number)
        key = await session.scalar(
            select(PagePicture.key).where(
                PagePicture.version_id == version.id, PagePicture.number == number, PagePicture.width == width
            )
        )
    if key is not None:
        try:
            return b"".join([piece async for piece in rt.store.read(key)])
        except DocumentRejected:  # lost from the store: rendered again
            await rt.execute(delete(PagePicture).where(PagePicture.key == key))
    async with _room, rt.store.local_copy(version.object_key or "") as path:
        made = await parent.picture(path, version.media_type, rt.settings.parse_limits, number=number, width=width)
    await _store(rt, version, number, width, made)
    return made


async def _store(rt: Runtime, version: Version, number: int, width: int, made: bytes) -> None:
    key = f"pictures/{version.id}/{new_id('pic')}"
    async with objects.reserved(rt, key):
        async with writing(rt.store, key) as out:
            await out.write(made, last=True)
        async with rt.transaction() as session:
            # Pictures of a version that was replaced or deleted meanwhile are not requested again.
            shown = select(Version.id).where(Version.id == version.id, Version.object_key.is_not(None))
            if await session.scalar(shown.with_for_update(read=True)) is None:
                return
            row = {"version_id": version.id, "number": number, "width": width, "tenant_id": version.tenant_id}
            stored = insert(PagePicture).values(**row, key=key).on_conflict_do_nothing()
            if await session.scalar(stored.returning(PagePicture.key)):
                await objects.adopt(session, key)


async def highlights(
    rt: Runtime,
    document_id: str,
    number: int,
    start: int,
    end: int,
    version_number: int | None = None,
) -> Highlights:
    """Where the characters `start:end` of a page's stored text are on the page. Raises NotFound, Gone, Invalid."""
    async with rt.transaction() as session:
        version = await _shown(session, document_id, number, version_number)
        of_version = scoped(session, Page).where(Page.version_id == version.id, Page.number == number)
        page = (await session.scalars(of_version)).one_or_none()
        if page is None:  # another version replaced it just now
            raise await documents.no_page(session, document_id, number, version.number)
    quote = page.text[start:end]
    if not quote.strip() or len(quote) > LONGEST_QUOTE:
        raise Invalid("invalid_request", f"Choose from 1 to {LONGEST_QUOTE} characters of the page's text.")
    if page.words is not None:
        return Highlights(number, quote, ocr.boxes(page.words, page.text, start, end))
    async with _room, rt.store.local_copy(version.object_key or "") as path:
        limits = rt.settings.parse_limits
        before, whole = (len("".join(text.split())) for text in (page.text[:start], page.text))
        boxes = await parent.boxes(path, version.media_type, limits, number=number, quote=quote, where=before / whole)
    return Highlights(number, quote, boxes)


async def _shown(session: AsyncSession, document_id: str, number: int, version_number: int | None) -> Version:
    """The version that queries see. Raises if another one is wanted, it lacks the page, or pages cannot be shown."""
    document = (await documents.get(session, document_id)).document
    version = await session.get(Version, document.active_version_id) if document.active_version_id else None
    if version is None or number > (version.pages or 0) or version_number not in (None, version.number):
        raise await documents.no_page(session, document_id, number, version_number)
    if not has_pictures(version.media_type):
        raise Unsupported("no_pictures", "Only the pages of PDFs can be shown.")
    return version
