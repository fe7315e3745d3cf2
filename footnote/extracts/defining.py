"""Whether a text says what a term is, or what a short form stands for."""

import re
from collections.abc import Sequence
from functools import lru_cache

from footnote.extracts.question import QuestionIntent, meaning

LONGEST_TERM = 8  # words
NEAR = 150  # characters between a short form and its words

_VERBS = (
    r"(?:is|are|was|were|means?|refers? to|denotes?|is called|describes?|represents?|consists? of|acts?|specif(?:y|ies)"
    r"|ist|sind|bedeutet|bezeichnet|heißt|est|sont|désigne|signifie|es|son|significa|è|sono|indica|é|são|betekent|zijn)\b"
)
_ARTICLES = r"(?:an?|the|each|every|der|die|das|eine?|une?|l[ae]|les|el|los|las|un|il|het|de|een|um|uma|os?|as)\s"
# What happens to a thing does not say what it is: `is moved`. What it is used for does.
_NOT_DONE = (
    r"(?!\s(?:(?:not|also|always|now|being|often|usually|only|automatically)\s)?"
    r"(?!used|called|termed|defined|known|named|made|composed|designed|intended|meant|based|formed|related)[a-z]+ed\b)"
    r"(?!\s(?:(?:much|far|even|no|not)\s)?(?:more|less|[a-z]{2,}er)\b[^.;]{0,60}\bthan\b)"  # nor does a comparison
)
# What something does: a verb in the third person after it.
_DOES = (
    r"\s(?:(?:[a-z]+ly|also)\s)?"
    r"(?:(?:can|will)\s[a-z]{3,}|(?!is\b|was\b|has\b|does\b|this\b)[a-z]{2,}[a-rt-z]s)\s"
)
_CALLED = r"\b(?:called|termed|named|known as|means|define[ds]? (?:as|an?)|defined as|definition of)\s(?:an?\s|the\s)?"
_OPEN, _CLOSE = r"(?:\*{1,2}|_{1,2}|`|[\"“‘«„])", r"(?:\*{1,2}|_{1,2}|`|[\"”’»“])"
_BEGINNING = rf"(?:\A|[.:;]\s|\n)\W{{0,4}}{_ARTICLES[:-2]}?\s?"
# In "behind the tower are two boats" the tower is not what is explained.
_NOT_BEHIND = "".join(
    rf"(?<!\b{before} {article})"
    for before in ("of", "in", "on", "at", "to", "by", "from", "with", "near", "behind", "under")
    for article in ("", "the ", "a ", "an ", "each ")
)
_ASIDE = r"(?:\s\([^()]{1,40}\))?"
_STANDS_FOR = (
    r"(?:stands for|is short for|is the abbreviation|is an acronym|steht für|means|bedeutet|signifie|significa"
    r"|sta per|staat voor)"
)
_LETTERS = re.compile(r"[^\W\d_]+")


def defines(intent: QuestionIntent, text: str) -> float:
    """0 to 1: "A term is ...", "called a *term*", or a line with the term above what is said of it."""
    found = (worth for worth, pattern in _defining(intent.subject, doing=intent.is_doing) if pattern.search(text))
    return max(found, default=_heads(intent, text))


@lru_cache(maxsize=64)
def _defining(subject: str, *, doing: bool) -> list[tuple[float, re.Pattern[str]]]:
    """Patterns with their worth, the best first."""
    words = [re.escape(word) for word in subject.split()[:LONGEST_TERM]]
    if not words:
        return []
    term = r"[\s\-]+".join([*words[:-1], _inflected(words[-1])])
    marked = _OPEN + term + _CLOSE
    patterns = (
        (1.0, rf"{_BEGINNING}(?:{marked}|{term}{_ASIDE})\s{_VERBS}{_NOT_DONE}"),
        *([(0.9, rf"{_BEGINNING}(?:{marked}|{term}{_ASIDE}){_DOES}")] if doing else ()),
        (0.9, _CALLED + marked),
        (0.8, rf"{_CALLED}{term}\b"),
        (0.7, rf"{_BEGINNING}(?:{term}\s?|{marked}\s?)[:—–]\s"),
        (0.6, rf"{_NOT_BEHIND}\b{term}{_ASIDE}\s{_VERBS}{_NOT_DONE}"),
        (0.45, rf"{_BEGINNING}{term}{_ASIDE}\s\w"),
        (0.4, rf"\b{term},\s(?:which|an?|the)\s|{marked}"),
    )
    return [(worth, re.compile(pattern, re.IGNORECASE)) for worth, pattern in patterns]


