"""The type of a file by its first bytes; its name only decides between types that these leave open."""

import re
from pathlib import PurePath

from footnote.errors import Invalid, Unsupported
from footnote.formats import module_for, modules, supported
from footnote.formats.office import _package
from footnote.formats.plain._charsets import has_nuls, is_text

HEAD_BYTES = 64 * 1024
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

ARCHIVE = "application/zip"
_ZIP = b"PK\x03\x04"
_KNOWN_BINARY = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"II*\x00": "a TIFF image",
    b"MM\x00*": "a TIFF image",
    b"\x1f\x8b": "a gzip archive",
    b"PK\x05\x06": "an empty zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x7fELF": "a program",
    b"%!PS": "a PostScript file",
}
_KNOWN_ZIPS = {
    "visio/": "a Visio drawing (.vsdx)",
    "index/": "an Apple iWork document",
    "androidmanifest.xml": "an Android package",
    "meta-inf/manifest.mf": "a Java archive",
}
_KNOWN_DECLARED = {
    "application/vnd.oasis.opendocument.graphics": "an OpenDocument drawing (.odg)",
}
# Members that Office files and books begin with, whatever their kind.
_PACKAGES = ("[content_types].xml", "_rels/", "docprops/", "meta-inf/", "mimetype")
# Possessive, or a file of nothing but comments would take exponential time.
_HTML = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*+)*+<(?:!doctype\s+html|html|head|body)\b", re.I | re.S)


def _accepted() -> str:
    extensions = sorted({suffix for found in supported().values() for suffix in found[:1]})
    return "Accepted are " + ", ".join(extensions) + " and other text files."


def _promised(extension: str) -> str | None:
    """The media type that a name with this extension stands for."""
    return next((kind for kind, suffixes in supported().items() if extension in suffixes), None)


def _is_text_format(media_type: str) -> bool:
    module = module_for(media_type)
    return not hasattr(module, "recognise") and not hasattr(module, "MEMBERS")


def _recognised(head: bytes, by: str) -> str | None:
    for module in modules():
        recognise = getattr(module, by, None)
        found: str | None = recognise(head) if recognise else None
        if found:
            return found
    return None


def _recognised_late(head: bytes, promised: str | None) -> str | None:
    """Not for a text, which may speak of such a beginning."""
    text_expected = promised is None or _is_text_format(promised)
    return None if text_expected and is_text(head) else _recognised(head, "recognise_late")


def _binary_type(head: bytes, promised: str | None) -> str | None:
    """The media type of a file that is not text; the promised one decides if its beginning fits several."""
    found = _recognised(head, "recognise")
    if found:
        return found
    packed = promised is not None and hasattr(module_for(promised), "MEMBERS")
    if head.startswith(_ZIP):
        return _zip_type(head, promised, packed)
    if (
        head.startswith(_package.OLE2_MAGIC)
        and not _package.ole2_streams(head)
        and (packed or promised == _package.XLS)
    ):
        # The directory stands further back: the parser rejects it if it is another type or encrypted.
        return promised
    return None


def _zip_type(head: bytes, promised: str | None, packed: bool) -> str | None:
    declared = _package.declared_type(head)
    if declared:
        return declared if declared in supported() else None
    names = _package.member_names(head)
    if promised == ARCHIVE and "[content_types].xml" not in names:
        return ARCHIVE
    for name in names:
        for module in modules():
            if name.startswith(getattr(module, "MEMBERS", ())):
                return promised if promised in module.MEDIA_TYPES else next(iter(module.MEDIA_TYPES))
    if any(name.startswith(tuple(_KNOWN_ZIPS)) for name in names):
        return None
    if packed:
        return promised  # what identifies it stands further back; its parser rejects it if it is something else
    return ARCHIVE if promised is None and not any(name.startswith(_PACKAGES) for name in names) else None


def _refused(head: bytes, extension: str) -> tuple[str, str]:
    """The type of a file that no parser reads, and what to do about it, as far as either is known."""
    if head.startswith(_package.OLE2_MAGIC):
        return _package.ole2_refusal(_package.ole2_streams(head), extension)
    if head.startswith(_ZIP):
        declared, names = _package.declared_type(head), _package.member_names(head)
        known = (what for start, what in _KNOWN_ZIPS.items() if any(name.startswith(start) for name in names))
        what = _KNOWN_DECLARED.get(declared, f"a file of type {declared}") if declared else next(known, "a zip archive")
        return what, ""
    return next((what for magic, what in _KNOWN_BINARY.items() if head.startswith(magic)), ""), ""


def sniff(head: bytes, filename: str) -> str:
    """The media type of a file from its first `HEAD_BYTES` and its name.

    Raises `Invalid("empty_file")`, `Invalid("encrypted")`, `Invalid("bad_encoding")` for a text full of NULs,
    `Invalid("type_mismatch")` when the name promises a type we read and the content is none, and
    `Unsupported("unsupported_type")`, which says what is accepted.
    """
    if not head:
        raise Invalid("empty_file")
    extension = PurePath(filename).suffix.lower()
    promised = _promised(extension)
    found = _binary_type(head, promised)
    if found:
        return found
    if head.startswith(_package.OLE2_MAGIC) and _package.ENCRYPTED in _package.ole2_streams(head):
        raise Invalid("encrypted")
    what, advice = _refused(head, extension)
    found = None if what else _recognised_late(head, promised)
    if found:
        return found
    if not what and is_text(head):
        if promised in {None, _package.XLS}:  # programs export pages and text as .xls, for Excel opens them
            return "text/html" if _HTML.match(head[:4096]) else "text/plain"
        if promised and _is_text_format(promised):
            return promised
        what = "plain text"
    if promised is not None and _is_text_format(promised) and not what and has_nuls(head):
        raise Invalid("bad_encoding", "There are NUL bytes in the text. Save it as UTF-8 without them.")
    if promised is not None:
        message = f"The name ends in {extension}, but the content is {what or 'not'}. {advice}"
        raise Invalid("type_mismatch", message.strip())
    what = f"This is {what}. " if what else ""
    raise Unsupported("unsupported_type", f"{what}{advice or f'This type of file is not supported. {_accepted()}'}")
