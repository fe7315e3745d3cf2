"""Names of encodings as browsers read them, and decoding as they do.

The labels are those of the WHATWG Encoding Standard; what it replaces for the safety of scripts is decoded here.
Python's codecs are stricter than what programs write: the error handler below fills in what they lack.
"""

import codecs
import re
import unicodedata
from functools import cache

_LABELS = {
    "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8 utf8mb4",
    "cp866": "866 cp866 csibm866 ibm866",
    "iso8859-2": "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2",
    "iso8859-3": "csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3",
    "iso8859-4": "csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4",
    "iso8859-5": "csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988",
    "iso8859-6": "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 iso-8859-6-e "
    "iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987",
    "iso8859-7": "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 iso_8859-7 "
    "iso_8859-7:1987 sun_eu_greek",
    "iso8859-8": "csiso88598e csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-ir-138 iso8859-8 iso88598 iso_8859-8 "
    "iso_8859-8:1988 visual csiso88598i iso-8859-8-i logical",
    "iso8859-10": "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6",
    "iso8859-13": "iso-8859-13 iso8859-13 iso885913",
    "iso8859-14": "iso-8859-14 iso8859-14 iso885914",
    "iso8859-15": "csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9",
    "iso8859-16": "iso-8859-16",
    "koi8-r": "cskoi8r koi koi8 koi8-r koi8_r",
    "koi8-u": "koi8-ru koi8-u",
    "mac_roman": "csmacintosh mac macintosh x-mac-roman",
    "cp874": "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874",
    "cp1250": "cp1250 windows-1250 x-cp1250",
    "cp1251": "cp1251 windows-1251 x-cp1251",
    "cp1252": "ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 "
    "iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252 x-user-defined",
    "cp1253": "cp1253 windows-1253 x-cp1253",
    "cp1254": "cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5 "
    "windows-1254 x-cp1254",
    "cp1255": "cp1255 windows-1255 x-cp1255",
    "cp1256": "cp1256 windows-1256 x-cp1256",
    "cp1257": "cp1257 windows-1257 x-cp1257",
    "cp1258": "cp1258 windows-1258 x-cp1258",
    "mac_cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "mac_latin2": "x-mac-ce mac-ce x-mac-centraleurroman",
    "mac_greek": "x-mac-greek",
    "mac_turkish": "x-mac-turkish",
    "gb18030": "chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk gb18030 euc-cn",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "euc_jp": "cseucpkdfmtjapanese euc-jp x-euc-jp",
    "iso2022_jp": "csiso2022jp iso-2022-jp",
    "cp932": "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
    "cp949": "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 "
    "windows-949",
    "iso2022_kr": "csiso2022kr iso-2022-kr",
    "hz": "hz-gb-2312",
    "utf-16-be": "unicodefffe utf-16be",
    "utf-16-le": "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le",
}
_CODECS = {label: codec for codec, labels in _LABELS.items() for label in labels.split()}
_SQUEEZED = {re.sub(r"[^a-z0-9]", "", label): codec for label, codec in _CODECS.items()}
_NUMBERED = re.compile(r"(?:x-?)?(?:windows|win|cp|ibm|ms|dos|oem)[-_ ]?(\d{3,5})")
_PAGES = {
    65001: "utf-8", 1200: "utf-16-le", 1201: "utf-16-be", 20127: "cp1252", 932: "cp932", 936: "gb18030",
    949: "cp949", 950: "big5hkscs", 1361: "johab", 51932: "euc_jp", 51936: "gb18030", 51949: "cp949", 54936: "gb18030",
    50220: "iso2022_jp", 50221: "iso2022_jp", 50222: "iso2022_jp", 50225: "iso2022_kr", 52936: "hz", 20866: "koi8-r",
    21866: "koi8-u", 28591: "cp1252", 28599: "cp1254", 10000: "mac_roman", 10006: "mac_greek", 10007: "mac_cyrillic",
    10029: "mac_latin2", 10079: "mac_iceland", 10081: "mac_turkish",
    **{28590 + part: f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 13, 15)},
}  # fmt: skip
_NO_CHARSETS = {"unicode-escape", "raw-unicode-escape", "idna", "punycode"}
# Within the first bytes: HTML and XML, style sheets, and sources in the way of Python and Emacs.
_DECLARED = re.compile(
    rb"<(?:meta|\?xml)[^>]*?(?:charset|encoding)\s*=\s*[\"']?\s*([\w:.-]+)|\A@charset \"([\w:.-]+)\""
    rb"|\A(?:[^\n]*\n)?[ \t]*(?:#|//|;|%|/\*)[^\n]*?coding[:=][ \t]*([\w.-]+)",
    re.I,
)
# What an ISO-2022-JP escape selects: ASCII and its Japanese form, half-width kana, two bytes a character.
_ESCAPE = re.compile(rb"\x1b(\([BJI]|\$[@B]|\$\(D)")


