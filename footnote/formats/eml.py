"""E-mail messages (.eml): who wrote when to whom, the text, and the names of what is attached.

What is attached is handed out as files, which become documents of their own.
"""

import codecs
from collections.abc import Iterator
from dataclasses import replace
from email.message import Message
from pathlib import Path

from footnote.errors import DocumentRejected
from footnote.formats import Block, html
from footnote.formats._mime import HTML, attached, bytes_of, header, name_of, text_of, text_parts
from footnote.formats._text_bytes import is_text, utf16_without_mark
from footnote.formats.sniffing import HEAD_BYTES
from footnote.formats.txt import decode, read_bytes

MEDIA_TYPES: dict[str, tuple[str, ...]] = {"message/rfc822": (".eml",)}

MAX_FILES = 1_000
_HEADERS = ("Subject", "From", "To", "Cc", "Date")
_ENCRYPTED = {"multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"}
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF8)


def parse(path: Path) -> Iterator[Block]:
    message = _read(path)
    subject = header(message, "Subject")
    above = (subject,) if subject else ()
    lines = [f"{name}: {header(message, name)}" for name in _HEADERS if header(message, name)]
    names = [name_of(part, number) for number, part in enumerate(attached(message), start=1)]
    if names:
        lines.append(f"Attached: {', '.join(names)}")
    texts = [(part, text_of(part)) for part in text_parts(message)]
    if not lines and not any(text.strip() for _, text in texts):
        raise DocumentRejected("no_text")
    yield Block("\n".join(lines), heading=above)
    for part, text in texts:
        if part.get_content_type() != HTML:
            yield Block(text, heading=above)
            continue
        for block in html.blocks(text):
            yield replace(block, heading=(*above, *block.heading))


def unpack(path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Names and bytes of what is attached, messages too, in order. Raises `archive_too_large` before the first."""
    parts = list(attached(_read(path)))
    if len(parts) > MAX_FILES:
        raise DocumentRejected("archive_too_large", f"More than {MAX_FILES:,} files are attached.")
    for number, part in enumerate(parts, start=1):
        yield name_of(part, number), iter([bytes_of(part)])


def _read(path: Path) -> Message:
    """The message, by the parser's older policy: the newer one reads every header anew whenever it is asked."""
    from email import message_from_bytes

    data = read_bytes(path).lstrip()
    if data.startswith(_WIDE) or utf16_without_mark(data[:HEAD_BYTES]):
        data = decode(data).encode()
    if not is_text(data[:HEAD_BYTES]):
        raise DocumentRejected("bad_encoding")
    message = message_from_bytes(data)
    if message.get_content_type() in _ENCRYPTED and message.get_param("smime-type") != "signed-data":
        raise DocumentRejected("encrypted")
    return message
