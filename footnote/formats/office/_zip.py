"""Zip archives that documents are kept in: told by their first bytes, screened by their directory, read in bounds."""

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from footnote.errors import DocumentRejected
from footnote.formats.office import _ole2

MAX_MEMBERS = 20_000
MAX_BYTES = 200 * 1024 * 1024
MAX_RATIO = 100
_RATIO_FROM_BYTES = 10 * 1024 * 1024  # repetitive XML of ordinary size compresses better than any limit

_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 0x1  # a flag of a member
_LOCAL_HEADER = re.compile(rb"PK\x03\x04.{4}(..).{16}(..)(..)", re.S)
_DECLARED = re.compile(rb"\s*(application/[a-z0-9.+-]+)")


def member_names(head: bytes) -> list[str]:
    """Names of the members whose local headers stand in a file's first bytes, in order, in lower case with slashes."""
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
    """A screened archive. What turns out damaged while it is read becomes `corrupt_file`.

    Raises `encrypted`, `archive_too_large`, and for an old Office file `unsupported_type`.
    """
    _ole2.refuse(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _screen(archive.infolist())
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, LookupError, ValueError, SyntaxError, OSError) as error:
        raise DocumentRejected("corrupt_file") from error


def _screen(members: list[zipfile.ZipInfo]) -> None:
    """Refuses archives that would expand beyond the limits, or whose members are no document's.

    Pictures and films, which hardly compress, do not count: nobody unpacks them.
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
    """The member of a name, in whatever case and with whatever slashes it is written. Raises KeyError."""
    try:
        return archive.getinfo(name)
    except KeyError:
        for info in archive.infolist():
            if _usual(info.filename) == _usual(name):
                return info
        raise


def has(archive: zipfile.ZipFile, name: str) -> bool:
    """Whether there is a member of this name."""
    try:
        member(archive, name)
    except KeyError:
        return False
    return True


def read(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member's bytes: no more than its directory entry says, which is what was screened."""
    info = member(archive, name)
    if info.file_size > MAX_BYTES:
        raise DocumentRejected("archive_too_large")
    with archive.open(info) as stream:
        # In pieces, for a read without a size expands all there is before it looks at the directory's word.
        return b"".join(iter(lambda: stream.read(64 * 1024), b""))
