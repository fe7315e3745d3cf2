"""Finds a quote in the stored page.

Literally, or else without regard to what copying and typesetting change: white space, hyphens between letters,
ligatures, full and half widths, kinds of quotation marks and dashes, invisible characters. Letters, case, digits and
all other signs must be those of the page. No word may be missing: a quote with `...` that is not on the page is not
found.
"""

import math
import re
import unicodedata
from bisect import bisect_right
from functools import lru_cache

from footnote.text import INVISIBLE, UNSPACED, sentences

SHORTEST_QUOTE = 6  # characters: a short sentence in Chinese, more than a word like "the"
_FEWEST_LETTERS = 4

_LETTER = r"[^\W\d_]"
_DASH = "-\u2010-\u2015\u2212\ufe58\ufe63\uff0d"
# Blocks of characters that Unicode has for the sake of other encodings; the sound mark of half width joins its letter.
_COMPATIBLE = (
    "\u0132-\u0149\u017f\u01c4-\u01cc\u01f1-\u01f3\u2025\u2026\u203c\u2047-\u2049\u2100-\u2138\u2160-\u217f\u2e80-\u2fdf"
    "\u3131-\u318e\u3200-\u33ff\ufb00-\ufdff\ufe10-\ufe6f\ufe70-\ufefc\uff01-\uffee\U0001d400-\U0001d7ff"
)
_FOLDED = re.compile(
    rf"(?P<joined>(?<={_LETTER})[{INVISIBLE}]*[{_DASH}\u00ad][{INVISIBLE}]*\s*(?={_LETTER})"
    rf"|(?<=[{UNSPACED}])\s+(?=[{UNSPACED}])|[{INVISIBLE}]+)"
    rf"|(?P<dash>[{_DASH}](?:\s*\n\s*)?)"
    r"|(?P<space>[^\S ]\s*| \s+)"
    r"|(?P<double>[“”„‟«»″〝〞＂])|(?P<single>[‘’‚‛‹›′`´＇])"
    rf"|(?P<other>[\uff66-\uff9d][\uff9e\uff9f]|[{_COMPATIBLE}])"
)
_AS = {"joined": "", "dash": "-", "space": " ", "double": '"', "single": "'"}
_MEANT = ("<circle>", "<sub>", "<super>", "<fraction>")  # a number in such a form is another one
_TRIMMED = " \n\t\"'“”‘’«»….,;:"


def locate(quote: str, text: str, near: tuple[int, int] | None = None) -> tuple[int, int] | None:
    """`(start, end)` of the quote in `text`, of the characters as the text has them; first looked for within `near`.

    A quote neither begins nor ends within a word or a number. None for a quote as short as a letter or a word: most
    texts contain it, so it supports nothing.
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
        start, stop = _place(at, starts, places)[0], _place(at + len(needle) - 1, starts, places)[1]
        if _whole(text, start, stop):
            found = found or (start, stop)
            if begin <= start and stop <= end:
                return start, stop
        at = folded.find(needle, at + 1)
    return found


@lru_cache(maxsize=64)
def _fold(text: str) -> tuple[str, list[int], list[tuple[int, int]]]:
    """The text without what copying changes, in pieces: where each begins in it, and its place in the text.

    A place is a start, and the number of characters that the piece stands for; 0 if the piece is unchanged.
    """
    pieces: list[str] = []
    starts: list[int] = []
    places: list[tuple[int, int]] = []
    length = 0

    def add(piece: str, start: int, stands_for: int) -> None:
        nonlocal length
        if piece:
            pieces.append(piece)
            starts.append(length)
            places.append((start, stands_for))
            length += len(piece)

    done = 0
    for match in _FOLDED.finditer(text):
        add(text[done : match.start()], done, 0)
        if match.lastgroup == "other":
            add(_plain(match[0]), match.start(), len(match[0]))
        else:
            add(_AS[match.lastgroup or ""], match.start(), 1)
        done = match.end()
    add(text[done:], done, 0)
    return "".join(pieces), starts, places


def _plain(form: str) -> str:
    """What a ligature or a width stands for; the form itself where it means something."""
    return form if unicodedata.decomposition(form[0]).startswith(_MEANT) else unicodedata.normalize("NFKC", form)


def _place(at: int, starts: list[int], places: list[tuple[int, int]]) -> tuple[int, int]:
    """Start and end in the text of the folded character, or of what it is a part of."""
    piece = bisect_right(starts, at) - 1
    start, stands_for = places[piece]
    if stands_for:
        return start, start + stands_for
    start += at - starts[piece]
    return start, start + 1


_IN_WORD = re.compile(rf"[^\W{UNSPACED}_]{{2}}|\d[.,'’]\d|\d[^\W_]|[^\W_]\d")
_INVISIBLE = re.compile(f"[{INVISIBLE}]+")
_AROUND = 16  # characters among which two visible ones are looked for
_SIGN = re.compile(rf"(?:\A|[^\w])[{_DASH}+.]\Z")


def _whole(text: str, start: int, end: int) -> bool:
    """Whether no word or number is cut: `15` is not in `150`, nor in `1.15` or `-15`."""
    if text[start].isdecimal() and _SIGN.search(text[max(0, start - 2) : start]):
        return False
    return not (_cut(text, start) or _cut(text, end))


def _cut(text: str, at: int) -> bool:
    """Whether a cut before `text[at]` divides a word or a number."""
    before, behind = _seen(text[max(0, at - _AROUND) : at])[-2:], _seen(text[at : at + _AROUND])[:2]
    around = before[-1:] + behind[:1], before + behind[:1], before[-1:] + behind
    return bool(before and behind) and any(map(_IN_WORD.fullmatch, around))


def _seen(text: str) -> str:
    return _INVISIBLE.sub("", text)


_QUOTED = re.compile(r"[\"“„«「](?P<words>[^\"“”„«»「」]{6,600})[\"”“»」]")
_FIGURE = re.compile(r"\d[\d.,]*\d|\d")
FEWEST_QUOTED = 3  # words: fewer in quotation marks are a name or a term


def quoted(text: str) -> list[str]:
    """What is in quotation marks, the last first."""
    found = [match["words"].strip() for match in _QUOTED.finditer(text)]
    return [words for words in reversed(found) if len(words.split()) >= FEWEST_QUOTED or not words.isascii()]


@lru_cache(maxsize=256)
def best_sentence(claim: str, text: str) -> str:
    """The sentence of `text` that shares most with the claim, for a marker that came without a quote.

    Figures of the claim count double.
    """
    wanted, figures = set(sentences.stems(claim)), set(_FIGURE.findall(claim))

    def shared(sentence: _Sentence) -> float:
        _, _, stems, its_figures = sentence
        return (len(wanted & stems) + len(figures & its_figures)) / math.sqrt(1 + len(stems))

    start, end, *_ = max(_sentences(text), key=shared, default=(0, len(text)))
    return text[start:end]


_Sentence = tuple[int, int, frozenset[str], frozenset[str]]


@lru_cache(maxsize=64)
def _sentences(text: str) -> list[_Sentence]:
    """Start and end of each, its stems and its figures."""
    return [
        (start, end, frozenset(sentences.stems(text[start:end])), frozenset(_FIGURE.findall(text, start, end)))
        for start, end in sentences.spans(text)
    ]


def widened(text: str, start: int, end: int) -> list[str]:
    """What is in `text` from `start` to `end`, with the sentence after it, with the one before it, and with both."""
    spans = sentences.spans(text)
    behind = next((high for low, high in spans if low >= end), end)
    before = next((low for low, high in reversed(spans) if high <= start), start)
    return [text[start:behind], text[before:end], text[before:behind]]
