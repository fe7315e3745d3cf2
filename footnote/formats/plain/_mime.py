"""The parts of a message: which are its text, which are attached, and what their headers say."""

import mimetypes
import re
from base64 import b64decode, b64encode
from binascii import a2b_qp
from collections.abc import Iterator
from email.message import Message
from typing import Any

from footnote.errors import DocumentRejected
from footnote.formats.plain.txt import decode

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
        found = written  # addresses and dates that nobody foresaw
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
        runs[-1][1].extend(_bytes(coding, content))
    return "".join(decode(bytes(data), charset) for charset, data in runs)


def _bytes(coding: str, content: str) -> bytes:
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
