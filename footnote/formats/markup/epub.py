"""Books (.epub): a page per document of the spine, in its order, under the titles of the table of contents."""

import posixpath
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from footnote.errors import DocumentRejected
from footnote.formats import Block
from footnote.formats.markup import html
from footnote.formats.office import _package
from footnote.formats.office._package import child_of, children_at, children_of, descendants_of, local_name, value_of
from footnote.formats.plain.txt import decode

MEDIA_TYPES: dict[str, tuple[str, ...]] = {"application/epub+zip": (".epub",)}
MEMBERS = ("meta-inf/container.xml",)


# The table of contents of a book: EPUB 3's navigation document or EPUB 2's NCX.

Titles = tuple[str, ...]

_NCX = "application/x-dtbncx+xml"


def target_of(folder: str, reference: str) -> tuple[str, str]:
    """The part that a reference from a folder leads to, and the place in it; nothing for one that leads out."""
    name, _, place = reference.partition("#")
    return posixpath.normpath(posixpath.join(folder, unquote(name))) if name and ":" not in name else "", unquote(place)


def contents(archive: zipfile.ZipFile, folder: str, items: Iterable[Any]) -> dict[str, dict[str, Titles]]:
    """Paths of titles by the part and the place in it that they name; of several for one place the first."""
    found: dict[str, dict[str, Titles]] = {}
    for item in items:
        is_nav = "nav" in value_of(item, "properties").split()
        if is_nav or value_of(item, "media-type") == _NCX:
            part, _ = target_of(folder, value_of(item, "href"))
            try:
                root = _package.read_xml(archive, part)
            except (KeyError, SyntaxError):
                continue  # a book can be read without its table of contents
            for reference, path in _nav(root) if is_nav else _points(children_at(root, "navMap"), ()):
                target, place = target_of(posixpath.dirname(part), reference)
                if path[-1]:
                    found.setdefault(target, {}).setdefault(place, path)
    return found


def _points(parent: Any, above: Titles) -> Iterator[tuple[str, Titles]]:
    """References and paths of titles of an NCX."""
    for point in children_of(parent, "navPoint"):
        path = (*above, _words(child_of(point, "navLabel")))
        yield value_of(child_of(point, "content"), "src"), path
        yield from _points(point, path)


def _nav(root: Any) -> Iterator[tuple[str, Titles]]:
    """The same of a navigation document."""
    for nav in descendants_of(root, "nav"):
        if "toc" in value_of(nav, "type").split():
            for part in children_of(nav, "ol"):
                yield from _entries(part, ())


def _entries(part: Any, above: Titles) -> Iterator[tuple[str, Titles]]:
    for entry in children_of(part, "li"):
        path = above
        for child in entry:
            if local_name(child) in {"a", "span"}:
                path = (*above, _words(child))
                yield value_of(child, "href"), path
            elif local_name(child) == "ol":
                yield from _entries(child, path)


def _words(element: Any) -> str:
    return "" if element is None else " ".join("".join(element.itertext()).split())


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
    with _package.opened(path) as archive:
        package = _package_part(archive)
        folder = posixpath.dirname(package)
        root = _package.read_xml(archive, package)
        items = {value_of(item, "id"): item for item in descendants_of(root, "item")}
        titles = contents(archive, folder, items.values())
        encrypted = _encrypted(archive)
        above: Titles = ()
        done = set()
        for number, reference in enumerate(descendants_of(root, "itemref"), start=1):
            yield Block("", number)
            item = items.get(value_of(reference, "idref"))
            part, _ = ("", "") if item is None else target_of(folder, value_of(item, "href"))
            if part in done or value_of(item, "media-type") not in _DOCUMENTS or not _package.has_member(archive, part):
                continue
            done.add(part)
            if part in encrypted:
                raise DocumentRejected("encrypted", "The book is protected against copying.")
            places = titles.get(part, {})
            for block in _document(_package.read_member(archive, part), above, places):
                yield replace(block, page=number)
            above = [above, *places.values()][-1]


def _package_part(archive: zipfile.ZipFile) -> str:
    """Name of the part that lists the others. Raises `type_mismatch` where there is none."""
    listed = (
        [value_of(file, "full-path") for file in descendants_of(_package.read_xml(archive, _CONTAINER), "rootfile")]
        if _package.has_member(archive, _CONTAINER)
        else []
    )
    usual = [name for name in archive.namelist() if name.endswith(".opf")]
    found = next((name for name in (*listed, *usual) if _package.has_member(archive, name)), None)
    if found is None:
        raise DocumentRejected("type_mismatch")
    return found


def _encrypted(archive: zipfile.ZipFile) -> set[str]:
    if not _package.has_member(archive, _ENCRYPTION):
        return set()
    root = _package.read_xml(archive, _ENCRYPTION)
    return {
        unquote(value_of(reference, "URI"))
        for data in descendants_of(root, "EncryptedData")
        if value_of(child_of(data, "EncryptionMethod"), "Algorithm") not in _SCRAMBLED
        for reference in descendants_of(data, "CipherReference")
    }


def _document(data: bytes, above: Titles, places: dict[str, Titles]) -> Iterator[Block]:
    """A document's text in the pieces that the table of contents lists.

    What is before the first of them continues under the titles `above`, until it has headings of its own.
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
