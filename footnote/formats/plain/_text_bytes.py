"""Whether bytes are text, told before they are decoded."""

import codecs
import unicodedata

# The controls that text has: tab, line feed, form feed, carriage return, and shift and escape of ISO-2022.
_CONTROLS = bytes(set(range(32)) - {9, 10, 12, 13, 14, 15, 27})


_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_PRINTABLE = b"\t\n\r" + bytes(range(32, 127))
_LOOKED_AT = 4096  # bytes
_LEAST = 16  # bytes; fewer are characters of something by chance
_OTHER = {"Cc", "Cn", "Co", "Cs"}


def wide_without_mark(head: bytes) -> str | None:
    """UTF-16 or UTF-32 when the bytes are text in it: nearly every second is NUL, or they are text in nothing else."""
    half = len(head) // 2
    if half < 2 or _is_ascii_with_nuls(head):
        return None
    even, odd = head[0 : 2 * half : 2].count(0), head[1 : 2 * half : 2].count(0)
    if odd > half * 0.4 and even < half * 0.05:
        return "utf-16-le"
    if even > half * 0.4 and odd < half * 0.05:
        return "utf-16-be"
    if len(head) < _LEAST or _controls(head) <= len(head) // 50:
        return None
    read = {encoding: _read(head[:_LOOKED_AT], encoding) for encoding in _WIDE}
    likely = [encoding for encoding, text in read.items() if text and _is_written(text)]
    # In the wrong order the bytes that change most tell blocks of characters apart: there are more of them.
    return min(likely, key=lambda encoding: len({ord(each) >> 8 for each in read[encoding]}), default=None)


def _is_ascii_with_nuls(head: bytes) -> bool:
    """Whether pairs of ASCII letters would be taken for ideographs."""
    nuls = head.count(0)
    others = len(head.translate(None, _PRINTABLE)) - nuls
    return others * 50 <= len(head) and 5 * nuls < 2 * len(head)


def _read(head: bytes, encoding: str) -> str:
    """The text; none if it is not in this encoding. A character that is cut off at the end does no harm."""
    size = 4 if "32" in encoding else 2
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head[: len(head) // size * size])
    except UnicodeError:
        return ""


def _is_written(text: str) -> bool:
    """Whether nearly all characters are ones that people write."""
    others = sum(unicodedata.category(each) in _OTHER and each not in "\t\n\r\f" for each in text)
    return others * 50 <= len(text)


def _controls(head: bytes) -> int:
    return len(head) - len(head.translate(None, _CONTROLS))


def is_text(head: bytes) -> bool:
    """Whether bytes read as text in some encoding; a character cut off at the end does no harm."""
    if head.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or wide_without_mark(head):
        return True
    # Real text files carry a stray NUL or control now and then; images and archives are a tenth controls.
    return _controls(head) <= len(head) // 50


def has_nuls(head: bytes) -> bool:
    """Whether bytes would be text but for NULs in them."""
    rest = head.replace(b"\0", b"")
    return 0 < len(rest) < len(head) and is_text(rest)
