"""Word documents (.docx): paragraphs, lists and tables in order, headings by style or outline level."""

import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from footnote.errors import DocumentRejected
from footnote.formats import Block
from footnote.formats._wordml import Styles, all_text, blocks, child_of, local_name, table_text, text_of
from footnote.formats.sniffing import DOCX, OLE2

MEDIA_TYPES: dict[str, tuple[str, ...]] = {DOCX: (".docx", ".docm")}

MAX_MEMBERS = 2_000
MAX_BYTES = 200 * 1024 * 1024
MAX_RATIO = 100
_RATIO_FROM_BYTES = 10 * 1024 * 1024  # repetitive XML of ordinary size compresses better than any limit

_XML_ERR_NO_MEMORY = 2
_LOCAL_HEADER = re.compile(rb"PK\x03\x04.{22}(.{2}).{2}", re.S)


def recognise(head: bytes) -> str | None:
    """A zip with Word's folder, or with an unnamed Office folder that comes too late to be seen."""
    if not head.startswith(b"PK\x03\x04"):
        return None
    names = [
        head[match.end() : match.end() + int.from_bytes(match.group(1), "little")]
        for match in _LOCAL_HEADER.finditer(head)
    ]
    if any(name.startswith(b"word/") for name in names):
        return DOCX
    office = b"[Content_Types].xml" in names
    others = (b"xl/", b"ppt/", b"visio/", b"mimetype", b"META-INF/")
    return DOCX if office and not any(name.startswith(others) for name in names) else None


def parse(path: Path) -> Iterator[Block]:
    _screen(path)
    try:
        with zipfile.ZipFile(path) as archive:
            main = _related(archive, "").get("officeDocument", "word/document.xml")
            body = child_of(_read(archive, main), "body")
            related = _related(archive, main)
            styles = Styles(_read(archive, related["styles"]) if "styles" in related else ())
            yield from _sections(() if body is None else body, styles)
            for kind in ("footnotes", "endnotes"):
                if kind in related:
                    notes = map(all_text, _read(archive, related[kind]))
                    yield Block("\n".join(filter(None, notes)), heading=(kind.capitalize(),))
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        ValueError,
        SyntaxError,
        NotImplementedError,
    ) as error:
        raise DocumentRejected("corrupt_file") from error


def _read(archive: zipfile.ZipFile, name: str) -> Any:
    """A part's XML, by python-docx's parser, which resolves no entities."""
    from docx.oxml import parse_xml

    data = archive.read(name)
    try:
        return parse_xml(data)
    except SyntaxError as error:
        # libxml2 reports a refused allocation as an error of the document.
        if getattr(error, "code", None) == _XML_ERR_NO_MEMORY:
            raise DocumentRejected("too_complex") from error
        raise


def _related(archive: zipfile.ZipFile, part: str) -> dict[str, str]:
    """Names of the parts that a part refers to, by the last word of the relation's type."""
    folder, _, name = part.rpartition("/")
    relations = f"{folder}/_rels/{name}.rels".lstrip("/")
    if relations not in archive.namelist():
        return {}
    found = {}
    for relation in _read(archive, relations):
        target = relation.get("Target", "")
        if relation.get("TargetMode") != "External":
            found[relation.get("Type", "").rpartition("/")[2]] = (
                target[1:] if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
            )
    return found


def _screen(path: Path) -> None:
    """Refuses archives that would expand beyond the limits, by their directory alone."""
    with path.open("rb") as file:
        if file.read(8) == OLE2:
            file.seek(0)
            protected = "EncryptedPackage".encode("utf-16-le") in file.read(MAX_BYTES)
            message = None if protected else "This is an old Word file; save the document as .docx."
            raise DocumentRejected("encrypted" if protected else "unsupported_type", message)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise DocumentRejected("corrupt_file") from error
    bombs = (member.file_size > max(_RATIO_FROM_BYTES, member.compress_size * MAX_RATIO) for member in members)
    if len(members) > MAX_MEMBERS or sum(member.file_size for member in members) > MAX_BYTES or any(bombs):
        raise DocumentRejected("archive_too_large")


def _sections(body: Any, styles: Styles) -> Iterator[Block]:
    """A block per paragraph or table; list items and code lines that follow each other share one."""
    path: list[tuple[int, str]] = []
    lines: list[str] = []
    shared = ""
    for element in blocks(body):
        level, kind = (None, "table") if local_name(element) == "tbl" else styles.level_and_kind(element)
        text = table_text(element) if kind == "table" else text_of(element)
        if not text.strip():
            continue
        if lines and not (kind and kind == shared and level is None):
            yield Block("\n".join(lines), heading=tuple(title for _, title in path))
            lines = []
        shared = kind if kind != "table" else ""
        if level is not None:
            path = [above for above in path if above[0] < level] + [(level, " ".join(text.split()))]
        lines.append(f"- {text}" if kind == "item" and level is None else text)
    yield Block("\n".join(lines), heading=tuple(title for _, title in path))
