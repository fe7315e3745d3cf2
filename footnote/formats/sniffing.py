"""What a file is, told from its first bytes; the name only decides between kinds of text."""

import codecs
import re
from pathlib import PurePath

from footnote.errors import Invalid, Unsupported
from footnote.formats import modules, supported

HEAD_BYTES = 64 * 1024
OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

_KNOWN_BINARY = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"II*\x00": "a TIFF image",
    b"MM\x00*": "a TIFF image",
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a zip archive or an Office file",
    b"PK\x05\x06": "an empty zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x7fELF": "a program",
    b"{\\rtf": "a rich-text (RTF) file",
    b"%!PS": "a PostScript file",
    OLE2: "an old Office file",
}
# The controls that text has: tab, line feed, form feed, carriage return, and shift and escape of ISO-2022.
_CONTROLS = bytes(set(range(32)) - {9, 10, 12, 13, 14, 15, 27})
# Possessive, or a file of nothing but comments would take exponential time.
_HTML = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*+)*+<(?:!doctype\s+html|html|head|body)\b", re.I | re.S)


def utf16_without_mark(head: bytes) -> str | None:
    """`utf-16-le` or `utf-16-be` when the bytes are Western text in it: nearly every second byte is NUL."""
    half = len(head) // 2
    if half < 2:
        return None
    even, odd = head[0 : 2 * half : 2].count(0), head[1 : 2 * half : 2].count(0)
    if odd > half * 0.4 and even < half * 0.05:
        return "utf-16-le"
    if even > half * 0.4 and odd < half * 0.05:
        return "utf-16-be"
    return None


def is_text(head: bytes) -> bool:
    """Whether bytes read as text in some encoding; a character cut off at the end does no harm."""
    if head.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or utf16_without_mark(head):
        return True
    controls = len(head) - len(head.translate(None, _CONTROLS))
    # Real text files carry a stray NUL or control now and then; images and archives are a tenth controls.
    return controls <= len(head) // 50


def _accepted() -> str:
    extensions = sorted({suffix for found in supported().values() for suffix in found[:1]})
    return "Accepted are " + ", ".join(extensions) + " and other text files."


def _binary_type(head: bytes) -> str | None:
    for module in modules():
        recognise = getattr(module, "recognise", None)
        found: str | None = recognise(head) if recognise else None
        if found:
            return found
    return None


def _text_type(head: bytes, extension: str) -> str:
    if extension:
        for media_type, extensions in supported().items():
            if extension in extensions and media_type.startswith("text/"):
                return media_type
    return "text/html" if _HTML.match(head[:4096]) else "text/plain"


def sniff(head: bytes, filename: str) -> str:
    """The media type of a file from its first `HEAD_BYTES` and its name.

    Raises `Invalid("empty_file")`, `Invalid("type_mismatch")` when the name promises a type we read and the
    content is none, and `Unsupported("unsupported_type")`, which says what is accepted.
    """
    if not head:
        raise Invalid("empty_file")
    extension = PurePath(filename).suffix.lower()
    found = _binary_type(head)
    if found:
        return found
    if head.startswith(OLE2):
        # Word wraps a password-protected .docx in the container of the old formats; its parser can say so.
        if extension == ".docx":
            return DOCX
        raise Unsupported(
            "unsupported_type", "Old or encrypted Office files are not supported; save a document as .docx."
        )
    looks_like = next((name for magic, name in _KNOWN_BINARY.items() if head.startswith(magic)), None)
    promised = next((kind for kind, suffixes in supported().items() if extension in suffixes), None)
    if looks_like is None and is_text(head):
        if promised is None or promised.startswith("text/"):
            return _text_type(head, extension)
        looks_like = "plain text"
    if promised is not None:
        raise Invalid("type_mismatch", f"The name ends in {extension}, but the content is {looks_like or 'not'}.")
    what = f"This is {looks_like}. " if looks_like else ""
    raise Unsupported("unsupported_type", f"{what}This type of file is not supported. {_accepted()}")
