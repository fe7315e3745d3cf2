"""Reading a document in another process, which may fail, hang or be killed without harm."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from footnote.formats import Guess, ParsedPage, Scan, Section
from footnote.formats.sandbox.frames import Frame
from footnote.formats.sandbox.process import frames_of

if TYPE_CHECKING:
    from footnote.settings import ParseLimits

MANY_SECTIONS = 1_000  # of a page, from which on they are created in a thread


async def read_pages(
    path: Path, media_type: str, limits: "ParseLimits", *, after: int = 0, owner: str = ""
) -> AsyncGenerator[ParsedPage, None]:
    """The document's pages after the first `after` ones, as the parser finishes them.

    The parser is ahead by no more than a socket's buffer. With an `owner` it may have read other plain documents of
    the same owner before, and waits for the next one.

    Raises `DocumentRejected`: with the parser's code, `no_text` after the last page when none had any,
    `too_complex` when a limit was hit, `corrupt_file` when the parser crashed. The parser has ended when this
    generator is closed, whatever closes it; wrap it in `contextlib.aclosing` to leave it early.
    """
    # Tesseract gets a third of the silence allowed: a page that takes longer is skipped, and the next one is in time.
    ocr = {"languages": limits.ocr_languages, "seconds": limits.wall_seconds / 3}
    async with aclosing(frames_of("pages", path, media_type, limits, owner, after=after, **ocr)) as frames:
        async for head, body in frames:
            is_large = len(head["sections"]) > MANY_SECTIONS
            page = await asyncio.to_thread(_page, head, body) if is_large else _page(head, body)
            del head, body
            yield page
            del page


def _page(head: dict[str, Any], body: bytes) -> ParsedPage:
    sections = [Section(start, end, tuple(heading), *rest) for start, end, heading, *rest in head["sections"]]
    scan = head["scan"] and Scan(head["scan"]["languages"], [tuple(word) for word in head["scan"]["words"]])
    guesses = tuple(Guess(**each) for each in head["guesses"])
    return ParsedPage(head["page"], body.decode(), sections, scan, guesses, head["notes"])


async def read_files(
    path: Path, media_type: str, limits: "ParseLimits"
) -> AsyncGenerator[tuple[str, AsyncIterator[bytes]], None]:
    """The files within a container, each with its bytes, to be read before you ask for the next. Raises as above."""
    async with aclosing(frames_of("files", path, media_type, limits)) as frames:
        first = await anext(frames, None)
        head = first[0] if first else {}
        while head:
            following: list[dict[str, Any]] = []
            pieces = _pieces(frames, following)
            yield head["file"], pieces
            async for _ in pieces:
                pass  # what was not read is skipped
            head = following[0] if following else {}


async def _pieces(frames: AsyncIterator[Frame], following: list[dict[str, Any]]) -> AsyncIterator[bytes]:
    """The bytes of one file; leaves the head of the next one, which ends it, in `following`."""
    async for head, body in frames:
        if "file" in head:
            following.append(head)
            return
        yield body


async def picture(path: Path, media_type: str, limits: "ParseLimits", *, number: int, width: int) -> bytes:
    """A page as WebP, `width` pixels wide. Raises as above."""
    async with aclosing(frames_of("picture", path, media_type, limits, number=number, width=width)) as frames:
        return (await anext(frames))[1]


async def boxes(
    path: Path, media_type: str, limits: "ParseLimits", *, number: int, quote: str, where: float
) -> list[list[float]]:
    """Where a quote is on a page: left, top, right, bottom of each line of it, as shares of the page."""
    async with aclosing(
        frames_of("boxes", path, media_type, limits, number=number, quote=quote, where=where)
    ) as frames:
        found: list[list[float]] = (await anext(frames))[0]["boxes"]
        return found
