"""Addresses at which people see a quote: on its page, in the reader of the web page.

`api/static/ui/src/router.js` is the other side of these addresses; `tests/citations/test_links.py` compares the two.
"""

from contextvars import ContextVar
from typing import Protocol

# What an address of the web page begins with: `FOOTNOTE_PUBLIC_URL`, or scheme and host of the request.
base: ContextVar[str] = ContextVar("base", default="")


class Anchored(Protocol):
    """Text that is on a page of a version: `page.text[char_start:char_end]` of `page_start`."""

    @property
    def document_id(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def page_start(self) -> int: ...
    @property
    def char_start(self) -> int: ...
    @property
    def char_end(self) -> int: ...


def reader_path(
    document_id: str, page: int | None = None, version: int | None = None, span: tuple[int, int] | None = None
) -> str:
    """The reader's address below the server's own: of a document, a page, or the characters `span` on the page."""
    path = f"/d/{document_id}" if page is None else f"/d/{document_id}/p/{page}"
    given = [] if version is None else [f"v={version}"]
    if span is not None:
        given += [f"from={span[0]}", f"to={span[1]}"]
    return f"{path}?{'&'.join(given)}" if given else path


def path_of(text: Anchored) -> str:
    """The reader's address of a quote or a passage, below the server's own."""
    return reader_path(text.document_id, text.page_start, text.version, (text.char_start, text.char_end))


def absolute(path: str) -> str:
    """An address of the web page as others may open it."""
    return base.get() + path
