"""What a question names, read by plain rules: names, identifiers, versions, years, quarters. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from footnote.extracts.calendar import quarters, years
from footnote.extracts.closed_words import DOING, KINDS, NO_NAMES, STARTERS, TERMS, VERSION_WORDS
from footnote.text import folded
from footnote.text.grammar import GERMAN, GRAMMAR

Kind = Literal["name", "version", "year", "quarter"]

LONGEST = 4_000  # characters of a question that are read
MOST = 32  # names
LONGEST_NAME = 8  # words

_WORD = re.compile(r"[^\W_]+(?:[-_.&'/+][^\W_]+)*(?:\+\+|#)?(?:'(?![^\W_]))?")
_SENTENCE_END = re.compile(r"[.?!:;\n•¿¡][\"')\]]*\s*$")
_JOINED = re.compile(r"^(?: | & )$")
_POSSESSIVE = re.compile(r"(?:'s|'|(?<=s)')$", re.I)

# "5km", "2nd", "90s"; "10-K", a form of report; "0-dimensional", "5-year"
_QUANTITY = re.compile(r"\d[\d.,]*(?:[a-zµ%°]{1,4}|st|nd|rd|th|[sx])|\d+-?[KQ]|\d+-[^\W\d].*")
_AMOUNT = re.compile(r"\d+[KMBkmb]")
_FILE = re.compile(r"[\w&+-]{2,}(?:\.[\w&+-]+)*\.[a-z][a-z0-9]{1,4}", re.I)
_INITIALS = re.compile(r"\w(?:&\w)+")  # R&D, P&L


@dataclass(frozen=True)
class Named:
    """What is named: as it is in the question, and its words, without case and accents."""

    kind: Kind
    text: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class _Word:
    text: str  # without a possessive ending
    start: int
    end: int
    is_first: bool  # in its sentence
    is_possessive: bool
    before: str  # what is between the word before and this one

    @cached_property
    def lower(self) -> str:
        return self.text.lower()

    @property
    def is_grammar(self) -> bool:
        return self.lower in GRAMMAR or self.lower in GERMAN

    @property
    def is_capitalised(self) -> bool:
        return self.text[0].isupper()

    @property
    def is_acronym(self) -> bool:
        letters = [each for each in self.text if each.isalpha()]
        return len(letters) > 1 and all(each.isupper() for each in letters)

    @property
    def is_camel(self) -> bool:
        return any(a.islower() and b.isupper() for a, b in zip(self.text, self.text[1:], strict=False))

    @property
    def has_digit(self) -> bool:
        return any(each.isdigit() for each in self.text)

    @property
    def is_number(self) -> bool:
        return self.text[0].isdigit() and not any(each.isalpha() for each in self.text)


def named(question: str) -> list[Named]:
    """In the order of the question; a name of several words is one."""
    text = folded(question[:LONGEST]).replace("’", "'").replace("‘", "'")
    found: list[tuple[int, Named]] = []
    found += [(start, Named("year", written, (str(year),))) for start, written, year in years(text, asked=True)]
    found += [(start, Named("quarter", written, (str(number),))) for start, written, number in quarters(text)]
    found += _names(text)
    return [one for _, one in sorted(found, key=lambda each: each[0])[:MOST]]


def _names(text: str) -> Iterator[tuple[int, Named]]:
    words = _words(text)
    by_case = _capitals_mark_names(words)
    group: list[_Word] = []
    for place, word in enumerate(words):
        if one := _version(words, place) or _kind_by_letter(words, place):
            yield word.start, one
        is_name = _is_name(words, place, by_case) and not _is_defined(text, word)
        if group and not (is_name and _goes_on(group, word)):
            yield _grouped(group)
            group = []
        if is_name:
            group.append(word)
    if group:
        yield _grouped(group)


def _goes_on(group: Sequence[_Word], word: _Word) -> bool:
    return len(group) < LONGEST_NAME and not group[-1].is_possessive and _JOINED.match(word.before) is not None


def _grouped(group: Sequence[_Word]) -> tuple[int, Named]:
    text = "".join([group[0].text, *(each.before + each.text for each in group[1:])])
    return group[0].start, Named("name", text, tuple(filter(None, (_core(each) for each in group))))


def _core(word: _Word) -> str:
    """Without what is only joined to a name: `-dependent`, `anti-`."""
    parts = word.text.split("-")
    marked = [each for each in parts if any(letter.isupper() or letter.isdigit() for letter in each)]
    return "-".join(marked) if any(each.isalpha() for part in marked for each in part) else word.text


def _words(text: str) -> list[_Word]:
    found, end = list[_Word](), 0
    for match in _WORD.finditer(text):
        bare = _POSSESSIVE.sub("", match.group())
        between = text[end : match.start()]
        is_first = not found or _SENTENCE_END.search(between) is not None
        word = _Word(bare or match.group(), match.start(), match.end(), is_first, bare != match.group(), between)
        found.append(replace(word, is_first=True) if not found else word)
        end = match.end()
    return found


def _capitals_mark_names(words: Sequence[_Word]) -> bool:
    """Whether a capital marks a name: not in a title, nor in German, nor where all is written in capitals."""
    inner = [each for each in words if not each.is_first and not each.has_digit and len(each.text) > 1]
    grammar = [each for each in inner if each.is_grammar]
    if any(each.is_capitalised for each in grammar if each.lower != "i"):
        return False
    if len(inner) > 2 and not grammar and all(each.is_capitalised for each in inner):
        return False
    return not _is_german(words)


def _is_german(words: Sequence[_Word]) -> bool:
    german = sum(each.lower in GERMAN for each in words)
    return german > sum(each.lower in GRAMMAR for each in words)


def _is_name(words: Sequence[_Word], place: int, by_case: bool) -> bool:
    word = words[place]
    if len(word.text) < 2 or word.is_grammar or word.lower in NO_NAMES or word.lower in TERMS or word.is_number:
        return False
    if _INITIALS.fullmatch(word.text):
        return False
    if word.has_digit:
        return _is_identifier(words, place)
    if _FILE.fullmatch(word.text):
        return True
    if word.is_camel or (word.is_acronym and not all(each.is_acronym or each.is_number for each in words)):
        return True
    if not by_case or not word.is_capitalised:
        return False
    return not word.is_first or (word.is_possessive and word.lower not in STARTERS)


def _is_identifier(words: Sequence[_Word], place: int) -> bool:
    """Letters with digits that are no quantity, no ordinal number, no year, no quarter, no form of a report."""
    word = words[place]
    if word.text[0].isdigit():
        if _QUANTITY.fullmatch(word.text) or word.before.endswith(("$", "€", "£", "¥")):
            return False
        if _AMOUNT.fullmatch(word.text):
            return word.is_possessive or _stands_alone(words, place)
    return not any(years(word.text)) and not any(quarters(word.text)) and not word.lower.startswith("fy")


def _stands_alone(words: Sequence[_Word], place: int) -> bool:
    """Whether no noun follows that it could count: `3M` in "did 3M pay", not in "3M users"."""
    follows = words[place + 1] if place + 1 < len(words) else None
    before = words[place - 1].lower if place else ""
    return (
        follows is None or follows.is_grammar or follows.is_first or before in DOING or not follows.text.endswith("s")
    )


def _is_defined(text: str, word: _Word) -> bool:
    """Whether the question itself gives it for another name: in brackets after that, or by a definition."""
    if word.before.endswith("(") and text[word.end : word.end + 1] == ")":
        return True
    quoted = re.escape(word.text)
    return word.is_acronym and re.search(rf"\({quoted}\)|\b{quoted} (?:is defined|= )", text) is not None


def _version(words: Sequence[_Word], place: int) -> Named | None:
    """A number after a name or after a word like "version"; its parts end with the number."""
    word = words[place]
    number = re.fullmatch(r"v?(\d{1,4}(?:\.\d{1,5}){0,3})", word.lower)
    if number is None or not place or words[place - 1].is_possessive:
        return None
    before = words[place - 1]
    if before.lower in VERSION_WORDS and word.before == " ":
        return Named("version", f"{before.text} {word.text}", (number[1],))
    dotted = "." in number[1] or word.lower.startswith("v")
    if (
        dotted
        and word.before == " "
        and before.is_capitalised
        and not before.is_grammar
        and _follows_free(words, place)
    ):
        return Named("version", f"{before.text} {word.text}", (number[1],))
    return None


def _kind_by_letter(words: Sequence[_Word], place: int) -> Named | None:
    """A kind and the capital that distinguishes it from others: vitamin C, hepatitis B."""
    word, noun = words[place], words[place - 1] if place else None
    if noun is None or noun.lower not in KINDS or len(word.text) > 1 or not word.is_capitalised or word.before != " ":
        return None
    return Named("name", f"{noun.text} {word.text}", (noun.text, word.text))


def _follows_free(words: Sequence[_Word], place: int) -> bool:
    follows = words[place + 1] if place + 1 < len(words) else None
    return follows is None or follows.lower not in {"million", "billion", "thousand", "percent", "trillion"}
