"""Books (.epub): a page per document of the spine, in its order, under the titles of the table of contents."""

import posixpath
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from footnote.errors import DocumentRejected
from footnote.formats import Block
from footnote.formats.markup import html
from footnote.formats.markup._book_contents import Titles, contents, target_of
from footnote.formats.office import _xml, _zip
from footnote.formats.office._xml import child_of, descendants_of, value_of
from footnote.formats.plain.txt import decode

MEDIA_TYPES: dict[str, tuple[str, ...]] = {"application/epub+zip": (".epub",)}
MEMBERS = ("meta-inf/container.xml",)

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_DOCUMENTS = {"application/xhtml+xml", "text/html", "text/x-oeb1-document"}
# Fonts are scrambled in many books, which protects nothing else.
_SCRAMBLED = {"http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"}
# An empty element of XML stays open for an HTML parser; a title that does swallows the whole document.
_EMPTY = re.compile(
    r"<(?!(?:area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr)\b)([a-z][\w:-]*)"
    r"(\s(?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*)?/>",
    re.I,
)
_ANCHOR = re.compile(r"<[^<>]*\s(?:id|name)\s*=\s*[\"']([^\"'<>]+)[\"']")


def parse(path: Path) -> Iterator[Block]:
    with _zip.opened(path) as archive:
        package = _package(archive)
        folder = posixpath.dirname(package)
        root = _xml.read(archive, package)
        items = {value_of(item, "id"): item for item in descendants_of(root, "item")}
        titles = contents(archive, folder, items.values())
        encrypted = _encrypted(archive)
        above: Titles = ()
        done = set()
        for number, reference in enumerate(descendants_of(root, "itemref"), start=1):
            yield Block("", number)
            item = items.get(value_of(reference, "idref"))
            part, _ = ("", "") if item is None else target_of(folder, value_of(item, "href"))
            if part in done or value_of(item, "media-type") not in _DOCUMENTS or not _zip.has(archive, part):
                continue
            done.add(part)
            if part in encrypted:
                raise DocumentRejected("encrypted", "The book is protected against copying.")
            places = titles.get(part, {})
            for block in _document(_zip.read(archive, part), above, places):
                yield replace(block, page=number)
            above = [above, *places.values()][-1]


def _package(archive: zipfile.ZipFile) -> str:
    """Name of the part that lists the others. Raises `type_mismatch` where there is none."""
    listed = (
        [value_of(file, "full-path") for file in descendants_of(_xml.read(archive, _CONTAINER), "rootfile")]
        if _zip.has(archive, _CONTAINER)
        else []
    )
    usual = [name for name in archive.namelist() if name.endswith(".opf")]
    found = next((name for name in (*listed, *usual) if _zip.has(archive, name)), None)
    if found is None:
        raise DocumentRejected("type_mismatch")
    return found


def _encrypted(archive: zipfile.ZipFile) -> set[str]:
    if not _zip.has(archive, _ENCRYPTION):
        return set()
    root = _xml.read(archive, _ENCRYPTION)
    return {
        unquote(value_of(reference, "URI"))
        for data in descendants_of(root, "EncryptedData")
        if value_of(child_of(data, "EncryptionMethod"), "Algorithm") not in _SCRAMBLED
        for reference in descendants_of(data, "CipherReference")
    }


def _document(data: bytes, above: Titles, places: dict[str, Titles]) -> Iterator[Block]:
    """A document's text in the pieces that the table of contents tells apart.

    What stands before the first of them goes on under the titles `above`, until it has headings of its own.
    """
    markup = _EMPTY.sub(r"<\1\2></\1>", decode(data))
    start, path, is_titled = 0, places.get("", above), "" in places
    for anchor in _ANCHOR.finditer(markup):
        following = places.get(anchor.group(1))
        if following and following != path:
            yield from _piece(markup[start : anchor.start()], path, is_titled)
            start, path, is_titled = anchor.start(), following, True
    yield from _piece(markup[start:], path, is_titled)


def _piece(markup: str, above: Titles, is_titled: bool) -> Iterator[Block]:
    for block in html.blocks(markup):
        path = above
        if path and block.heading:
            # The last title of the table of contents mostly is the first heading of the piece.
            first, second = set(path[-1].lower().split()), set(block.heading[0].lower().split())
            path = () if not is_titled else path[:-1] if first <= second or second <= first else path
        yield replace(block, heading=(*path, *block.heading))
