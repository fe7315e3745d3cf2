"""Texts in which names are looked for: their words, acronyms, years and quarters. Pure."""

import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

from footnote.extracts.calendar import quarters, years
from footnote.text import folded

_TOKEN = re.compile(r"[^\W_]+")
# Words that are written with capitals, with small words between them: "Bank of America", "Health, Safety and Labor".
_RUN = re.compile(
    r"[A-Z][\w'-]*(?:[ ,&/-]{1,3}(?:(?:of|and|the|for|on|in|to|de|du|la|le|der|die|und|für) )?[A-Z][\w'-]*)+"
)
_SMALL = frozenset(("of", "and", "the", "for", "on", "in", "to", "de", "du", "la", "le", "der", "die", "und", "für"))
_NUMBER = re.compile(r"\d+(?:\.\d+)*")
_LONGEST_ACRONYM = 8
_MAY_DIFFER = 4  # in this many words, one may be another
_APART = (-2, -1, 1, 2)  # tokens
_ENDINGS = ("s", "es", "n", "an", "ian", "ean", "ese", "ish", "i", "er", "en", "in")
_PERIODS = re.compile(
    r"\b(?:three|3) months ended|\b(?:thirteen|twelve|sixteen|13|12|16) weeks ended|\bquarterly\b", re.I
)


def plain(text: str) -> str:
    """Without case and accents."""
    if text.isascii():
        return text.lower()
    return "".join(each for each in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(each))


class EvidenceText:
    """Everything that was found, read once for all names that are looked for."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._text = folded("\n".join(texts)).replace("’", "'")
        self._found: dict[str, frozenset[int]] = {}

    @cached_property
    def _lower(self) -> str:
        return plain(self._text)

    @cached_property
    def _tokens(self) -> list[str]:
        return _TOKEN.findall(self._lower)

    @cached_property
    def _index(self) -> dict[str, list[int]]:
        index: dict[str, list[int]] = {}
        for place, token in enumerate(self._tokens):
            index.setdefault(token, []).append(place)
        return index

    @cached_property
    def _squeezed(self) -> str:
        return "".join(self._tokens)

    @cached_property
    def years(self) -> frozenset[int]:
        return frozenset(year for _, _, year in years(self._text))

    @cached_property
    def quarters(self) -> frozenset[int]:
        """All of them where a report of three months does not say which."""
        found = frozenset(number for _, _, number in quarters(self._text))
        return found | {1, 2, 3, 4} if _PERIODS.search(self._text) else found

    @cached_property
    def _numbers(self) -> frozenset[str]:
        return frozenset(_NUMBER.findall(self._text))

    @cached_property
    def _acronyms(self) -> frozenset[str]:
        """Abbreviations in capitals."""
        return frozenset(each.lower() for each in re.findall(r"\b[A-Z][A-Z&]{1,7}\b", self._text))

    @cached_property
    def _runs(self) -> dict[str, list[list[str]]]:
        """Neighbouring words with capitals, by the letter that they begin with, from each of them on."""
        runs: dict[str, list[list[str]]] = {}
        for run in _RUN.findall(self._text):
            words = [each for each in _TOKEN.findall(plain(run)) if each not in _SMALL]
            for at, word in enumerate(words):
                runs.setdefault(word[0], []).append(words[at : at + _LONGEST_ACRONYM])
        return runs

    def has_number(self, number: str) -> bool:
        """Also as the beginning of a longer version: 3.11 in 3.11.4."""
        return number in self._numbers or any(each.startswith(f"{number}.") for each in self._numbers)

    def has_name(self, parts: Sequence[str]) -> bool:
        """Whether its words are there, of several two at least near each other; or all as one, or as an acronym."""
        words = [_TOKEN.findall(plain(part)) for part in parts]
        flat = [each for part in words for each in part]
        missing = sum(not self._has_part(part) for part in set(map(tuple, words)))
        if not flat or (missing <= len(parts) // _MAY_DIFFER and self._are_near(flat)):
            return True
        return self._has_squeezed("".join(flat)) or self._is_abbreviated(flat)

    def _has_part(self, part: Sequence[str]) -> bool:
        whole = "".join(part)
        if all(map(self._places, part)) or self._has_squeezed(whole) or self._is_expanded(whole):
            return True
        return self._is_only_one(whole)

    def _is_only_one(self, whole: str) -> bool:
        """Whether letters with a number at their end are there without any number: YAP for YAP1."""
        base = whole.rstrip("0123456789")
        if len(base) < 3 or base == whole or not base.isalpha():
            return False
        return bool(self._places(base)) and not re.search(rf"{base}[ -]?\d", self._lower)

    def _are_near(self, words: Sequence[str]) -> bool:
        if len(words) < 2 or not all(map(self._places, words)):
            return True
        return any(
            not self._places(before).isdisjoint(place + step for place in self._places(after) for step in _APART)
            for before, after in set(pairwise(words))
        )

    def _places(self, word: str) -> frozenset[int]:
        """Where it stands, in any of its forms."""
        if word not in self._found:
            bases = {word, word[:-1]} if len(word) > 3 else {word}
            forms = {word, word.rstrip("s")} | {base + ending for base in bases for ending in _ENDINGS}
            forms = forms if len(word) > 3 else {word, word + "s"}
            self._found[word] = frozenset(place for form in forms for place in self._index.get(form, ()))
        return self._found[word]

    def _has_squeezed(self, whole: str) -> bool:
        """Whether it is there in pieces, or within a longer word; what is short, as two words only."""
        if len(whole) >= 6:
            return whole in self._squeezed
        return whole[0].isalpha() and any(a + b == whole for a, b in zip(self._tokens, self._tokens[1:], strict=False))

    def _is_expanded(self, short: str) -> bool:
        """Whether it can be put together from beginnings of words with capitals: AMEX of American Express."""
        if not 2 <= len(short) <= _LONGEST_ACRONYM:
            return False
        return any(_abbreviates(short, run) for run in self._runs.get(short[0], ()))

    def _is_abbreviated(self, words: Sequence[str]) -> bool:
        """The other way round: an acronym is there that can be put together from the beginnings of these words."""
        return len(words) > 1 and any(
            each[0] == words[0][0] and _abbreviates(each, words, whole=True) for each in self._acronyms
        )


def _abbreviates(short: str, words: Sequence[str], *, whole: bool = False) -> bool:
    """Whether `short` is made of beginnings of the words, one after the other, of two at least.

    A beginning has up to four letters; `whole`: all words take part.
    """
    if len(words) < 2 or short[:1] != words[0][:1]:
        return False
    reached = {0}
    for count, word in enumerate(words[: len(short)], 1):
        reached = {
            at + length
            for at in reached
            for length in range(1, min(4, len(word), len(short) - at) + 1)
            if short.startswith(word[:length], at)
        }
        if not reached:
            return False
        if len(short) in reached and count > 1 and (not whole or count == len(words)):
            return True
    return False
