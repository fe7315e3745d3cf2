"""Lines that hold Arabic or Hebrew in the order they are read, found from where their characters stand.

The order of characters in a PDF says little: programs write such lines in visual order, in logical order or run by
run, and PDFium reverses what it takes for right-to-left. What is drawn is the same in all of them, so a line is put
together from the boxes of its characters by the inverse of the Unicode bidirectional algorithm (UAX #9).
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, partial
from itertools import groupby
from typing import NamedTuple

from footnote.formats.pdf._boxes import Box

RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")

# Classes of the algorithm by one letter each: L, R (Hebrew), A (Arabic), N (digits), M (marks), C (common separators
# as in dates), E (plus and minus), T (percent, currencies); S is white space and O all else.
_KINDS = {"L": "L", "R": "R", "AL": "A", "EN": "N", "AN": "N", "NSM": "M", "CS": "C", "ES": "E", "ET": "T"}
_SPACES = {"WS", "S", "B"}
_LATIN_RUN = re.compile("(?:T+(?=N))?[LN](?:[^RA]*[LN])?(?:(?<=N)T+)?")
# After Hebrew, signs are part of a number; after Arabic, only the separators of dates and decimals are.
_NUMBER = {"R": re.compile("T*N+(?:[CE]N+)*T*"), "A": re.compile("N+(?:CN+)*")}
_PERCENT = "%‰٪"
_PHONE = 7  # digits; a plus before as many belongs to the number
_PHONE_NUMBER = re.compile(r"\+\d[\d./-]*\d")  # no number ends in a plus: such a one is drawn as it is read

_FINAL = frozenset("ךםןףץةى")  # letters that only end a word
_MIRRORED = dict(zip("()[]{}<>«»", ")(][}{><»«", strict=True))
_ENDING = frozenset(".,:;!?،؛؟")
_OPENING = frozenset("([{")
_CLOSING = frozenset(")]}")
_GAP = 0.2  # parts of the line's height between two words
_FARTHER = 0.5  # points; a mark between two letters belongs to the right one


class Glyph(NamedTuple):
    """A character, its offset in the page's text, where the pen was when it was drawn, and its box."""

    text: str
    offset: int
    origin: float
    box: Box


def is_right_to_left(text: str) -> bool:
    """Whether most letters of a text are written from right to left."""
    kinds = list(map(_kind, text))
    return kinds.count("R") + kinds.count("A") > kinds.count("L")


def is_backwards(lines: Sequence[Sequence[Glyph]]) -> bool:
    """Whether lines are drawn letter by letter from left to right, as programs do that know no other direction.

    Letters that only end a word then stand where words begin for those who read from the right.
    """
    balance = 0
    for line in lines:
        for rtl, word in groupby(_drawn(line), key=lambda glyph: _kind(glyph.text) in "RAM"):
            letters = [glyph.text for glyph in word]
            if rtl and len(letters) > 1:
                balance += (letters[-1] in _FINAL) - (letters[0] in _FINAL)
    return balance > 0


def logical(line: Sequence[Glyph], mostly: bool, backwards: bool) -> list[Glyph]:
    """The glyphs of a line as they are read. `mostly` is whether lines around it go from right to left."""
    shown = _drawn(_unmirrored(line))
    if backwards:
        found = shown
    elif _begins_right(shown, mostly):
        found = _inverse(shown)
    else:
        found = [glyph for rtl, run in _runs(shown) for glyph in (_inverse(run) if rtl else run)]
    return [
        glyph._replace(text=unicodedata.normalize("NFKC", glyph.text)) if glyph.text >= "\ufb1d" else glyph
        for glyph in found
    ]


def _begins_right(shown: list[Glyph], mostly: bool) -> bool:
    """Whether a line is read from the right: as most of its letters, as both ends, or as the lines around it."""
    text = "".join(glyph.text for glyph in shown)
    strong = [kind == "L" for kind in map(_kind, text) if kind in "RAL"]
    if is_right_to_left(text) or not (strong[0] or strong[-1]):
        return True
    return mostly and (text[0] in _ENDING or not (strong[0] and strong[-1]))


@cache
def _kind(character: str) -> str:
    kind = unicodedata.bidirectional(character)
    return "S" if kind in _SPACES else _KINDS.get(kind, "O")


def _unmirrored(line: Sequence[Glyph]) -> list[Glyph]:
    """The glyphs as they are drawn: PDFium turns brackets where it takes the text before them for right-to-left."""
    kinds = ["R" if _kind(glyph.text) == "A" else _kind(glyph.text) for glyph in line]
    runs = [kind for kind, _ in groupby("N" if kind in "NMCET" else kind for kind in kinds)]
    turned = runs.count("R") >= runs.count("L")
    found = []
    for glyph, kind in zip(line, kinds, strict=True):
        turned = kind == "R" if kind in "RL" else turned
        found.append(glyph._replace(text=_MIRRORED.get(glyph.text, glyph.text)) if turned else glyph)
    return found


