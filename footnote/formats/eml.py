"""E-mail messages (.eml): who wrote when to whom, the text, and the names of what is attached.

What is attached is handed out as files, which become documents of their own.
"""

import codecs
import mimetypes
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

from footnote.errors import DocumentRejected
from footnote.formats import Block, html
from footnote.formats.sniffing import HEAD_BYTES, is_text, utf16_without_mark
from footnote.formats.txt import decode, read_bytes

MEDIA_TYPES: dict[str, tuple[str, ...]] = {"message/rfc822": (".eml",)}

MAX_FILES = 1_000
_HEADERS = ("Subject", "From", "To", "Cc", "Date")
_ENCRYPTED = {"multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"}
_HTML = "text/html"
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF8)


def parse(path: Path) -> Iterator[Block]:
    message = _read(path)
    subject = header(message, "Subject")
    above = (subject,) if subject else ()
    lines = [f"{name}: {header(message, name)}" for name in _HEADERS if header(message, name)]
    names = [_name(part, number) for number, part in enumerate(_files(message), start=1)]
    if names:
        lines.append(f"Attached: {', '.join(names)}")
    texts = [(part, _text(part)) for part in _texts(message)]
    if not lines and not any(text.strip() for _, text in texts):
        raise DocumentRejected("no_text")
    yield Block("\n".join(lines), heading=above)
    for part, text in texts:
        if part.get_content_type() != _HTML:
            yield Block(text, heading=above)
            continue
        for block in html.blocks(text):
            yield Block(block.text, heading=(*above, *block.heading))


def unpack(path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Names and bytes of what is attached, messages too, in order. Raises `archive_too_large` before the first."""
    parts = list(_files(_read(path)))
    if len(parts) > MAX_FILES:
        raise DocumentRejected("archive_too_large", f"More than {MAX_FILES:,} files are attached.")
    for number, part in enumerate(parts, start=1):
        yield _name(part, number), iter([_bytes(part)])


def header(message: Message, name: str) -> str:
    """A header's words; as they are written where they cannot be decoded."""
    from email import policy

    written = decode(str(message.get(name, "")).encode("utf-8", "surrogateescape"))
    try:
        found = str(policy.default.header_fetch_parse(name, written))
    except Exception:
        found = written  # addresses and dates that nobody foresaw
    return " ".join(found.split())


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


def _parts(part: Any) -> list[Any]:
    content = part.get_payload()
    return content if isinstance(content, list) else []


def _is_text(part: Any) -> bool:
    return (
        part.get_content_type() in {"text/plain", _HTML}
        and part.get_content_disposition() != "attachment"
        and not part.get_filename()
    )


def _texts(part: Any) -> Iterator[Any]:
    """The parts that are the message's text, in order; of alternatives the plain one, if it says something."""
    kind = part.get_content_type()
    if kind == "multipart/alternative":
        candidates = [list(_texts(child)) for child in _parts(part)]
        said = [texts for texts in candidates if any(_text(text).strip() for text in texts)]
        said.sort(key=lambda texts: any(text.get_content_type() == _HTML for text in texts))
        yield from said[0] if said else []
    elif kind == "multipart/related":
        yield from _texts(_parts(part)[0]) if _parts(part) else []
    elif part.is_multipart() and part.get_content_maintype() == "multipart":
        for child in _parts(part):
            yield from _texts(child)
    elif _is_text(part):
        yield part


def _files(part: Any) -> Iterator[Any]:
    """The parts that are attached. Pictures that a text shows within itself are not."""
    if part.get_content_maintype() == "multipart":
        related = part.get_content_type() == "multipart/related"
        for child in _parts(part):
            if not (related and child.get("Content-ID") and child.get_content_disposition() != "attachment"):
                yield from _files(child)
    elif not _is_text(part):
        yield part


def _text(part: Any) -> str:
    data = part.get_payload(decode=True) or b""
    declared = html.declared_encoding(data) if part.get_content_type() == _HTML else None
    try:
        return decode(data, part.get_content_charset() or declared)
    except DocumentRejected:
        return ""  # bytes that only claim to be text


def _bytes(part: Any) -> bytes:
    if part.is_multipart():
        return b"\n".join(child.as_bytes() for child in _parts(part))
    data: bytes = part.get_payload(decode=True) or b""
    return data


def _name(part: Any, number: int) -> str:
    name = part.get_filename()
    if name:
        return _decoded(name)
    if part.get_content_type() == "message/rfc822":
        subject = header(_parts(part)[0], "Subject") if _parts(part) else ""
        return f"{subject or f'message {number}'}.eml"
    return f"attachment {number}{mimetypes.guess_extension(part.get_content_type()) or ''}"


def _decoded(words: str) -> str:
    """A parameter's value, which many programs encode like a header although they should not."""
    from email.header import decode_header, make_header

    try:
        return str(make_header(decode_header(words)))
    except (ValueError, LookupError):
        return words
