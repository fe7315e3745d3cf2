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

_ORDINALS = {
    1: "first 1st erstes ersten erste 1. premier 1er primer primo primeiro",
    2: "second 2nd zweites zweiten zweite 2. deuxième 2e segundo secondo",
    3: "third 3rd drittes dritten dritte 3. troisième 3e tercer terzo terceiro",
    4: "fourth 4th viertes vierten vierte 4. quatrième 4e cuarto quarto",
}
_NUMBERS = {word: number for number, words in _ORDINALS.items() for word in words.split()}
_QUARTER = re.compile(
    r"(?:(?<![A-Za-z\d])|(?<=\d{4})|(?<=FY\d\d))Q([1-4])(?![A-Za-z])(?!\d(?!\d{3}))|(?<![\w.])([1-4])Q(?=['\d]|\b)"
    rf"|(?<!\w)({'|'.join(map(re.escape, _NUMBERS))})[ -](?:fiscal )?(?:quarter|quartals?|trimestre)\b",
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
        yield match.start(), match[0], int(digit) if digit else _NUMBERS[match[3].lower()]
