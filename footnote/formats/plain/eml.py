"""E-mail messages (.eml): sender, recipients, date, text, and the names of attachments.

Attachments are returned as files, which become documents of their own.
"""

import codecs
import mimetypes
import re
from base64 import b64decode, b64encode
from binascii import a2b_qp
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import Message
from functools import partial
from pathlib import Path
from typing import Any

from footnote.errors import DocumentRejected
from footnote.formats import Block
from footnote.formats.markup import html, rtf
from footnote.formats.plain._charsets import is_text, wide_without_mark
from footnote.formats.plain._tnef import SIGNATURE, Attachment, Packed, unpack_tnef
from footnote.formats.plain.txt import decode, read_bytes
from footnote.formats.sniffing import HEAD_BYTES

MEDIA_TYPES: dict[str, tuple[str, ...]] = {"message/rfc822": (".eml",)}


# The parts of a message: which are its text, which are attached, and what their headers say.

HTML = "text/html"
_ENCODED_WORD = re.compile(r"=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?\s]*)\?=")
_ONE = r"=\?[^?\s]+\?[bBqQ]\?[^?\s]*\?="
_ENCODED = re.compile(rf"(?:{_ONE}\s*(?==\?))*{_ONE}")  # a run of them


def decode_headers(message: Message) -> None:
    """Makes text of headers with bytes that are not ASCII, which the library gives up on, by the body's charset."""
    for part in message.walk():
        declared = part.get_content_charset()
        for name, value in list(part.raw_items()):
            if not str(value).isascii():
                part.replace_header(name, decode(str(value).encode("utf-8", "surrogateescape"), declared))


def header(message: Message, name: str) -> str:
    """A header's words; as they are written where they cannot be decoded."""
    from email import policy

    written = _in_utf8(str(message.get(name, "")))
    try:
        found = str(policy.default.header_fetch_parse(name, written))
    except Exception:
        found = written  # addresses and dates that the library cannot parse
    return " ".join(found.split())


def _in_utf8(written: str) -> str:
    """A header whose encoded words are all in UTF-8: the library knows only the charsets as standards have them.

    Neighbours are read as one, for many programs cut a character in two.
    """
    return _ENCODED.sub(lambda found: f"=?utf-8?b?{b64encode(_words(found[0]).encode()).decode()}?=", written)


def _words(encoded: str) -> str:
    """The text of encoded words that follow each other."""
    runs: list[tuple[str, bytearray]] = []
    for charset, coding, content in _ENCODED_WORD.findall(encoded):
        if not runs or runs[-1][0] != charset.lower():
            runs.append((charset.lower(), bytearray()))
        runs[-1][1].extend(_unwrapped(coding, content))
    return "".join(decode(bytes(data), charset) for charset, data in runs)


def _unwrapped(coding: str, content: str) -> bytes:
    if coding in "bB":
        return b64decode(content + "=" * (-len(content) % 4))
    return a2b_qp(content, header=True)


def _parts(part: Any) -> list[Any]:
    content = part.get_payload()
    return content if isinstance(content, list) else []


def _is_text(part: Any) -> bool:
    return (
        part.get_content_type() in {"text/plain", HTML}
        and part.get_content_disposition() != "attachment"
        and not part.get_filename()
    )


def text_parts(part: Any) -> Iterator[Any]:
    """The parts that are the message's text, in order; of alternatives the plain one, if it says something."""
    kind = part.get_content_type()
    if kind == "multipart/alternative":
        candidates = [list(text_parts(child)) for child in _parts(part)]
        said = [texts for texts in candidates if any(text_of(text).strip() for text in texts)]
        said.sort(key=lambda texts: any(text.get_content_type() == HTML for text in texts))
        yield from said[0] if said else []
    elif kind == "multipart/related":
        yield from text_parts(_parts(part)[0]) if _parts(part) else []
    elif part.is_multipart() and part.get_content_maintype() == "multipart":
        for child in _parts(part):
            yield from text_parts(child)
    elif _is_text(part):
        yield part


