"""Which encoding an undeclared text is in: the one in which it reads most like a language.

Each encoding that decodes the bytes is tried with each language that was written in it. A reading is worth the sum of
the logarithms of how likely its characters beyond ASCII are there, each among its neighbours: capitals do not stand
within words, nor lines and signs between letters.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from footnote.formats._pages import Guess
from footnote.formats.plain._charsets import decoded
from footnote.formats.plain._languages import DOUBLE, LANGUAGES, Language

_SAMPLE = 16 * 1024  # bytes of lines that are not ASCII
_PLAUSIBLE = -9.0  # what a character is worth at least, on average, in a text of a language
# Among readings that are equally good: what is more common.
_PRIORS = {"iso8859-16": -1.0, "cp1252": 2.0, "cp125": 1.5, "koi8": 1.0, "iso8859": 0.7, "mac": -0.5}
_SIGNS = "“”„‘’«»–—…\u00a0·•"
_RARE_SIGNS = "°§€£©®™¿¡№º²³½¼×±µ†‰¹¨´\u00ad\u200c\u200d"
_WITHIN_WORDS = "’·´\u00ad\u200c\u200d"
_WIDE_SIGNS = "、。，．：；？！「」『』（）《》〈〉【】・～　－％／"
# First bytes of the characters that are used most, which the standards put in front of the others.
_COMMON = {"cp932": (0x88, 0x98), "gb18030": (0xB0, 0xD7), "big5hkscs": (0xA4, 0xC6), "cp949": (0xB0, 0xC8)}
_WINDOW = re.compile(r"(?s)(?=(.)([^\x00-\x7f])(.?))")
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True)
class _Reading:
    encoding: str
    text: str
    worth: float
    characters: int


def guess(data: bytes) -> Guess:
    """The likeliest encoding; its confidence is small for short texts, and where another reads nearly as well."""
    sample = _sample(data)
    readings = sorted(_readings(sample), key=lambda reading: -reading.worth)
    if not readings or readings[0].worth < _PLAUSIBLE * readings[0].characters:
        return _by_library(data, readings)
    best = readings[0]
    others = (reading.worth for reading in readings if reading.text != best.text)
    margin = best.worth - next(others, -math.inf)
    return Guess(best.encoding, _confidence(margin, best.characters))


def _confidence(margin: float, characters: int) -> float:
    return round(min(0.99, characters / (characters + 2) / (1 + math.exp(-margin / 2))), 2)


def _by_library(data: bytes, readings: list[_Reading]) -> Guess:
    """For encodings and languages that are not among ours."""
    from charset_normalizer import from_bytes

    match = from_bytes(_sample(data)).best()
    if match is not None and match.encoding != "utf_8":
        return Guess(match.encoding.replace("_", "-"), 0.3)
    return Guess(readings[0].encoding if readings else "cp1252", 0.1)


def _sample(data: bytes) -> bytes:
    """Lines that are not ASCII, for they tell encodings apart; the first ones, as many as tell enough."""
    found, length = [], 0
    for line in data.split(b"\n"):
        if not line.isascii():
            found.append(line)
            length += len(line) + 1
            if length > _SAMPLE:
                break
    return b"\n".join(found)[: 2 * _SAMPLE]


def _readings(sample: bytes) -> Iterator[_Reading]:
    """A reading for each encoding: that of the language in which it is worth most."""
    spoken: dict[str, list[Language]] = {}
    for language in LANGUAGES.values():
        for encoding in language.encodings:
            spoken.setdefault(encoding, []).append(language)
    words = Counter(_WORD.findall(re.sub(rb"[a-zA-Z]*[\x80-\xff]+[a-zA-Z]*", b" ", sample).decode("ascii").lower()))
    for encoding, languages in spoken.items():
        text = decoded(sample, encoding)
        windows = Counter((match[1], match[2], match[3]) for match in _WINDOW.finditer(f"\n{text}"))
        characters = sum(windows.values())
        broken = text.count("\ufffd")
        if not characters or (encoding in DOUBLE and broken * 50 > characters):
            continue
        worth = max(_worth(windows, words, language) for language in languages) + _prior(encoding)
        yield _Reading(encoding, text, worth, characters)


@cache
def _prior(encoding: str) -> float:
    return next((worth for start, worth in _PRIORS.items() if encoding.startswith(start)), 0.0)


def _worth(windows: Counter[tuple[str, str, str]], words: Counter[str], language: Language) -> float:
    likely = _likely(language)
    found = sum(count * _likelihood(*window, language, likely) for window, count in windows.items())
    if not language.is_latin:
        return found
    total = sum(words.values())
    share = sum(words[word] for word in language.words) / total if total else 0.0
    return found + 2 * min(total, 40) * share


@cache
def _likely(language: Language) -> dict[str, float]:
    """Logarithms of the shares of a language's letters, by Zipf's law."""
    weights = [1 / (rank + (20 if language.double else 4)) for rank in range(len(language.letters))]
    share = (0.6 if language.double else 0.85) / sum(weights)
    return {letter: math.log(weight * share) for letter, weight in zip(language.letters, weights, strict=True)}


def _likelihood(before: str, found: str, behind: str, language: Language, likely: dict[str, float]) -> float:
    if language.double:
        return likely.get(found) or _of_thousands(found, language)
    lower = found if found in likely else found.lower()
    if lower in likely:
        return likely[lower] + _among(before, found, behind, is_latin=language.is_latin)
    if found in _SIGNS or found in _RARE_SIGNS:
        is_within = before.isalpha() and behind.isalpha() and found not in _WITHIN_WORDS
        return (-5.0 if found in _SIGNS else -6.5) - (6.0 if is_within else 0.0)
    if found.isalpha():
        return -10.0
    if found == "\ufffd" or "\x80" <= found < "\xa0":
        return -16.0
    return -6.0 if found in {before, behind} else -11.0  # lines are drawn of many alike


def _among(before: str, found: str, behind: str, *, is_latin: bool) -> float:
    """What the neighbours of a letter take from its likelihood."""
    taken = 0.0
    if found.isupper():
        taken -= 7.0 if before.islower() else 0.7 if before.isupper() or behind.isupper() else 2.0
    elif before.isupper() and behind.isupper():
        taken -= 5.0
    if is_latin:
        taken -= 1.2 if before.isalpha() and not before.isascii() else 0.0
        taken -= 0.0 if before.isalpha() or behind.isalpha() else 2.5
    elif (before.isascii() and before.isalpha()) or (behind.isascii() and behind.isalpha()):
        taken -= 4.0
    return taken


def _of_thousands(found: str, language: Language) -> float:
    """The likelihood of a character of East Asia that is none of the most frequent ones."""
    if found in _WIDE_SIGNS:
        return -4.5
    if found in _SIGNS or "\uff01" <= found <= "\uff5e":
        return -7.5
    encoding = language.encodings[0]
    if "\uac00" <= found <= "\ud7a3" if encoding == "cp949" else "\u4e00" <= found <= "\u9fff":
        code = found.encode(encoding, "ignore")
        first, last = _COMMON[encoding]
        return -8.8 if len(code) == 2 and first <= code[0] <= last else -13.0
    if encoding == "cp932" and ("\u3040" <= found <= "\u30ff" or "\uff61" <= found <= "\uff9f"):
        return -7.0 if found < "\uff00" else -8.0
    return -14.0
