"""Packages: the zip archives, XML parts and OLE2 files that documents are stored in.

Archives are recognised by their first bytes, checked by their directory, and read within limits.
"""

import mmap
import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from footnote.errors import DocumentRejected

MAX_MEMBERS = 20_000
MAX_BYTES = 200 * 1024 * 1024
MAX_RATIO = 100
_RATIO_FROM_BYTES = 10 * 1024 * 1024  # repetitive XML of ordinary size compresses better than any limit

_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 0x1  # a flag of a member
_LOCAL_HEADER = re.compile(rb"PK\x03\x04.{4}(..).{16}(..)(..)", re.S)
_DECLARED = re.compile(rb"\s*(application/[a-z0-9.+-]+)")


def member_names(head: bytes) -> list[str]:
    """Names of the members whose local headers are in a file's first bytes, in order, in lower case with slashes."""
    found = (
        head[match.end() : match.end() + int.from_bytes(match.group(2), "little")]
        for match in _LOCAL_HEADER.finditer(head)
    )
    return [_usual(name.decode("utf-8", "replace")) for name in found]


def _usual(name: str) -> str:
    """A member's name as all programs could have written it."""
    return name.replace("\\", "/").lower()


def declared_type(head: bytes) -> str | None:
    """The media type that a member named `mimetype` declares, as OpenDocument and EPUB have it."""
    for match in _LOCAL_HEADER.finditer(head):
        method, length, extra = (int.from_bytes(number, "little") for number in match.groups())
        start = match.end() + length
        if head[match.end() : start] == b"mimetype":
            content = head[start + extra : start + extra + 256]
            if method == zipfile.ZIP_DEFLATED:
                try:
                    content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, 256)
                except zlib.error:
                    return None
            declared = _DECLARED.match(content)
            return declared.group(1).decode() if declared else None
    return None


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """A checked archive. What turns out to be damaged while it is read becomes `corrupt_file`.

    Raises `encrypted`, `archive_too_large`, and for an old Office file `unsupported_type`.
    """
    refuse_ole2(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _screen(archive.infolist())
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, LookupError, ValueError, SyntaxError, OSError) as error:
        raise DocumentRejected("corrupt_file") from error


def _screen(members: list[zipfile.ZipInfo]) -> None:
    """Rejects archives that would expand beyond the limits, or whose members cannot be a document's.

    Pictures and films, which hardly compress, do not count: they are not unpacked.
    """
    if any(member.flag_bits & _ENCRYPTED for member in members):
        raise DocumentRejected("encrypted")
    if any(member.compress_type not in _METHODS or ".." in member.filename.split("/") for member in members):
        raise DocumentRejected("corrupt_file")
    bombs = (member.file_size > max(_RATIO_FROM_BYTES, member.compress_size * MAX_RATIO) for member in members)
    expanding = sum(member.file_size for member in members if member.file_size > 2 * member.compress_size)
    if len(members) > MAX_MEMBERS or expanding > MAX_BYTES or any(bombs):
        raise DocumentRejected("archive_too_large")


def member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """The member with a name, ignoring case and the kind of slashes. Raises KeyError."""
    try:
        return archive.getinfo(name)
    except KeyError:
        for info in archive.infolist():
            if _usual(info.filename) == _usual(name):
                return info
        raise


def has_member(archive: zipfile.ZipFile, name: str) -> bool:
    """Whether there is a member of this name."""
    try:
        member(archive, name)
    except KeyError:
        return False
    return True


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member's bytes: no more than its directory entry says, which is what was screened."""
    info = member(archive, name)
    if info.file_size > MAX_BYTES:
        raise DocumentRejected("archive_too_large")
    with archive.open(info) as stream:
        # In pieces: a read without a size expands everything before it compares the size in the directory.
        return b"".join(iter(lambda: stream.read(64 * 1024), b""))


# XML within limits and without its namespaces: the transitional and the strict form of Office differ in little else.

TRUE = {"1", "true"}  # values of an attribute
_LIMITS = {2, 114}  # libxml2's XML_ERR_NO_MEMORY and XML_ERR_RESOURCE_LIMIT (depth, length, entities)


@contextmanager
def xml_limits() -> Iterator[None]:
    """Distinguishes what libxml2 rejects for its size or depth from what is damaged."""
    try:
        yield
    except SyntaxError as error:
        if getattr(error, "code", None) in _LIMITS:
            raise DocumentRejected("too_complex") from error
        raise


def read_xml(archive: zipfile.ZipFile, name: str) -> Any:
    """The root element of a member, parsed as it expands; entities stay unresolved."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
    with archive.open(member(archive, name)) as stream, xml_limits():
        return etree.parse(stream, parser).getroot()


def stream_xml(archive: zipfile.ZipFile, name: str, *tags: str) -> Iterator[Any]:
    """The elements of these local names in a member as they are complete; each is gone when the next one comes."""
    from lxml import etree

    with archive.open(member(archive, name)) as source, xml_limits():
        options: dict[str, Any] = {"resolve_entities": False, "no_network": True, "remove_comments": True}
        for _, element in etree.iterparse(source, tag=[f"{{*}}{tag}" for tag in tags], **options):
            yield element
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]


def empty_element() -> Any:
    """An empty element."""
    from lxml import etree

    return etree.Element("nothing")


def local_name(element: Any) -> str:
    """The tag without its namespace; empty for what is no element."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def child_of(element: Any, *path: str) -> Any:
    for name in path:
        element = next((child for child in element if local_name(child) == name), None)
        if element is None:
            return None
    return element