def attached(part: Any) -> Iterator[Any]:
    """The parts that are attached. Pictures that a text shows within itself are not."""
    if part.get_content_maintype() == "multipart":
        related = part.get_content_type() == "multipart/related"
        for child in _parts(part):
            if not (related and child.get("Content-ID") and child.get_content_disposition() != "attachment"):
                yield from attached(child)
    elif not _is_text(part):
        yield part


def text_of(part: Any) -> str:
    """The text of one of the `text_parts`, with its markup; none if its bytes are no text."""
    data = part.get_payload(decode=True) or b""
    try:
        return decode(data, part.get_content_charset())
    except DocumentRejected:
        return ""  # bytes that only claim to be text


def bytes_of(part: Any) -> bytes:
    """What is attached, as a file has it; of a message, the message itself."""
    if part.is_multipart():
        return b"\n".join(child.as_bytes() for child in _parts(part))
    data: bytes = part.get_payload(decode=True) or b""
    return data


def name_of(part: Any, number: int) -> str:
    """The name of what is attached; one is made up, with its `number`, for what has none."""
    name = part.get_param("filename", None, "content-disposition") or part.get_param("name")
    if isinstance(name, tuple):
        charset, _, value = name
        return decode(value.encode("latin-1", "replace"), charset)
    if name:
        return _decoded(name)
    if part.get_content_type() == "message/rfc822":
        subject = header(_parts(part)[0], "Subject") if _parts(part) else ""
        return f"{subject or f'message {number}'}.eml"
    return f"attachment {number}{mimetypes.guess_extension(part.get_content_type()) or ''}"


def _decoded(words: str) -> str:
    """A parameter's value, which many programs encode like a header although they should not."""
    return _ENCODED.sub(lambda found: _words(found[0]), words)


# What Outlook packs into `winmail.dat`, as the parts of an ordinary message.

_TYPES = {"application/ms-tnef", "application/vnd.ms-tnef"}
_NAME = "winmail.dat"
_ENDING = ".dat"  # of bytes of no type: `winmail(1).dat`, `ATT00001.dat`


def unpacked(part: Any) -> Packed | None:
    """What an attachment holds if it is such a package."""
    if part.is_multipart():
        return None
    kind, name = part.get_content_type(), name_of(part, 0).lower()
    unnamed = kind == "application/octet-stream" and name.endswith(_ENDING)
    if not (kind in _TYPES or name == _NAME or unnamed):
        return None
    data = bytes_of(part)
    return unpack_tnef(data) if data.startswith(SIGNATURE) else None


def body(packed: Packed) -> Iterator[Block]:
    """The text of the package: plain, or else from its HTML or its RTF."""
    if packed.body.strip():
        yield Block(packed.body)
        return
    try:
        if packed.html:
            yield from html.blocks(decode(packed.html, packed.html_encoding or None))
        elif packed.rtf:
            yield from rtf.blocks(packed.rtf)
    except DocumentRejected:
        packed.damaged = True


def attachments(packed: Packed) -> list[tuple[str, Callable[[], bytes]]]:
    """Names and bytes of its files; a message within becomes a file of its own. Pictures of the text do not count."""
    found: list[tuple[str, Callable[[], bytes]]] = []
    for number, each in enumerate(packed.attachments, start=1):
        name = each.name.replace("\\", "/").rpartition("/")[2].strip()
        if each.message:
            found.append((f"{name or f'message {number}'}.eml", partial(_message, each)))
        elif each.data and not each.hidden:
            found.append((name or f"attachment {number}", partial(_bytes, each)))
    return found


def _bytes(attachment: Attachment) -> bytes:
    return attachment.data


def _message(attachment: Attachment) -> bytes:
    """A message whose only content is the package that it was."""
    from email.encoders import encode_base64
    from email.header import Header

    message = Message()
    message["Subject"] = Header(unpack_tnef(attachment.message).subject or attachment.name, "utf-8").encode()
    message["Content-Type"] = f'application/ms-tnef; name="{_NAME}"'
    message["Content-Disposition"] = f'attachment; filename="{_NAME}"'
    message.set_payload(attachment.message)
    encode_base64(message)
    return message.as_bytes()


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
    """The message, by the parser's older policy: the newer one parses a header again at each access."""
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
