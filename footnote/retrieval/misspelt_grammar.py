"""Misspelt words of grammar, and others that questions are made of, whatever they are about: by lists."""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache, lru_cache

from footnote.text import grammar, words

SHORT = 4  # letters, up to which none is too much, and below which none is wrong

# Contractions without their apostrophe, and what people make of them.
CONTRACTIONS = {
    "whats": "what is",
    "wheres": "where is",
    "whos": "who is",
    "hows": "how is",
    "whens": "when is",
    "thats": "that is",
    "dont": "do not",
    "doesnt": "does not",
    "didnt": "did not",
    "isnt": "is not",
    "arent": "are not",
    "wasnt": "was not",
    "cant": "can not",
    "wont": "will not",
    "couldnt": "could not",
    "shouldnt": "should not",
}
_ASKING = grammar.listed("how what when where which who whom whose why")
_ENGLISH = _ASKING | grammar.listed(
    "about after are because before between compare could difference different does during each for from happen have "
    "long many mean means more most much must name not number only other people person should stand stands than that "
    "the their there these they this through until was were while will with without would your"
)
_GERMAN = grammar.listed("und der die das ist wie was wer wann welche nicht")
_COUNTING = ("many", "much")
_BEFORE_COUNTING = re.compile(r"(?i:\b(?:how|hwo|hw|so|too|as|very|not|are|is|were|there)\W+)\Z")
_VOWEL = re.compile("[aeiouäöü]")


def asks_what(question: str) -> str:
    """Its first word, if a word that asks is misspelt there: `wen did`, though that is another word elsewhere."""
    start, end = next(iter(words.spans(question)), (0, 0))
    first = question[start:end].lower()
    if start or not first or len(first) > SHORT or first in grammar.GRAMMAR or not _is_english(question):
        return ""
    return question[start:end] if any(_asks(first, each) for each in _ASKING) else ""


def corrected(question: str, asked: Sequence[str]) -> dict[str, Sequence[str]]:
    """What `asked` words stand for. Within a question a capital begins a name; `many` stands behind few words."""
    first, found = question.lstrip(), dict[str, Sequence[str]]()
    is_english, asks = _is_english(question), asks_what(question)
    for word in asked:
        if not (word.islower() or first.startswith(word) or question.isupper()):
            continue
        instead = _stands_for(word.lower(), is_english=is_english, asks=word == asks)
        if instead and (instead[0] not in _COUNTING or _BEFORE_COUNTING.search(question.split(word)[0])):
            found[word] = instead
    return found


def may_be_misspelt(word: str) -> bool:
    return bool(_stands_for(word, is_english=True, asks=False))


def _is_english(question: str) -> bool:
    found = set(question.lower().split())
    others = (grammar.GERMAN | grammar.OTHERS) - grammar.ENGLISH
    return len(found & grammar.ENGLISH) >= len(found & others)


@lru_cache(maxsize=4096)
def _stands_for(word: str, *, is_english: bool, asks: bool) -> tuple[str, ...]:
    """The words of grammar that it stands for."""
    if word in CONTRACTIONS:
        return tuple(CONTRACTIONS[word].split())
    if asks:
        near = [each for each in _ASKING if _asks(word, each)]
    else:
        near = [each for each in _listed_near(word, is_english=is_english) if _is_slip(word, each)]
    return (min(near, key=lambda each: (not is_light(word, each), len(each) < len(word), each)),) if near else ()


def _listed_near(word: str, *, is_english: bool) -> Collection[str]:
    """The listed words that it may be a slip of: of a short word all, of others those one mistake away."""
    if len(word) < SHORT:
        return _ENGLISH if is_english else _GERMAN
    by_shortened = _by_shortened(is_english=is_english)
    return {other for each in words.shortened(word) for other in by_shortened.get(each, ())}


@cache
def _by_shortened(*, is_english: bool) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for listed in _ENGLISH if is_english else _GERMAN:
        for each in words.shortened(listed):
            found.setdefault(each, []).append(listed)
    return found


def _is_slip(word: str, other: str) -> bool:
    """Whether a hasty writer makes the one of the other, but for those that are near to too many."""
    if len(word) < SHORT:
        return is_light(word, other) or (not _VOWEL.search(word) and _VOWEL.sub("", other) == word)
    too_long = len(other) < len(word) <= SHORT and not is_light(word, other)
    return not too_long and begin_alike(word, other) and words.one_apart(word, other)


def _asks(word: str, other: str) -> bool:
    """Where a question begins, a word is also short for one that asks."""
    return _is_slip(word, other) or (len(word) < len(other) and word[0] == other[0] and words.one_apart(word, other))


def is_light(word: str, other: str) -> bool:
    """Whether two letters are swapped, or one is doubled or not: the most usual mistakes."""
    if len(word) == len(other):
        return sorted(word) == sorted(other)
    short, long = sorted((word, other), key=len)
    return short in undoubled(long)


def begin_alike(word: str, other: str) -> bool:
    return word[0] == other[0] or sorted(word[:2]) == sorted(other[:2])


def undoubled(word: str) -> set[str]:
    return {word[:at] + word[at + 1 :] for at in range(1, len(word)) if word[at] == word[at - 1]}