def _drawn(line: Sequence[Glyph]) -> list[Glyph]:
    """The glyphs from left to right, marks left of their letters, one space wherever words are apart."""
    height = max((glyph.box.top - glyph.box.bottom for glyph in line), default=0.0)
    # PDFium's own spaces have no width and stand anywhere.
    solid = [glyph for glyph in line if glyph.box.right > glyph.box.left or not glyph.text.isspace()]
    letters = [glyph for glyph in solid if _kind(glyph.text) not in "MS"]
    found: list[Glyph] = []
    edge = None
    for glyph in sorted(solid, key=partial(_place, letters, {glyph.origin for glyph in letters})):
        if _kind(glyph.text) != "M":
            if edge is not None and glyph.origin - edge > _GAP * height:
                marks = next((number for number, one in enumerate(reversed(found)) if _kind(one.text) != "M"), 0)
                found.insert(len(found) - marks, Glyph(" ", *glyph[1:]))
            edge = glyph.box.right if edge is None else max(edge, glyph.box.right)
        if not (glyph.text.isspace() and (not found or found[-1].text.isspace())):
            found.append(glyph)
    if found and found[-1].text.isspace():
        found.pop()
    return found


def _place(letters: Sequence[Glyph], origins: set[float], glyph: Glyph) -> tuple[float, bool, float]:
    """A sort key. Letters of one ligature share their origin; a mark that is drawn by itself belongs to a letter."""
    if _kind(glyph.text) != "M":
        return glyph.origin, True, glyph.box.left
    if glyph.origin in origins or not letters:
        return glyph.origin, False, 0.0
    middle = (glyph.box.left + glyph.box.right) / 2
    nearest = min(letters, key=lambda one: max(one.box.left - middle, middle - one.box.right + _FARTHER, 0.0))
    return nearest.origin, False, 0.0


def _runs(shown: list[Glyph]) -> Iterator[tuple[bool, list[Glyph]]]:
    """Runs of a line that goes to the right: right-to-left ones, from their first letter to the last, and the rest."""
    position = 0
    strong = [index for index, glyph in enumerate(shown) if _kind(glyph.text) in "RAL"]
    for rtl, group in groupby(strong, key=lambda index: _kind(shown[index].text) != "L"):
        indices = list(group)
        start = indices[0]
        if rtl:
            while start > position and _kind(shown[start - 1].text) == "M":
                start -= 1
            yield False, shown[position:start]
            yield True, shown[start : indices[-1] + 1]
            position = indices[-1] + 1
    yield False, shown[position:]


def _inverse(shown: list[Glyph]) -> list[Glyph]:
    """Glyphs from the right, with Latin runs and numbers as they stand.

    Programs differ in what they call a bracket that opens to the left; the reading in which brackets match counts.
    """
    runs = list(_left_runs(shown))
    readings = []
    for mirrored in (_MIRRORED, {}):
        found = []
        for start, end in reversed(runs):
            run = shown[start:end]
            found += [run[0]._replace(text=mirrored.get(run[0].text, run[0].text))] if len(run) == 1 else run
        readings.append(found)
    return min(readings, key=_unmatched)


def _unmatched(glyphs: list[Glyph]) -> int:
    depth = wrong = 0
    for glyph in glyphs:
        if glyph.text in _OPENING:
            depth += 1
        elif glyph.text in _CLOSING:
            wrong += depth == 0
            depth = max(0, depth - 1)
    return wrong + depth


def _left_runs(shown: list[Glyph]) -> Iterator[tuple[int, int]]:
    """Where runs start and end that are read to the right; glyphs between them are runs of their own."""
    kinds = "".join(_kind(glyph.text) for glyph in shown)
    position = 0
    for match in _LATIN_RUN.finditer(kinds):
        for start, end in _parts(shown, kinds, match.start(), match.end()):
            yield from ((index, index + 1) for index in range(position, start))
            yield start, end
            position = end
    yield from ((index, index + 1) for index in range(position, len(shown)))


def _parts(shown: list[Glyph], kinds: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A run without right-to-left letters as words that belong together: cut at brackets that it does not open."""
    depth = 0
    for index in range(start, end):
        depth += (shown[index].text in _OPENING) - (shown[index].text in _CLOSING)
        if depth < 0:
            yield from _words(shown, kinds, start, index)
            start, depth = index + 1, 0
    if depth > 0 and end < len(shown) and shown[end].text in _CLOSING:
        yield start, end + 1
    elif start < end:
        yield from _words(shown, kinds, start, end)


def _words(shown: list[Glyph], kinds: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Latin words with what is between them, or each number by itself."""
    match = _LATIN_RUN.search(kinds, start, end)
    if match and "L" in match[0]:
        yield match.span()
        return
    begin = max(0, start - 1)  # the sign before a run is none of it
    for phone in _PHONE_NUMBER.finditer("".join(glyph.text for glyph in shown[:end]), begin):
        if sum(map(str.isdigit, phone[0])) >= _PHONE:
            yield from _numbers(shown, kinds, start, max(start, phone.start()))
            yield phone.span()
            start = phone.end()
    yield from _numbers(shown, kinds, start, end)


def _numbers(shown: list[Glyph], kinds: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Each number by itself, with its signs."""
    before = re.search("[RA]", kinds[end:])
    for match in _NUMBER[before[0] if before else "R"].finditer(kinds, start, end):
        first, last = match.span()
        if last < len(shown) and shown[last].text in _PERCENT:
            last += 1
        if first and shown[first - 1].text == "+" and last - first >= _PHONE:
            first -= 1
        yield first, last
