"""TNEF, the format of `winmail.dat`: the body and the attachments of a message that Outlook packed. [MS-OXTNEF]

Lengths are believed only as far as there are bytes. A file that is cut short or lies is read up to there, and marked.
"""

import codecs
from dataclasses import dataclass, field
from struct import Struct, error

SIGNATURE = b"\x78\x9f\x3e\x22"

_OBJECT = Struct("<BHHI")  # level, name, type, length
_CHECKSUM = 2
_BODY, _SUBJECT, _PROPERTIES, _CODEPAGE = 0x800C, 0x8004, 0x9003, 0x9007
_ATTACHMENT, _TITLE, _DATA, _ATTACHMENT_PROPERTIES = 0x9002, 0x8010, 0x800F, 0x9005
# Property ids of [MS-OXPROPS].
_P_SUBJECT, _P_BODY, _P_RTF, _P_HTML, _P_CODEPAGE = 0x0037, 0x1000, 0x1009, 0x1013, 0x3FDE
_P_DATA, _P_SHORT_NAME, _P_LONG_NAME, _P_SHOWN_NAME, _P_HIDDEN = 0x3701, 0x3704, 0x3707, 0x3001, 0x7FFE
_EMBEDDED = bytes.fromhex("0703020000000000c000000000000046")  # before a message within the message
# Bytes of a value by its type; the others have lengths of their own.
_SIZES = {0x02: 4, 0x03: 4, 0x04: 4, 0x0A: 4, 0x0B: 4, 0x05: 8, 0x06: 8, 0x07: 8, 0x14: 8, 0x40: 8, 0x48: 16}
_VARIABLE = {0x0D, 0x1E, 0x1F, 0x102}
_UNICODE, _SEVERAL, _NAMED = 0x1F, 0x1000, 0x8000
_CODEPAGES = {65001: "utf-8", 20127: "ascii", 1200: "utf-16-le", 20932: "euc_jp", 50220: "iso2022_jp", 51949: "euc_kr"}
_NUMBER = Struct("<I")
_PAIR = Struct("<HH")

_COMPRESSED, _PLAIN = b"LZFu", b"MELA"
_RTF_HEADER = 16
_WINDOW = 4096
_DICTIONARY = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans Serif"
    rb"SymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    + b"\r\n"
    + rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)


@dataclass
class Attachment:
    name: str = ""
    data: bytes = b""
    hidden: bool = False  # shown within the text

    @property
    def message(self) -> bytes:
        """The TNEF of a message within the message, nothing for a file."""
        inner = self.data[len(_EMBEDDED) :]
        return inner if self.data.startswith(_EMBEDDED) and inner.startswith(SIGNATURE) else b""


@dataclass
class Packed:
    """What is in the file; `damaged` if it ends early or does not hold together."""

    subject: str = ""
    body: str = ""
    html: bytes = b""
    html_encoding: str = ""
    rtf: bytes = b""
    attachments: list[Attachment] = field(default_factory=list)
    damaged: bool = False


def unpack_tnef(data: bytes) -> Packed:
    """Raises ValueError if the bytes are not TNEF."""
    if not data.startswith(SIGNATURE):
        raise ValueError("no TNEF")
    packed, encoding, position = Packed(), "cp1252", len(SIGNATURE) + 2
    while position < len(data):
        if position + _OBJECT.size > len(data):
            packed.damaged = True
            break
        _, name, _, length = _OBJECT.unpack_from(data, position)
        position += _OBJECT.size
        content = data[position : position + length]
        packed.damaged |= position + length > len(data)
        position += length + _CHECKSUM
        if name == _CODEPAGE and len(content) >= _NUMBER.size:
            encoding = _encoding(_NUMBER.unpack_from(content)[0])
        else:
            _take(packed, name, content, encoding)
    return packed


def _take(packed: Packed, name: int, content: bytes, encoding: str) -> None:
    attachment = packed.attachments[-1] if packed.attachments else Attachment()
    if name == _ATTACHMENT:
        packed.attachments.append(Attachment())
    elif name == _TITLE:
        attachment.name = attachment.name or _text(content, encoding)
    elif name == _DATA:
        attachment.data = content
    elif name == _BODY:
        packed.body = packed.body or _text(content, encoding)
    elif name == _SUBJECT:
        packed.subject = packed.subject or _text(content, encoding)
    elif name in {_PROPERTIES, _ATTACHMENT_PROPERTIES}:
        found: dict[int, tuple[int, bytes]] = {}
        packed.damaged |= not _read_properties(content, found)
        if name == _PROPERTIES:
            _describe(packed, found, encoding)
        else:
            _describe_attachment(attachment, found, encoding)


