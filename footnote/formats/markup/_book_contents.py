"""The table of contents of a book: EPUB 3's navigation document or EPUB 2's NCX."""

import posixpath
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote

from footnote.formats.office import _xml
from footnote.formats.office._xml import child_of, children_of, descendants_of, local_name, value_of

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
                root = _xml.read(archive, part)
            except (KeyError, SyntaxError):
                continue  # a book can be read without its table of contents
            for reference, path in _nav(root) if is_nav else _points(child_of(root, "navMap"), ()):
                target, place = target_of(posixpath.dirname(part), reference)
                if path[-1]:
                    found.setdefault(target, {}).setdefault(place, path)
    return found


def _points(parent: Any, above: Titles) -> Iterator[tuple[str, Titles]]:
    """References and paths of titles of an NCX."""
    for point in () if parent is None else children_of(parent, "navPoint"):
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
