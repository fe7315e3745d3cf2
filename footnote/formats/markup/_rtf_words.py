"""The words of RTF 1.9: what they are cut from, what they stand for, and what they change."""

import re
from dataclasses import dataclass
from enum import Enum

from footnote.formats.plain._charsets import codepage

TOKEN = re.compile(
    rb"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,10})? ?|(?P<hex>(?:\\'[0-9a-fA-F]{2}){1,256})|\\(?P<symbol>.)"
    rb"|(?P<brace>[{}])|[\r\n]+|(?P<text>[^\\{}\r\n]+)|.",
    re.S,
)

_HEADING = re.compile(r"(?:heading (\d)|Title);", re.I)

CHARACTERS = {
    "line": "\n", "softline": "\n", "tab": "\t", "emdash": "\u2014", "endash": "\u2013", "emspace": " ",
    "enspace": " ", "qmspace": " ", "bullet": "\u2022", "lquote": "\u2018", "rquote": "\u2019", "ldblquote": "\u201c",
    "rdblquote": "\u201d", "nestcell": " | ", "nestrow": "\n", "zwj": "\u200d", "zwnj": "\u200c",
}  # fmt: skip
# The optional hyphen, \-, is not among them: it may break a word and does not show.
SYMBOLS = {b"~": "\u00a0", b"_": "\u2011", b"{": "{", b"}": "}", b"\\": "\\", b"\t": "\t"}
ENDS = {"par", "sect", "page", "cell", "row"}
# Groups whose content is not in the text; those that begin with \* are not either, but for the ones below.
SKIPPED = {
    "colortbl", "info", "pict", "nonshppict", "header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr",
    "footerf", "filetbl", "ftnsep", "ftnsepc", "ftncn", "aftnsep", "aftnsepc", "aftncn", "xe", "tc", "sp", "shprslt",
    "nonesttables", "template", "fldinst", "bkmkstart", "bkmkend", "atnid", "atnauthor", "listtext", "pntext",
}  # fmt: skip
MARKS = {"listtext", "pntext"}  # the number or bullet of an item
STARRED = {"shpinst", "do", "nesttableprops"}

# Of fonts; where the encoding is not here, the document's own counts.
CHARSETS: dict[int, str] = {
    77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gb18030", 136: "big5hkscs", 161: "cp1253",
    162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874",
    238: "cp1250", 254: "cp437", 255: "cp850",
}  # fmt: skip
DECLARED = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}


class Place(Enum):
    """What the text of a group is for."""

    TEXT = 0
    NOTE = 1
    FONTS = 2
    STYLES = 3
    SKIPPED = 4


PLACES = {"fonttbl": Place.FONTS, "stylesheet": Place.STYLES, "footnote": Place.NOTE}


@dataclass
class Group:
    """What holds until the group is closed."""

    place: Place = Place.TEXT
    encoding: str | None = None  # of the font; None where the document's counts
    fallbacks: int = 1  # characters behind a \\u for readers that do not know it
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
            self.fonts[self._number] = CHARSETS.get(number)
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
        elif word in DECLARED:
            self.encoding = DECLARED[word]
