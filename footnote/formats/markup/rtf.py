"""Rich text (.rtf): headings by style or outline level, lists, tables, footnotes at the end."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from itertools import takewhile
from pathlib import Path

from footnote.errors import DocumentRejected
from footnote.formats import Block, Headings
from footnote.formats.office import _tables
from footnote.formats.plain._charsets import codepage, decoded
from footnote.formats.plain.txt import read_bytes

MEDIA_TYPES: dict[str, tuple[str, ...]] = {"application/rtf": (".rtf",)}


# The words of RTF 1.9: what they are cut from, what they stand for, and what they change.

_TOKEN = re.compile(
    rb"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,10})? ?|(?P<hex>(?:\\'[0-9a-fA-F]{2}){1,256})|\\(?P<symbol>.)"
    rb"|(?P<brace>[{}])|[\r\n]+|(?P<text>[^\\{}\r\n]+)|.",
    re.S,
)

_HEADING = re.compile(r"(?:heading (\d)|Title);", re.I)

_CHARACTERS = {
    "line": "\n", "softline": "\n", "tab": "\t", "emdash": "\u2014", "endash": "\u2013", "emspace": " ",
    "enspace": " ", "qmspace": " ", "bullet": "\u2022", "lquote": "\u2018", "rquote": "\u2019", "ldblquote": "\u201c",
    "rdblquote": "\u201d", "nestcell": " | ", "nestrow": "\n", "zwj": "\u200d", "zwnj": "\u200c",
}  # fmt: skip
# The optional hyphen, \-, is not among them: it may break a word and does not show.
_SYMBOLS = {b"~": "\u00a0", b"_": "\u2011", b"{": "{", b"}": "}", b"\\": "\\", b"\t": "\t"}
_ENDS = {"par", "sect", "page", "cell", "row"}
# Groups whose content is not in the text; those that begin with \* are not either, but for the ones below.
_SKIPPED = {
    "colortbl", "info", "pict", "nonshppict", "header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr",
    "footerf", "filetbl", "ftnsep", "ftnsepc", "ftncn", "aftnsep", "aftnsepc", "aftncn", "xe", "tc", "sp", "shprslt",
    "nonesttables", "template", "fldinst", "bkmkstart", "bkmkend", "atnid", "atnauthor", "listtext", "pntext",
}  # fmt: skip
_MARKS = {"listtext", "pntext"}  # the number or bullet of an item
_STARRED = {"shpinst", "do", "nesttableprops"}

# Of fonts; where the encoding is not here, the document's own counts.
_CHARSETS: dict[int, str] = {
    77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gb18030", 136: "big5hkscs", 161: "cp1253",
    162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874",
    238: "cp1250", 254: "cp437", 255: "cp850",
}  # fmt: skip
_DECLARED = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}


class RtfPlace(Enum):
    """The purpose of a group's text."""

    TEXT = 0
    NOTE = 1
    FONTS = 2
    STYLES = 3
    SKIPPED = 4


_PLACES = {"fonttbl": RtfPlace.FONTS, "stylesheet": RtfPlace.STYLES, "footnote": RtfPlace.NOTE}


@dataclass
class RtfGroup:
    """The state until the group is closed."""

    place: RtfPlace = RtfPlace.TEXT
    encoding: str | None = None  # of the font; None where the document's counts
    fallbacks: int = 1  # characters after a \\u for readers that do not know it
    is_hidden: bool = False
    style: int = 0
    level: int | None = None
    is_item: bool = False
    in_table: bool = False

    def format(self, word: str, number: int | None) -> None:
        match word:
            case "pard":
                self.style, self.level, self.is_item, self.in_table = 0, None, False, False
            case "s":
                self.style = number or 0
            case "outlinelevel":
                self.level = number + 1 if number is not None and number < 9 else None
            case "ls":
                self.is_item = number != 0
            case "intbl":
                self.in_table = True
            case "v" | "deleted":
                self.is_hidden = number != 0
            case "uc":
                self.fallbacks = number or 0


