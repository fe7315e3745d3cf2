"""Years and quarters that a text names, in the ways that reports write them. Pure."""

import re
from collections.abc import Iterator

_YEAR = r"(?:19|20)\d\d"
# "2019", "FY2019", "2023Q1", "Q22023"; not in a longer number, an amount or a fraction.
_WRITTEN = re.compile(rf"(?<![\d.,$€£¥])(?<!\b\d/)(?:(?<=[Qq][1-4])|(?<!\d))({_YEAR})(?![\d%°])(?![.,]\d)", re.I)
# "FY19", "'19", "1Q23", "Q1'23", "2018-19", "2018/19"
_SHORT = re.compile(
    rf"(?:\bFY ?'?|\bfiscal '|(?<![\w'])'|\b[1-4]Q'?|\bQ[1-4][ -]?'?)(\d\d)(?![\d%'])|\b({_YEAR})[-/](\d\d)(?!\d)", re.I
)
_NOUNS = re.compile(
    r"[ -](?:people|patients|persons|participants|mg|kg|g|km|m|ml|miles|metres|meters|dollars|euros|usd|eur)\b", re.I
)

NUMBERS_OF_QUARTERS = {
    "first": 1,
    "second": 2,
    "third": 3,
    "fourth": 4,
    "1st": 1,
    "2nd": 2,
    "3rd": 3,
    "4th": 4,
    "erstes": 1,
    "ersten": 1,
    "erste": 1,
    "zweites": 2,
    "zweiten": 2,
    "zweite": 2,
    "drittes": 3,
    "dritten": 3,
    "dritte": 3,
    "viertes": 4,
    "vierten": 4,
    "vierte": 4,
    "1.": 1,
    "2.": 2,
    "3.": 3,
    "4.": 4,
    "premier": 1,
    "deuxième": 2,
    "troisième": 3,
    "quatrième": 4,
    "1er": 1,
    "2e": 2,
    "3e": 3,
    "4e": 4,
    "primer": 1,
    "segundo": 2,
    "tercer": 3,
    "cuarto": 4,
    "primo": 1,
    "secondo": 2,
    "terzo": 3,
    "quarto": 4,
    "primeiro": 1,
    "terceiro": 3,
}
_QUARTER = re.compile(
    r"(?:(?<![A-Za-z\d])|(?<=\d{4})|(?<=FY\d\d))Q([1-4])(?![A-Za-z])(?!\d(?!\d{3}))|(?<![\w.])([1-4])Q(?=['\d]|\b)"
    rf"|(?<!\w)({'|'.join(map(re.escape, NUMBERS_OF_QUARTERS))})[ -](?:fiscal )?(?:quarter|quartal|quartals|trimestre)\b",
    re.I,
)


def years(text: str, *, asked: bool = False) -> Iterator[tuple[int, str, int]]:
    """`(start, as written, year)`; of what is `asked`, only what is no quantity."""
    for match in _WRITTEN.finditer(text):
        if not asked or not _NOUNS.match(text, match.end()):
            yield match.start(1), match[1], int(match[1])
    for match in _SHORT.finditer(text):
        number = match[1] or match[3]
        century = match[2][:2] if match[2] else "20" if int(number) < 70 else "19"
        yield match.start(), match[0].strip(), int(century + number)


def quarters(text: str) -> Iterator[tuple[int, str, int]]:
    """`(start, as written, 1 to 4)`."""
    for match in _QUARTER.finditer(text):
        digit = match[1] or match[2]
        yield match.start(), match[0], int(digit) if digit else NUMBERS_OF_QUARTERS[match[3].lower()]
