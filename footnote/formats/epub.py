"""Books (.epub): a page per document of the spine, in its order, under the titles of the table of contents."""

import posixpath
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from footnote.errors import DocumentRejected
from footnote.formats import Block, _xml, _zip, html
from footnote.formats._xml import child_of, children_of, descendants_of, local_name, value_of
from footnote.formats.txt import decode

MEDIA_TYPES: dict[str, tuple[str, ...]] = {"application/epub+zip": (".epub",)}
MEMBERS = ("meta-inf/container.xml",)

_DOCUMENTS = {"application/xhtml+xml", "text/html", "text/x-oeb1-document"}
_NCX = "application/x-dtbncx+xml"
# Fonts are scrambled in many books, which protects nothing else.
_SCRAMBLED = {"http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"}
# An empty element of XML stays open for an HTML parser; a title that does swallows the whole document.
_EMPTY = re.compile(
    r"<(?!(?:area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr)\b)([a-zA-Z][\w:-]*)(\s[^<>]*)?/>", re.I
)
_Path = tuple[str, ...]


def parse(path: Path) -> Iterator[Block]:
    with _zip.opened(path) as archive:
        package = _package(archive)
        folder = posixpath.dirname(package)
        root = _xml.read(archive, package)
        items = {value_of(item, "id"): item for item in descendants_of(root, "item")}
        contents = _contents(archive, folder, items)
        encrypted = _encrypted(archive)
        above: _Path = ()
        done = set()
        for number, reference in enumerate(descendants_of(root, "itemref"), start=1):
            yield Block("", number)
            item = items.get(value_of(reference, "idref"))
            part = "" if item is None else _target(folder, value_of(item, "href"))
            if not part or part in done or value_of(item, "media-type") not in _DOCUMENTS:
                continue
            done.add(part)
            if part in encrypted:
                raise DocumentRejected("encrypted", "The book is protected against copying.")
            above = contents.get(part, above)
            for block in _document(_zip.read(archive, part)):
                yield replace(block, page=number, heading=_under(above, block.heading))


def _package(archive: zipfile.ZipFile) -> str:
    """Name of the part that lists the others."""
    try:
        for file in descendants_of(_xml.read(archive, "META-INF/container.xml"), "rootfile"):
            return value_of(file, "full-path")
    except KeyError:
        pass
    return next((name for name in archive.namelist() if name.endswith(".opf")), "content.opf")


def _target(folder: str, reference: str) -> str:
    """The part that a reference from a folder leads to; nothing for one that leads out of the book."""
    name = unquote(reference.partition("#")[0])
    return posixpath.normpath(posixpath.join(folder, name)) if name and ":" not in name else ""


def _encrypted(archive: zipfile.ZipFile) -> set[str]:
    try:
        root = _xml.read(archive, "META-INF/encryption.xml")
    except KeyError:
        return set()
    return {
        unquote(value_of(reference, "URI"))
        for data in descendants_of(root, "EncryptedData")
        if value_of(child_of(data, "EncryptionMethod"), "Algorithm") not in _SCRAMBLED
        for reference in descendants_of(data, "CipherReference")
    }


def _document(data: bytes) -> Iterator[Block]:
    return html.blocks(_EMPTY.sub(r"<\1\2></\1>", decode(data, html.declared_encoding(data))))


def _under(above: _Path, heading: _Path) -> _Path:
    """A heading path below that of the table of contents, whose last title mostly is the document's first heading."""
    if above and heading:
        first, second = above[-1].lower(), heading[0].lower()
        if first in second or second in first:
            above = above[:-1]
    return above + heading


def _contents(archive: zipfile.ZipFile, folder: str, items: dict[str, Any]) -> dict[str, _Path]:
    """Paths of titles in the table of contents, by the part they begin."""
    listed: list[tuple[str, _Path]] = []
    for item in items.values():
        is_nav = "nav" in value_of(item, "properties").split()
        if is_nav or value_of(item, "media-type") == _NCX:
            part = _target(folder, value_of(item, "href"))
            try:
                root = _xml.read(archive, part)
            except (KeyError, SyntaxError):
                continue  # a book can be read without its table of contents
            found = _nav(root) if is_nav else _points(child_of(root, "navMap"), ())
            listed += [(_target(posixpath.dirname(part), target), path) for target, path in found]
    return dict(reversed(listed))  # of several titles for a part the first


def _points(parent: Any, above: _Path) -> Iterator[tuple[str, _Path]]:
    """References and paths of titles of an NCX, the table of contents of EPUB 2."""
    for point in () if parent is None else children_of(parent, "navPoint"):
        path = (*above, _words(child_of(point, "navLabel")))
        yield value_of(child_of(point, "content"), "src"), path
        yield from _points(point, path)


def _nav(root: Any) -> Iterator[tuple[str, _Path]]:
    """The same of a navigation document, that of EPUB 3."""
    for nav in descendants_of(root, "nav"):
        if "toc" in value_of(nav, "type").split():
            for part in children_of(nav, "ol"):
                yield from _entries(part, ())


def _entries(part: Any, above: _Path) -> Iterator[tuple[str, _Path]]:
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