class Definitions:
    """The encodings of the document and its fonts, and the heading levels of styles."""

    def __init__(self) -> None:
        self.encoding = "cp1252"
        self.default_font = 0
        self.fonts: dict[int, str | None] = {}
        self.levels: dict[int, int] = {}
        self._number, self._name = 0, ""  # of what is being defined

    def begin(self) -> None:
        self._number, self._name = 0, ""

    def define_font(self, word: str, number: int) -> None:
        if word == "f":
            self._number = number
        elif word == "fcharset":
            self.fonts[self._number] = _CHARSETS.get(number)
        elif word == "cpg":
            self.fonts[self._number] = codepage(number)

    def define_style(self, word: str, number: int) -> None:
        if word in {"s", "cs", "ds", "ts"}:
            self._number = number if word == "s" else -1
        elif word == "outlinelevel" and number < 9:
            self.levels[self._number] = number + 1

    def name_style(self, text: bytes) -> None:
        self._name += text.decode("latin-1")
        if match := _HEADING.match(self._name):
            self.levels.setdefault(self._number, int(match[1] or 0))

    def declare(self, word: str, number: int) -> None:
        if word == "deff":
            self.default_font = number
        elif word == "ansicpg":
            self.encoding = codepage(number) or self.encoding
        elif word in _DECLARED:
            self.encoding = _DECLARED[word]


# RTF as paragraphs: groups and what holds in them, encodings, tables, notes.

_DEEPEST = 10_000


@dataclass(frozen=True)
class Paragraph:
    """`level` is that of a heading, 0 for a title; `kind` is `item`, `row`, `note` or nothing.

    A row has its cells, and whether it is marked as a header.
    """

    text: str
    level: int | None
    kind: str
    cells: tuple[str, ...] = ()
    header: bool = False


class Reader:
    """Takes tokens; what they complete is in `finished`."""

    def __init__(self) -> None:
        self.finished: list[Paragraph] = []
        self.outer: list[RtfGroup] = []
        self._group = RtfGroup()
        self._is_new = self._is_starred = False  # the next word says what the group is for
        self._defined = Definitions()
        self._bytes, self._passing = bytearray(), 0  # not yet decoded; still to be passed over
        self._text: list[str] = []
        self._note: list[str] = []
        self._cells: list[str] = []
        self._is_marked = False  # as an item of a list
        self._is_header = False  # the row

    def take(self, token: re.Match[bytes]) -> None:
        word, number, code, symbol, brace, text = token.groups()
        if code or text:
            self._take_bytes(bytes.fromhex(code.replace(b"\\'", b"").decode()) if code else text)
        if token.lastgroup in {None, "hex", "text"}:
            return
        self._decode()
        self._passing = 0
        if brace:
            self._open_group() if brace == b"{" else self._close_group()
        elif symbol == b"*":
            self._is_starred = True
        elif symbol in _SYMBOLS:
            self._put(_SYMBOLS[symbol])
        elif word or symbol in {b"\n", b"\r"}:
            name = word.decode() if word else "par"
            if self._is_new:
                self._set_place(name)
            self._take_word(name, int(number) if number else None)

    def _take_bytes(self, data: bytes) -> None:
        passed = min(self._passing, len(data))
        self._passing -= passed
        self._is_new = False
        if self._group.place in {RtfPlace.TEXT, RtfPlace.NOTE}:
            self._bytes += data[passed:]
        elif self._group.place == RtfPlace.STYLES:
            self._defined.name_style(data)

    def _decode(self) -> None:
        if self._bytes:
            self._put(decoded(bytes(self._bytes), self._group.encoding or self._defined.encoding))
            self._bytes.clear()

    def _put(self, text: str) -> None:
        if not self._group.is_hidden and self._group.place in {RtfPlace.TEXT, RtfPlace.NOTE}:
            (self._text if self._group.place == RtfPlace.TEXT else self._note).append(text)

    def _open_group(self) -> None:
        if len(self.outer) == _DEEPEST:
            raise DocumentRejected("too_complex")
        self.outer.append(self._group)
        self._group = replace(self._group)
        self._is_new, self._is_starred = True, False
        self._defined.begin()

    def _close_group(self) -> None:
        closed, self._is_new = self._group, False
        self._group = self.outer.pop() if self.outer else RtfGroup()
        if closed.place == RtfPlace.NOTE != self._group.place:
            self._finish("".join(self._note), "note")
            self._note = []

    def _set_place(self, word: str) -> None:
        """What the first word of a group says that its text is."""
        starred, self._is_new, self._is_starred = self._is_starred, False, False
        self._is_marked |= word in _MARKS and self._group.place == RtfPlace.TEXT
        if word in _SKIPPED or (starred and word not in _STARRED):
            self._group.place = RtfPlace.SKIPPED
        elif self._group.place == RtfPlace.TEXT:
            self._group.place = _PLACES.get(word, RtfPlace.TEXT)

    def _take_word(self, word: str, number: int | None) -> None:
        if self._group.place == RtfPlace.FONTS:
            self._defined.define_font(word, number or 0)
        elif self._group.place == RtfPlace.STYLES:
            self._defined.define_style(word, number or 0)
        elif self._group.place == RtfPlace.SKIPPED:
            return
        elif word == "u":
            self._put(chr((number or 0) % 0x10000))
            self._passing = self._group.fallbacks
        elif word in _CHARACTERS:
            self._put(_CHARACTERS[word])
        elif word in _ENDS:
            self._end(word)
        elif word in {"trowd", "trhdr"}:
            self._is_header = word == "trhdr"
        elif word in {"f", "plain"}:
            font = self._defined.default_font if word == "plain" else number or 0
            self._group.encoding = self._defined.fonts.get(font)
            self._group.is_hidden &= word == "f"
        else:
            self._group.format(word, number)
            self._defined.declare(word, number or 0)

    def _end(self, word: str) -> None:
        if word == "cell":
            self._cells.append(" ".join("".join(self._text).split()))
            self._text = []
        elif word == "row":
            self._end_row()
        elif self._group.place == RtfPlace.NOTE or self._group.in_table:
            self._put("\n")
        else:
            self.end_paragraph()

    def end_paragraph(self) -> None:
        self._end_row()
        text, self._text = "".join(self._text), []
        level = self._defined.levels.get(self._group.style) if self._group.level is None else self._group.level
        is_item = self._is_marked or self._group.is_item
        self._is_marked = False
        self._finish(text, "item" if is_item and level is None else "", level)

    def _end_row(self) -> None:
        cells, self._cells = self._cells, []
        if any(cells):
            cells = list(map(_whole, cells))
            self.finished.append(Paragraph(" | ".join(cells), None, "row", tuple(cells), self._is_header))

    def _finish(self, text: str, kind: str, level: int | None = None) -> None:
        text = _whole(text).strip()
        if text:
            self.finished.append(Paragraph(text, level, kind))