def _describe(packed: Packed, found: dict[int, tuple[int, bytes]], encoding: str) -> None:
    packed.subject = _string(found, _P_SUBJECT, encoding) or packed.subject
    packed.body = _string(found, _P_BODY, encoding) or packed.body
    kind, markup = found.get(_P_HTML, (0, b""))
    _, codepage = found.get(_P_CODEPAGE, (0, b""))
    declared = _encoding(_NUMBER.unpack_from(codepage)[0]) if len(codepage) >= _NUMBER.size else ""
    packed.html, packed.html_encoding = markup.rstrip(b"\0"), "utf-16-le" if kind == _UNICODE else declared
    _, compressed = found.get(_P_RTF, (0, b""))
    if compressed:
        try:
            packed.rtf = decompressed(compressed)
        except ValueError:
            packed.damaged = True


def _describe_attachment(attachment: Attachment, found: dict[int, tuple[int, bytes]], encoding: str) -> None:
    names = (_string(found, name, encoding) for name in (_P_LONG_NAME, _P_SHORT_NAME, _P_SHOWN_NAME))
    attachment.name = next(filter(None, names), "") or attachment.name
    attachment.data = found.get(_P_DATA, (0, b""))[1] or attachment.data
    attachment.hidden = any(found.get(_P_HIDDEN, (0, b""))[1])


def _read_properties(data: bytes, found: dict[int, tuple[int, bytes]]) -> bool:
    """Collects type and first value of each property; whether all of them were there."""
    try:
        (count,) = _NUMBER.unpack_from(data)
        position = _NUMBER.size
        for _ in range(count):
            kind, name = _PAIR.unpack_from(data, position)
            position += _PAIR.size
            if name >= _NAMED:
                position = _behind_name(data, position)
            values, position = _values(data, kind, position)
            if values:
                found.setdefault(name, (kind & ~_SEVERAL, values))
    except (error, ValueError):
        return False
    return True


def _behind_name(data: bytes, position: int) -> int:
    """Where the value of a property begins that has a name: by a GUID, and a number or a text."""
    position += 16
    (is_text,) = _NUMBER.unpack_from(data, position)
    position += _NUMBER.size
    if not is_text:
        return position + _NUMBER.size
    (length,) = _NUMBER.unpack_from(data, position)
    return position + _NUMBER.size + _padded(length)


def _values(data: bytes, kind: int, position: int) -> tuple[bytes, int]:
    """The first value of a property, and where the next property begins."""
    several, kind = kind & _SEVERAL, kind & ~_SEVERAL
    if kind in _VARIABLE:
        (count,) = _NUMBER.unpack_from(data, position)
        position, first = position + _NUMBER.size, b""
        for number in range(count):
            (length,) = _NUMBER.unpack_from(data, position)
            position += _NUMBER.size
            if position + length > len(data):
                raise ValueError("a value reaches beyond its end")
            first = data[position : position + length] if number == 0 else first
            position += _padded(length)
        return first, position
    if kind not in _SIZES:
        raise ValueError("an unknown type")
    size, count = _SIZES[kind], 1
    if several:
        (count,) = _NUMBER.unpack_from(data, position)
        position += _NUMBER.size
        size = 2 if kind in {0x02, 0x0B} else size
    if position + size > len(data):
        raise ValueError("a value reaches beyond its end")
    return data[position : position + size], position + _padded(size * count)


def _padded(length: int) -> int:
    return -(-length // 4) * 4


def _string(found: dict[int, tuple[int, bytes]], name: int, encoding: str) -> str:
    kind, value = found.get(name, (0, b""))
    return _text(value, "utf-16-le" if kind == _UNICODE else encoding)


def _text(value: bytes, encoding: str) -> str:
    return value.decode(encoding, "replace").rstrip("\0")


def _encoding(codepage: int) -> str:
    name = _CODEPAGES.get(codepage) or (f"iso8859_{codepage - 28590}" if 28590 < codepage < 28606 else f"cp{codepage}")
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "cp1252"


def decompressed(data: bytes) -> bytes:
    """RTF as a message stores it. [MS-OXRTFCP] Raises ValueError for what is damaged."""
    if len(data) < _RTF_HEADER:
        raise ValueError("no header")
    magic, body = data[8:12], data[_RTF_HEADER:]
    size = int.from_bytes(data[4:8], "little")
    if magic == _PLAIN:
        return body[:size]
    if magic != _COMPRESSED:
        raise ValueError("an unknown compression")
    out = bytearray(_DICTIONARY)
    position = 0
    while position < len(body):
        flags, position = body[position], position + 1
        for bit in range(8):
            if not flags >> bit & 1:
                out += body[position : position + 1]
                position += 1
                continue
            pair = int.from_bytes(body[position : position + 2], "big")
            position += 2
            place, length = pair >> 4, (pair & 15) + 2
            written = len(out) % _WINDOW
            if place == written or position > len(body):
                return bytes(out[len(_DICTIONARY) :][:size])
            start = len(out) - (written - place) % _WINDOW
            for offset in range(length):
                out.append(out[start + offset] if 0 <= start + offset < len(out) else 0x20)
    return bytes(out[len(_DICTIONARY) :][:size])
