"""Where a quote stands in the stored page.

As it is, or else with what copying and typesetting change left out of account: white space, hyphens between letters,
ligatures, kinds of quotation marks and dashes, unseen characters. Letters, case, digits and all other signs must be
those of the page. Words may not be left out: a quote with `...` that the page does not have is found nowhere.
"""

import math
import re
import unicodedata
from bisect import bisect_right
from functools import lru_cache

from footnote import sentences

SHORTEST_QUOTE = 6  # characters: a short sentence in Chinese, more than a word like "the"
_FEWEST_LETTERS = 4

# Scripts that put no space between words.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_LETTER = r"[^\W\d_]"
_DASH = "-\u2010-\u2015\u2212\ufe58\ufe63\uff0d"
_UNSEEN = "\u00ad\u200b-\u200d\u2060\ufeff"
_FOLDED = re.compile(
    rf"(?P<joined>(?<={_LETTER})[{_UNSEEN}]*[{_DASH}\u00ad][{_UNSEEN}]*\s*(?={_LETTER})"
    rf"|(?<=[{_UNSPACED}])\s+(?=[{_UNSPACED}])|[{_UNSEEN}]+)"
    rf"|(?P<dash>[{_DASH}](?:\s*\n\s*)?)"
    r"|(?P<space>[^\S ]\s*| \s+)"
    "|(?P<double>[“”„‟«»″〝〞＂])|(?P<single>[‘’‚‛‹›′`´＇])|(?P<other>[ﬀﬁﬂﬃﬄﬅﬆ…])"
)
_AS = {"joined": "", "dash": "-", "space": " ", "double": '"', "single": "'"}
_OTHER = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "…": "..."}
_TRIMMED = " \n\t\"'“”‘’«»….,;:"


def locate(quote: str, text: str, near: tuple[int, int] | None = None) -> tuple[int, int] | None:
    """`(start, end)` of the quote in `text`, of the characters as the text has them; first looked for within `near`.

    A quote neither begins nor ends within a word or a number. A letter or a word stands in every text and supports
    nothing, so it is found nowhere.
    """
    quote = unicodedata.normalize("NFC", quote).strip()
    begin, end = near or (0, len(text))
    for wanted in dict.fromkeys((quote, quote.strip(_TRIMMED))):
        if len(wanted) < SHORTEST_QUOTE or sum(map(str.isalnum, wanted)) < _FEWEST_LETTERS:
            continue
        for place in _literal(wanted, text, begin, end), _folded(wanted, text, begin, end):
            if place:
                return place
    return None


def _literal(wanted: str, text: str, begin: int, end: int) -> tuple[int, int] | None:
    for low, high in ((begin, end), (0, len(text))):
        start = text.find(wanted, low, high)
        while start >= 0:
            if _whole(text, start, start + len(wanted)):
                return start, start + len(wanted)
            start = text.find(wanted, start + 1, high)
    return None


def _folded(wanted: str, text: str, begin: int, end: int) -> tuple[int, int] | None:
    folded, starts, places = _fold(text)
    needle = _fold(wanted)[0]
    found = None
    at = folded.find(needle) if needle.strip() else -1
    while at >= 0:
        start, stop = _place(at, starts, places), _place(at + len(needle) - 1, starts, places) + 1
        if _whole(text, start, stop):
            found = found or (start, stop)
            if begin <= start and stop <= end:
                return start, stop
        at = folded.find(needle, at + 1)
    return found


@lru_cache(maxsize=64)
def _fold(text: str) -> tuple[str, list[int], list[tuple[int, bool]]]:
    """The text without what copying changes, in pieces: where each begins in it, and its place in the text.

    A place is a start, and whether the piece is as it was there.
    """
    pieces: list[str] = []
    starts: list[int] = []
    places: list[tuple[int, bool]] = []
    length = 0

    def add(piece: str, start: int, *, as_it_was: bool) -> None:
        nonlocal length
        if piece:
            pieces.append(piece)
            starts.append(length)
            places.append((start, as_it_was))
            length += len(piece)

    done = 0
    for match in _FOLDED.finditer(text):
        add(text[done : match.start()], done, as_it_was=True)
        kind = match.lastgroup or ""
        add(_OTHER[match[0]] if kind == "other" else _AS[kind], match.start(), as_it_was=False)
        done = match.end()
    add(text[done:], done, as_it_was=True)
    return "".join(pieces), starts, places


def _place(at: int, starts: list[int], places: list[tuple[int, bool]]) -> int:
    """Where in the text the folded character stands, or begins."""
    piece = bisect_right(starts, at) - 1
    start, as_it_was = places[piece]
    return start + at - starts[piece] if as_it_was else start


_IN_WORD = re.compile(rf"[^\W{_UNSPACED}_]{{2}}|\d[.,'’]\d|\d[^\W_]|[^\W_]\d")
_SIGN = re.compile(rf"(?:\A|[^\w])[{_DASH}+.]\Z")


def _whole(text: str, start: int, end: int) -> bool:
    """Whether no word or number is cut: `15` is not in `150`, nor in `1.15` or `-15`."""
    if text[start].isdecimal() and _SIGN.search(text[max(0, start - 2) : start]):
        return False
    return not (_cut(text, start) or _cut(text, end))


def _cut(text: str, at: int) -> bool:
    """Whether a cut before `text[at]` divides a word or a number."""
    around = text[max(0, at - 1) : at + 1] if 0 < at < len(text) else ""
    if _IN_WORD.fullmatch(around):
        return True
    places = (low for low in (at - 2, at - 1) if low >= 0 and low + 3 <= len(text))
    return any(_IN_WORD.fullmatch(text[low : low + 3]) for low in places)


@lru_cache(maxsize=256)
def best_sentence(claim: str, text: str) -> str:
    """The sentence of `text` that shares most with the claim, for a marker that came without a quote."""
    wanted = set(sentences.stems(claim))

    def shared(span: tuple[int, int]) -> float:
        found = set(sentences.stems(text[span[0] : span[1]]))
        return len(wanted & found) / math.sqrt(1 + len(found))

    start, end = max(sentences.spans(text), key=shared, default=(0, len(text)))
    return text[start:end]
