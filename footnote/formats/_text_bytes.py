"""Whether bytes are text, told before they are decoded."""

import codecs

# The controls that text has: tab, line feed, form feed, carriage return, and shift and escape of ISO-2022.
_CONTROLS = bytes(set(range(32)) - {9, 10, 12, 13, 14, 15, 27})


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
