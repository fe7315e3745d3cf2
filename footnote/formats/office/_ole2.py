"""The container of old Office files (OLE2), in which new ones are kept too when they are encrypted."""

import mmap
import re
import struct
from collections.abc import Collection
from pathlib import Path

from footnote.errors import DocumentRejected

XLS = "application/vnd.ms-excel"
MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ENCRYPTED = "EncryptedPackage"
WORKBOOKS = ("Workbook", "Book")
# What is kept in such a file, its usual extension, and what a person can save it as.
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


def streams(data: bytes | mmap.mmap) -> list[str]:
    """The streams in `data` that tell what the file is, in the order of the directory."""
    return [match.group()[:64].decode("utf-16-le").rstrip("\0") for match in _ENTRIES.finditer(data)]


def refusal(found: list[str], extension: str = "") -> tuple[str, str]:
    """What a file with these streams is, or with this extension where none was found, and what to do about it."""
    for stream, (what, usual, better) in _KINDS.items():
        if stream in found or (not found and extension == usual):
            return f"{what} ({usual})", f"Save it as {better} first."
    return "an old Office file", "Save it in a newer format first."


def refuse(path: Path, read: Collection[str] = ()) -> None:
    """Raises `encrypted` or `unsupported_type` for a file in this container, unless it has a stream that is read."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = streams(data)
    if ENCRYPTED in found:
        raise DocumentRejected("encrypted")
    if not {*found} & {*read}:
        what, advice = refusal(found)
        raise DocumentRejected("unsupported_type", f"This is {what}. {advice}")