def _inflected(word: str) -> str:
    return re.sub(r"(?<=\w{3})(?:es|s)\Z", "", word) + r"(?:e?s)?"


def _heads(intent: QuestionIntent, text: str) -> float:
    """Whether the first line is the term, as in a glossary or a list of options."""
    line, _, rest = text.partition("\n")
    named = meaning(line[:100])
    if not rest.strip() or not named or len(named) > 4 or not named <= intent.words:
        return 0.0
    return 0.9 if meaning(intent.subject) & intent.words <= named or "-" in line else 0.0


def spells_out(short: str, text: str) -> float:
    """0 to 1: `Long Form (LF)`, `LF (Long Form)`, "LF stands for", or the words close before the short form."""
    best = 0.0
    for found in re.finditer(rf"(?<!\w){re.escape(short)}(?!\w)", text):
        before, behind = text[max(0, found.start() - NEAR) : found.start()], text[found.end() : found.end() + NEAR]
        best = max(best, _in_brackets(short, before, behind), 0.9 * _runs(short, before))
        if re.match(rf"[\"”’']?\s{_STANDS_FOR}\b", behind):
            return 1.0
    return best


def short_forms(texts: Sequence[str], words: frozenset[str]) -> dict[str, frozenset[str]]:
    """Short forms that the texts explain, with the stems of what they stand for; those of `words` only.

    Titles of offices need no explanation.
    """
    found = dict(_OFFICES)
    for text in texts:
        for match in _SHORT_FORM.finditer(text):
            if spelled := _spelled(match[1], text[max(0, match.start() - NEAR) : match.start()]):
                found[match[1].lower()] = meaning(spelled)
    return {short: spelled for short, spelled in found.items() if short in words or spelled <= words}


_SHORT_FORM = re.compile(r"\([\"“'‘]?(?:the\s)?[\"“'‘]?([A-Z][A-Z&]{1,7})[\"”'’]?\)")
_OFFICES = {
    short: meaning(spelled)
    for short, spelled in {
        "ceo": "chief executive officer",
        "cfo": "chief financial officer",
        "coo": "chief operating officer",
        "cto": "chief technology officer",
        "cio": "chief information officer",
    }.items()
}


def _spelled(short: str, before: str) -> str:
    """The words before a short form that have its letters, from the first of them on; empty if they do not."""
    words = list(_LETTERS.finditer(before))
    for first in range(len(words) - 1, max(-1, len(words) - 2 * len(short) - 1), -1):
        if words[first][0][0] == short[0] and _ends_in(short, before[words[first].start() :]):
            return before[words[first].start() :]
    return ""


def _in_brackets(short: str, before: str, behind: str) -> float:
    """Whether the one is in brackets after the other; less if the letters do not agree."""
    if opened := re.search(r"[(\[][^()\[\]\n]{0,30}\Z", before):
        return 1.0 if _ends_in(short, before[: opened.start()]) else 0.2
    if inside := re.match(r"[\"”’']?\s?\(([^()]{5,120})\)", behind):
        return 1.0 if _ends_in(short, inside[1]) else 0.3
    return 0.0


def _ends_in(short: str, text: str) -> bool:
    """Whether the last words begin with the letters of the short form; there may be some small ones between."""
    letters = [letter for letter in short.rstrip("s").lower() if letter.isalpha()]
    initials = [word[0].lower() for word in _LETTERS.findall(text)][-2 * len(letters) :]
    for letter in reversed(letters):
        while initials and initials[-1] != letter:
            initials.pop()
        if not initials:
            return False
        initials.pop()
    return True


def _runs(short: str, before: str) -> bool:
    """Whether words one after the other have its letters: three or more, because two say little."""
    letters = short.rstrip("s").lower()
    return len(letters) > 2 and letters in "".join(word[0].lower() for word in _LETTERS.findall(before)[-12:])