def _whole(text: str) -> str:
    """Characters beyond the first plane come as two surrogates."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def recognise(head: bytes) -> str | None:
    return "application/rtf" if head.lstrip().startswith(b"{\\rtf") else None


def parse(path: Path) -> Iterator[Block]:
    yield from blocks(read_bytes(path))


def blocks(data: bytes) -> Iterator[Block]:
    """A block per paragraph; items and rows that follow each other share one."""
    headings = Headings()
    lines: list[Paragraph] = []
    notes: list[str] = []
    shared = ""
    for paragraph in _paragraphs(data):
        if paragraph.kind == "note":
            notes.append(paragraph.text)
            continue
        if lines and not (shared and shared == paragraph.kind):
            yield _block(lines, headings.path)
            lines = []
        shared = paragraph.kind
        if paragraph.level is not None:
            headings.begin(paragraph.level, " ".join(paragraph.text.split()))
        lines.append(paragraph)
    yield _block(lines, headings.path)
    yield Block("\n".join(notes), heading=("Footnotes",))


def _block(lines: list[Paragraph], heading: tuple[str, ...]) -> Block:
    """Paragraphs of one kind: items or rows that follow each other, or one of another kind."""
    if lines and lines[0].kind == "row":
        headed = sum(1 for _ in takewhile(lambda row: row.header, lines))
        rows = [[_tables.Cell(cell) for cell in row.cells] for row in lines]
        text, columns = _tables.table_text(rows, headed)
        return Block(text, heading=heading, columns=columns)
    return Block("\n".join(f"- {one.text}" if one.kind == "item" else one.text for one in lines), heading=heading)


def _paragraphs(data: bytes) -> Iterator[Paragraph]:
    """Raises `type_mismatch` for what is no RTF, `corrupt_file` if the document is not closed."""
    if not recognise(data[:1024]):
        raise DocumentRejected("type_mismatch")
    reader = Reader()
    position = data.index(b"{")
    while match := _TOKEN.match(data, position):
        position = match.end()
        if match["word"] == b"bin":
            position += max(int(match["number"] or 0), 0)
        reader.take(match)
        yield from reader.finished
        reader.finished.clear()
        if not reader.outer:
            break
    if reader.outer:
        raise DocumentRejected("corrupt_file", "The file ends in the middle.")
    reader.end_paragraph()
    yield from reader.finished
