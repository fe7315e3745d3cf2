"""Whether the quotes of a sentence say what it says: its numbers, units, dates and names, and its negation.

A sentence may use other words than its quotes. What it must share with them are values and names: a number that only
the sentence has was made up, or belongs to something else. Where that is not clear, the sentence is believed.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, lru_cache

from footnote.extracts.units import MONTHS
from footnote.extracts.values import Value, agrees, dates, unit_line, values
from footnote.text import sentences
from footnote.text.function_words import FUNCTION_WORDS, language

UNIT_LINES_WITHIN = 4000  # characters before a quote in which `in millions` holds for it
LONGEST, MOST_VALUES = 2000, 60  # characters and values of a sentence that are looked at
SMALL = 12  # bare numbers up to this one may count what a quote lists
HEDGED = Decimal("0.1")  # how far `about` reaches, as a share of the value
SHARED = 0.8  # of a sentence's words that a quote must hold to be the same statement
FEWEST_SHARED = 3  # words; if it holds fewer, it must hold all

_COMMA_IS_DECIMAL = "1,5 2,5"  # a context for a second reading of `1.234`
_DATED = ("year", "date", "quarter")
_MARKS = re.compile(r"(?:\s*\[\d+\])+|[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}")
_BULLET = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,3}[.)])\s+")
_HEDGE = re.compile(
    r"(?:\b(?:about|around|approximately|approx\.?|roughly|nearly|almost|some|circa|ca\.?|over|under|above|below|than|least"
    r"|most|up to|close to|rund|etwa|ungefähr|fast|knapp|über|unter|als|mindestens|höchstens|bis zu|environ|près de"
    r"|presque|plus de|moins de|autour de|unos|unas|alrededor de|cerca de|casi|de|hasta|aproximadamente)|[~≈><])\s*\Z",
    re.I,
)
_BROKEN_VALUE = re.compile(r"(?<=\d)\n(?=[^\W\d])")  # a line of a page that ends within `6.3 million`
_LABEL = re.compile(r"\b[A-Z]\w+\s\Z")
_CODE = re.compile(r"\d+[A-Za-z]+")


@dataclass(frozen=True)
class QuotedText:
    """A quote `page[start:end]` and its context: file, headings, column names."""

    page: str
    start: int
    end: int
    heading: str = ""

    @cached_property
    def around(self) -> str:
        """The sentences, or the rows of a table, that the quote is in."""
        low, high = max(0, self.start - 1000), self.end + 1000
        begin, end = self.start, self.end
        for first, last in sentences.spans(self.page[low:high]):
            if first + low < self.end and self.start < last + low:
                begin, end = min(begin, first + low), max(end, last + low)
        return self.page[begin:end]

    @cached_property
    def values(self) -> list[Value]:
        """The values with and without the unit line above the quote, for each decimal notation."""
        read = f"{_BROKEN_VALUE.sub(' ', self.around)}\n{self.heading}"
        return [each for context in (self._units, *_readings(self.page[:6000])) for each in values(read, context)]

    @cached_property
    def dates(self) -> list[Value]:
        return _dates(self.around) + _dates(self.heading)

    @property
    def _units(self) -> str:
        above = self.page[max(0, self.start - UNIT_LINES_WITHIN) : self.start].splitlines()
        lines = [self.heading, *reversed(above), self.page[self.end : self.end + UNIT_LINES_WITHIN]]
        return next((each for each in lines if unit_line(each).scale != 1), "")

    @property
    def everything(self) -> str:
        return f"{self.heading}\n{self.page}"


@dataclass(frozen=True)
class Mismatch:
    """Values and names of a sentence that are not in its quotes; empty if a quote contradicts it."""

    missing: tuple[str, ...] = ()


def mismatch(sentence: str, evidence: Sequence[QuotedText], surroundings: str = "") -> Mismatch | None:
    """None if the sentence agrees with its quotes. `surroundings`: question and passages, to tell names from words."""
    said = _BULLET.sub("", _MARKS.sub(" ", sentence[:LONGEST])).strip()
    if any(_laid_out(said) in _laid_out(each.around) for each in evidence):
        return None
    missing = [*_missing_values(said, evidence), *_missing_names(said, evidence, surroundings)]
    if missing:
        return Mismatch(tuple(dict.fromkeys(missing)))
    return Mismatch() if _is_denied(said, evidence) else None


def _laid_out(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(" .")


# Values


def _missing_values(said: str, evidence: Sequence[QuotedText]) -> Iterable[str]:
    read = [each for context in _readings(said) for each in values(said, context)[:MOST_VALUES]]
    for start, end in dict.fromkeys((each.start, each.end) for each in read):
        if not any(_stands(said, each, evidence) for each in read if each.start == start):
            yield said[start:end].strip()


def _readings(text: str) -> tuple[str, ...]:
    """Contexts in which its numbers are read: only English never writes a comma for the decimal point."""
    return ("",) if language(text) == "en" else ("", _COMMA_IS_DECIMAL)


def _stands(said: str, value: Value, evidence: Sequence[QuotedText]) -> bool:
    if value.kind in _DATED:
        return _date_stands(value, said, evidence)
    there = [each for one in evidence for each in one.values]
    if any(agrees(value, each) or _is_sterling(value, each) for each in there):
        return True
    before, written = said[: value.start], said[value.start : value.end]
    literal = re.compile(rf"(?<![\w.,]){re.escape(written.strip())}(?![\w]|[.,]\d)")
    if any(literal.search(f"{one.around}\n{one.heading}") for one in evidence):
        return True
    if _HEDGE.search(before[-20:]) and any(_is_near(value, each) for each in there):
        return True
    if _is_small(value):
        rivals = {abs(each.number) for each in there if _is_small(each)} - {1}
        return abs(value.number) <= 1 or not rivals
    label = _LABEL.search(before)
    named = f"{label[0]}{written}" if label and value.unit is None else written if _CODE.fullmatch(written) else ""
    return bool(named) and any(named.casefold() in one.everything.casefold() for one in evidence)


def _is_sterling(value: Value, source: Value) -> bool:
    """`899 pounds` for `£899`: the word alone is a weight."""
    return source.unit == "GBP" and value.unit == "g" and value.number / value.factor == source.number / source.factor


def _is_near(value: Value, source: Value) -> bool:
    """Whether `about` covers the difference."""
    comparable = value.unit == source.unit or None in (value.unit, source.unit)
    return comparable and abs(abs(value.number) - abs(source.number)) <= HEDGED * abs(source.number)


def _is_small(value: Value) -> bool:
    return value.kind in ("number", "ordinal") and value.unit is None and abs(value.number) <= SMALL


def _date_stands(value: Value, said: str, evidence: Sequence[QuotedText]) -> bool:
    """In the quotes, or if these have no date of the kind: on the page, where the year may stand apart."""
    there = [each for one in evidence for each in one.dates]
    if any(agrees(value, each) for each in there):
        return True
    rivals = [each for one in evidence for each in _dates(one.around) if _are_rivals(value, each)]
    if rivals and not any(agrees(each, rival) for each in dates(said) for rival in rivals):
        return False
    return any(_on_page(value, one.everything) for one in evidence)


def _are_rivals(value: Value, source: Value) -> bool:
    """Whether both say a year, or both a day or month: then one is not the other."""
    whole = value.kind == "year", source.kind == "year" or source.number >= 10_000
    return whole[1] if whole[0] else value.kind == source.kind


def _on_page(value: Value, page: str) -> bool:
    found = _dates(page)
    if any(agrees(value, each) for each in found):
        return True
    size = {"date": 10_000, "quarter": 10}.get(value.kind, 1)
    year, rest = divmod(int(value.number), size)
    parts = {divmod(int(each.number), size) for each in found if each.kind == value.kind}
    return size > 1 and any(other == rest for _, other in parts) and (not year or str(year) in page)


@lru_cache(maxsize=64)
def _dates(text: str) -> list[Value]:
    return dates(text)


# Names

_WORD = re.compile(r"[^\W\d_][\w&]*(?:[.'’-][\w&]+)*\.?")
_BEGINNING = re.compile(r"(?:\A|[.:!?\"“„«(\[\n–—•/])[\s*_\"“„«(]*\Z")
_POSSESSIVE = re.compile(r"(?:['’]s?|\.)\Z")
_ACRONYM = re.compile(r"(?:[A-Z]\.?){2,6}\Z")
_LINKS = r"(?:\s+(?:of|and|the|for|de|du|des|und|für|von|der|y|del|et|la))*[\s-]+"
_DAYS = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|Source|Sources|Yes|No"
_NO_NAMES = frozenset({*MONTHS, *_DAYS.casefold().split("|"), *FUNCTION_WORDS["en"]})
_ALIASES = (
    ("us", "usa", "united states", "america", "american"),
    ("uk", "united kingdom", "britain", "british"),
    ("eu", "european union"),
    ("un", "united nations"),
)


def _missing_names(said: str, evidence: Sequence[QuotedText], surroundings: str) -> Iterable[str]:
    """Only where both are in one language that writes nothing but names with a capital letter."""
    page = "\n".join(one.everything for one in evidence)
    if not _are_alike(said, page, surroundings):
        return
    known = _folded(page)
    words = list(_WORD.finditer(said))
    for place, match in enumerate(words):
        word = _POSSESSIVE.sub("", match[0])
        first = _BEGINNING.search(said[: match.start()]) is not None
        if not _is_name(word, f"{page}\n{surroundings}") or (
            first and not _is_known_name(word, match[0], surroundings)
        ):
            continue
        there = _is_there(word, known, page) or _is_spelled_out(words, place, page)
        if not there or (place == 0 and any(_has_another_subject(word, one, surroundings) for one in evidence)):
            yield word


def _are_alike(said: str, page: str, surroundings: str) -> bool:
    """Whether a sentence and its page are in the same language, and not in German."""
    spoken, written = language(said), language(page[:6000])
    if spoken is None:
        words = [word for word in re.findall(r"[^\W\d_]{3,}", said) if word.islower()]
        spoken = written if any(re.search(rf"\b{word}\b", f"{page}\n{surroundings}") for word in words) else None
    return spoken not in (None, "de") and spoken == written


def _is_name(word: str, texts: str) -> bool:
    """Whether it has a capital letter, and is not also written without."""
    if len(word) < 2 or not word[0].isupper() or word.casefold() in _NO_NAMES:
        return False
    common = word[1:] == word[1:].lower() and re.search(rf"\b{re.escape(word.lower())}\b", texts)
    return not common


def _is_known_name(word: str, written: str, surroundings: str) -> bool:
    """Whether a word at the beginning is a name: a possessive, or one with a capital within other sentences."""
    if written[-2:] in ("'s", "’s"):
        return True
    return re.search(rf"(?<=[^\W\d_]) {re.escape(word)}\b|(?<=,) {re.escape(word)}\b", surroundings) is not None


def _is_there(word: str, known: str, page: str) -> bool:
    folded = _fold(word)
    begun = folded[: max(5, len(folded) - 2)] if len(folded) > 5 else folded
    if re.search(rf"(?<![^\W_]){re.escape(begun)}", known):
        return True
    if any(folded in names and any(f" {name}" in known for name in names) for names in _ALIASES):
        return True
    letters = folded.replace(".", "")
    if not _ACRONYM.fullmatch(word):
        return False
    spelled_out = _LINKS.join(rf"{letter}[^\W\d_]+" for letter in letters)
    return re.search(rf"\b{spelled_out}", page, re.I) is not None


def _is_spelled_out(words: Sequence[re.Match[str]], place: int, page: str) -> bool:
    """Whether the page has the initials of the name that the word is a part of."""
    low = high = place
    while low > 0 and words[low - 1][0][0].isupper():
        low -= 1
    while high + 1 < len(words) and words[high + 1][0][0].isupper():
        high += 1
    initials = "".join(match[0][0] for match in words[low : high + 1])
    return len(initials) > 1 and re.search(rf"\b{initials}\b", page) is not None


def _has_another_subject(word: str, one: QuotedText, surroundings: str) -> bool:
    """Whether the quote is of another: it begins with a name as well, and holds none of this one."""
    first = _WORD.match(one.around)
    if first is None or re.search(rf"\b{re.escape(word)}\b", f"{one.around}\n{one.heading}", re.I):
        return False
    other = _POSSESSIVE.sub("", first[0])
    if not _is_name(other, f"{one.page}\n{surroundings}"):
        return False
    together = rf"\b(?:{re.escape(word)} (?:\w+ )?{re.escape(other)}|{re.escape(other)} (?:\w+ )?{re.escape(word)})\b"
    return _is_known_name(other, other, f"{surroundings}\n{one.page}") and not re.search(together, one.page)


def _fold(word: str) -> str:
    bare = unicodedata.normalize("NFKD", word.casefold().replace(".", "") if "." in word else word.casefold())
    return "".join(char for char in bare if not unicodedata.combining(char))


@lru_cache(maxsize=32)
def _folded(page: str) -> str:
    return " " + re.sub(r"[\s_]+", " ", _fold(re.sub(r"(?<=\b[A-Z])\.", "", page)))


# Negation

_NEGATION = re.compile(
    r"\b(?:not|cannot|never|none|neither|nor|without|no(?! (?:later|more|less|fewer|longer than|one)\b)(?!\. ?\d)"
    r"|nicht|keine?[mnrs]?|nie|niemals|ohne|weder|pas|jamais|aucune?|sans|nunca|jamás|ning[úu]n[ao]?|sin|tampoco)\b|n['’]t\b",
    re.I,
)
_NO_NEGATION = re.compile(
    r"\b(?:not|nicht|pas|no|non) (?:only|just|limited to|nur|bloß|seulement|sólo|solo|solamente)\b|\bwhether or not\b",
    re.I,
)
_BEFORE = 4  # words before the first shared one in which a negation counts
LONGER = 2.5  # times the sentence, in words, that a statement may be to be the same


def _is_denied(said: str, evidence: Sequence[QuotedText]) -> bool:
    """Whether a quote says the same in nearly the same words, but for a `not` in one of the two."""
    negated = _is_negated(said)
    polarities = [one for one in (_polarity(said, each.around) for each in evidence) if one is not None]
    return bool(polarities) and negated not in polarities


def _polarity(said: str, source: str) -> bool | None:
    """Whether `source` denies what both say; None if it says something else."""
    wanted = content(said)
    source = _NO_NEGATION.sub(" ", source)
    words = list(re.finditer(r"[^\W_]+(?:['’]\w+)?", source))
    shared = [place for place, word in enumerate(words) if content(word[0]) & wanted]
    held = set().union(*(content(words[place][0]) for place in shared)) & wanted if shared else set()
    if len(held) < 2 or len(held) < (SHARED if len(held) >= FEWEST_SHARED else 1) * len(wanted):
        return None
    if shared[-1] - shared[0] > LONGER * len(said.split()):
        return None
    first = words[max(0, shared[0] - _BEFORE)]
    return _is_negated(source[first.start() : words[shared[-1]].end()])


def _is_negated(text: str) -> bool:
    return _NEGATION.search(_NO_NEGATION.sub(" ", text)) is not None


@lru_cache(maxsize=4096)
def content(text: str) -> frozenset[str]:
    """The stems of the content words of a text."""
    words = (word for word in sentences.words(text) if not any(word in each for each in FUNCTION_WORDS.values()))
    return frozenset(stem for word in words if not _NEGATION.fullmatch(word) for stem in sentences.stems(word))
