"""Zip archives: no document themselves; each file within becomes one."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

from footnote.errors import DocumentRejected
from footnote.formats import Block
from footnote.formats.office import _package

MEDIA_TYPES = {"application/zip": (".zip",)}
MEMBERS = ()

MAX_FILES = 1_000
MAX_BYTES = 1024 * 1024 * 1024
_PIECE = 256 * 1024
# What file managers leave in archives, and lock files of Office.
_CLUTTER = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini", "~$")
_UTF8_NAME = 0x800  # a flag of a member


def parse(path: Path) -> Iterator[Block]:
    """An archive has no text of its own."""
    with _package.opened(path):
        yield from ()


def unpack(path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Names with their folders, and bytes, in the archive's order. Raises `archive_too_large` before the first."""
    with _package.opened(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir() and not _clutter(member.filename)]
        if len(members) > MAX_FILES or sum(member.file_size for member in members) > MAX_BYTES:
            limits = f"{MAX_FILES:,} files or {MAX_BYTES // 1024**2:,} MiB"
            raise DocumentRejected("archive_too_large", f"There are more than {limits} in the archive.")
        for member in members:
            yield _name(member), _pieces(archive, member)


def _clutter(name: str) -> bool:
    last = name.rpartition("/")[2]
    return name.startswith(_CLUTTER[0]) or last.startswith(_CLUTTER[1:])


def _name(member: zipfile.ZipInfo) -> str:
    """Many programs write UTF-8 without saying so; Python then reads it as code page 437."""
    if member.flag_bits & _UTF8_NAME:
        return member.filename
    try:
        return member.filename.encode("cp437").decode()
    except UnicodeError:
        return member.filename


def _pieces(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(member) as stream:
        yield from iter(lambda: stream.read(_PIECE), b"")
