"""What Outlook packs into `winmail.dat`, as the parts of an ordinary message."""

from collections.abc import Callable, Iterator
from email.message import Message
from functools import partial
from typing import Any

from footnote.errors import DocumentRejected
from footnote.formats import Block
from footnote.formats.markup import html, rtf
from footnote.formats.plain._mime import bytes_of, name_of
from footnote.formats.plain._tnef import SIGNATURE, Attachment, Packed, unpack
from footnote.formats.plain.txt import decode

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
    return unpack(data) if data.startswith(SIGNATURE) else None


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
    message["Subject"] = Header(unpack(attachment.message).subject or attachment.name, "utf-8").encode()
    message["Content-Type"] = f'application/ms-tnef; name="{_NAME}"'
    message["Content-Disposition"] = f'attachment; filename="{_NAME}"'
    message.set_payload(attachment.message)
    encode_base64(message)
    return message.as_bytes()
