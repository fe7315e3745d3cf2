"""E-mail messages (.eml): who wrote when to whom, the text, and the names of what is attached.

What is attached is handed out as files, which become documents of their own.
"""

import codecs
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import Message
from functools import partial
from pathlib import Path

from footnote.errors import DocumentRejected
from footnote.formats import Block
from footnote.formats.markup import html
from footnote.formats.plain._charsets import is_text, wide_without_mark
from footnote.formats.plain._mime import HTML, attached, bytes_of, decode_headers, header, name_of, text_of, text_parts
from footnote.formats.plain._packed_mail import attachments, body, unpacked
from footnote.formats.plain._tnef import Packed
from footnote.formats.plain.txt import decode, read_bytes
from footnote.formats.sniffing import HEAD_BYTES

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
    files, packed = _files(message)
    if files:
        lines.append(f"Attached: {', '.join(name for name, _ in files)}")
    texts = [(part, text_of(part)) for part in text_parts(message)]
    said = " ".join(" ".join(text for _, text in texts).split())
    bodies = [block for each in packed for block in body(each) if " ".join(block.text.split()) not in said]
    if not lines and not said and not bodies:
        raise DocumentRejected("no_text")
    damaged = sum(each.damaged for each in packed)
    yield Block("\n".join(lines), heading=above, notes={"packed_damaged": damaged} if damaged else {})
    for part, text in texts:
        found = html.blocks(text) if part.get_content_type() == HTML else [Block(text)]
        yield from (replace(block, heading=(*above, *block.heading)) for block in found)
    yield from (replace(block, heading=(*above, *block.heading)) for block in bodies)


def unpack(path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Names and bytes of what is attached, messages too, in order. Raises `archive_too_large` before the first."""
    files, _ = _files(_read(path))
    if len(files) > MAX_FILES:
        raise DocumentRejected("archive_too_large", f"More than {MAX_FILES:,} files are attached.")
    for name, read in files:
        yield name, iter([read()])


def _files(message: Message) -> tuple[list[tuple[str, Callable[[], bytes]]], list[Packed]]:
    """What is attached, by itself or packed into another attachment: names and bytes; and what else is packed."""
    files: list[tuple[str, Callable[[], bytes]]] = []
    packed: list[Packed] = []
    for number, part in enumerate(attached(message), start=1):
        found = unpacked(part)
        if found is None:
            files.append((name_of(part, number), partial(bytes_of, part)))
        else:
            packed.append(found)
            files += attachments(found)
    return files, packed


def _read(path: Path) -> Message:
    """The message, by the parser's older policy: the newer one reads every header anew whenever it is asked."""
    from email import message_from_bytes

    data = read_bytes(path).lstrip()
    if data.startswith(_WIDE) or wide_without_mark(data[:HEAD_BYTES]):
        data = decode(data).encode()
    if not is_text(data[:HEAD_BYTES]):
        raise DocumentRejected("bad_encoding")
    message = message_from_bytes(data)
    decode_headers(message)
    if message.get_content_type() in _ENCRYPTED and message.get_param("smime-type") != "signed-data":
        raise DocumentRejected("encrypted")
    return message