def children_at(element: Any, *path: str) -> Iterator[Any]:
    """The children of the element that a path leads to; none where there is no such element."""
    found = child_of(element, *path)
    return iter(() if found is None else found)


def children_of(element: Any, name: str) -> Iterator[Any]:
    return (child for child in element if local_name(child) == name)


def descendants_of(element: Any, *names: str) -> Iterator[Any]:
    """Elements of these local names below `element` in document order."""
    return element.iter(*(f"{{*}}{name}" for name in names))  # type: ignore[no-any-return]


def value_of(element: Any, attribute: str = "val") -> str:
    if element is None:
        return ""
    return next((value for name, value in element.items() if name.rpartition("}")[2] == attribute), "")


def reference_of(element: Any, attribute: str = "id") -> str:
    """The value of an attribute that has a namespace, as references to other parts have."""
    return next((value for name, value in element.items() if name.endswith("}" + attribute)), "")


# Packages of Office Open XML: parts that refer to each other by relations.


def main_part(archive: zipfile.ZipFile, usual: str) -> str:
    """Name of the part that is the document. Raises `type_mismatch` where there is none."""
    part = related(archive, "").get("officeDocument", usual)
    if not has_member(archive, part):
        raise DocumentRejected("type_mismatch")
    return part


def expect(root: Any, name: str) -> Any:
    """A part's root element, if it is of this name. Raises `type_mismatch`: the package is of another kind."""
    if local_name(root) != name:
        raise DocumentRejected("type_mismatch")
    return root


def related(archive: zipfile.ZipFile, part: str) -> dict[str, str]:
    """Names of the parts that a part refers to, by the last word of the relation's type (one of each)."""
    return dict(relations(archive, part).values())


def relations(archive: zipfile.ZipFile, part: str) -> dict[str, tuple[str, str]]:
    """Last word of the type and target of each relation to a part that is there, by its id, in order."""
    folder, _, name = part.rpartition("/")
    source = f"{folder}/_rels/{name}.rels".lstrip("/")
    if not has_member(archive, source):
        return {}
    found: dict[str, tuple[str, str]] = {}
    for relation in read_xml(archive, source):
        target = relation.get("Target", "")
        target = target[1:] if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
        if relation.get("TargetMode") != "External" and has_member(archive, target):
            found[relation.get("Id") or str(len(found))] = relation.get("Type", "").rpartition("/")[2], target
    return found


# The container of old Office files (OLE2), which encrypted new ones use, too.

XLS = "application/vnd.ms-excel"
OLE2_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ENCRYPTED = "EncryptedPackage"
WORKBOOKS = ("Workbook", "Book")
# What is stored in such a file, its usual extension, and what a person can save it as.
_KINDS = {
    "WordDocument": ("an old Word document", ".doc", ".docx"),
    "PowerPoint Document": ("an old PowerPoint presentation", ".ppt", ".pptx"),
    "VisioDocument": ("a Visio drawing", ".vsd", ".pdf"),
    "__properties_version1.0": ("an Outlook message", ".msg", ".eml"),
    **dict.fromkeys(WORKBOOKS, ("an old Excel workbook", ".xls", ".xlsx")),
}
_STREAM = 2


def _entry(name: str) -> bytes:
    """How a directory entry of a stream begins."""
    encoded = name.encode("utf-16-le")
    return encoded.ljust(64, b"\0") + struct.pack("<HB", len(encoded) + 2, _STREAM)


_ENTRIES = re.compile(b"|".join(re.escape(_entry(name)) for name in (ENCRYPTED, *_KINDS)))


def ole2_streams(data: bytes | mmap.mmap) -> list[str]:
    """The streams in `data` that show what the file is, in the order of the directory."""
    return [match.group()[:64].decode("utf-16-le").rstrip("\0") for match in _ENTRIES.finditer(data)]


def ole2_refusal(found: list[str], extension: str = "") -> tuple[str, str]:
    """What a file with these streams is, or with this extension where none was found, and what to do about it."""
    for stream, (what, usual, better) in _KINDS.items():
        if stream in found or (not found and extension == usual):
            return f"{what} ({usual})", f"Save it as {better} first."
    return "an old Office file", "Save it in a newer format first."


def refuse_ole2(path: Path, read: Collection[str] = ()) -> None:
    """Raises `encrypted` or `unsupported_type` for a file in this container, unless it has a stream that is read."""
    with path.open("rb") as file:
        if file.read(len(OLE2_MAGIC)) != OLE2_MAGIC:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = ole2_streams(data)
    if ENCRYPTED in found:
        raise DocumentRejected("encrypted")
    if not {*found} & {*read}:
        what, advice = ole2_refusal(found)
        raise DocumentRejected("unsupported_type", f"This is {what}. {advice}")