@cache
def codec_of(label: str) -> str | None:
    """Python's codec for the name that a file gives its encoding; None for a name that says nothing."""
    label = label.strip().strip("\"'").lower()
    known = _CODECS.get(label) or _SQUEEZED.get(re.sub(r"[^a-z0-9]", "", label))
    if known:
        return known
    if numbered := _NUMBERED.fullmatch(label):
        return codepage(int(numbered[1]))
    try:
        found = codecs.lookup(label).name
        return found if found not in _NO_CHARSETS and b"a".decode(found) == "a" else None
    except (LookupError, ValueError):
        return None


def declared_in(data: bytes) -> str | None:
    """The codec that a text declares; none of two bytes a character, in which the declaration could not be read."""
    match = _DECLARED.search(data[:4096])
    codec = codec_of(next(filter(None, match.groups())).decode("ascii")) if match else None
    return None if codec and codec.startswith("utf-16") else codec


def codepage(number: int) -> str | None:
    """The codec of a Windows code page."""
    name = _PAGES.get(number, f"cp{number}")
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None


def decoded(data: bytes, codec: str) -> str:
    """The text, with U+FFFD for undefined bytes."""
    return _iso2022_jp(data) if codec == "iso2022_jp" else data.decode(codec, "footnote")


def _iso2022_jp(data: bytes) -> str:
    """With the characters of vendors, which the codec lacks: each run as EUC-JP has it."""
    first, *rest = _ESCAPE.split(data)
    found = [first.decode("ascii", "footnote")]
    for escape, run in zip(rest[::2], rest[1::2], strict=True):
        if escape in {b"(B", b"(J"}:
            found.append(run.decode("ascii", "footnote"))
        else:
            before = {b"(I": b"\x8e", b"$(D": b"\x8f"}.get(escape, b"")
            # Lines end in ASCII although the escape back is missing.
            found += [
                line.decode("ascii", "footnote") if line.isspace() else _euc(line, before)
                for line in re.split(rb"([\r\n]+)", run)
            ]
    return "".join(found)


def _euc(run: bytes, before: bytes) -> str:
    size = 1 if before == b"\x8e" else 2
    high = bytes(byte | 0x80 for byte in run)
    marked = (before + high[at : at + size] for at in range(0, len(high), size))
    return b"".join(marked).decode("euc_jp", "footnote")


def _lenient(error: UnicodeError) -> tuple[str, int]:
    """How browsers decode bytes that Python's codecs refuse."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    at, codec = error.start, error.encoding.lower().replace("-", "_")
    first = error.object[at]
    if codec == "charmap" and 0x80 <= first < 0xA0:
        return chr(first), at + 1  # a control, which `clean` removes
    if codec == "euc_jp" and (pair := _shifted(error.object[at : at + 2])):
        return pair, at + 2
    # The trail byte is a character of its own if it is ASCII: a lost byte must not swallow a line's end.
    return "\ufffd", at + 1 if error.object[at + 1 : at + 2] < b"\x80" else max(at + 1, error.end)


def _shifted(pair: bytes) -> str:
    """A character of EUC-JP by way of Shift_JIS, in which the vendors' rows are known."""
    if len(pair) < 2 or min(pair) < 0xA1 or max(pair) > 0xFE:
        return ""
    row, cell = pair[0] - 0xA1, pair[1] - 0xA1
    lead = row // 2 + (0x81 if row < 62 else 0xC1)
    trail = cell + 0x9F if row % 2 else cell + (0x40 if cell < 63 else 0x41)
    return bytes((lead, trail)).decode("cp932", "ignore")


codecs.register_error("footnote", _lenient)


# Whether bytes are text, decided before they are decoded.

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
    # In the wrong order the bytes that change most distinguish blocks of characters: there are more of them.
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
