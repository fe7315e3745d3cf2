"""Sentences and words of a text, with their positions in it; plain rules, no model."""

import re
from functools import lru_cache

from footnote.text import searched

# An abbreviation's full stop does not end a sentence.
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|cf|vs|al|Fig|Figs|Eq|Sec|No|Nos|Vol|Inc|Corp|Ltd|Co|Mr|Mrs|Ms|Dr|Prof|St|approx|ca|pp|U\.S"
    r"|d\.h|bzw|vgl|Nr|Abb|[Ee]xt|[Tt]el|Art|Ave|Jr|Sr|Gov|Sen|Rep|Gen|Dept|z\.B|ggf|Mme|Sra|av|núm)"
    r"|(?<!-)\b[A-Z]|(?m:^)[ \t]*\d{1,3})\.$"  # nor does that of a list item's number
)
_END = re.compile(
    r"[.!?…][\"'”’)\]]*(?=\s)|[。！？]"  # the marks that end a sentence
    r"|\n[ \t]*\n|\n(?=[ \t]*(?:[-*•|#]|\d+[.)])\s)"  # a paragraph, a list item
    r"|(?<=[\d)%])\n(?=[A-Z])"  # a table's row: figures at its end, a name at the next one's start
)
# In some scripts, marks that no letter is without are not letters.
_LETTERS = r"(?:[^\W_]|[\u0300-\u036f\u064b-\u065f\u0900-\u0963\u0971-\u0dff\u0e31-\u0ecd\u102b-\u109f\u17b4-\u17dd])+"
_WORD = re.compile(rf"{_LETTERS}(?:[-_.'’]{_LETTERS})*")
_PLAIN_WORD = re.compile(r"[a-z0-9]+(?:[-_.'][a-z0-9]+)*")  # the same in lower-cased ASCII, found in half the time


def spans(text: str) -> list[tuple[int, int]]:
    """`(start, end)` of each sentence, without surrounding white space."""
    found: list[tuple[int, int]] = []
    start = 0
    for match in _END.finditer(text):
        if match.group()[0] == "." and _ABBREVIATION.search(text, max(start, match.start() - 12), match.start() + 1):
            continue
        _add(found, text, start, match.end())
        start = match.end()
    _add(found, text, start, len(text))
    return found


def _add(found: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    stripped = piece.strip()
    if stripped:
        start += len(piece) - len(piece.lstrip())
        found.append((start, start + len(stripped)))


def words(text: str) -> list[str]:
    """Lower-cased words as they are searched; hyphenated ones and identifiers stay whole."""
    if text.isascii():
        return _PLAIN_WORD.findall(text.lower())
    return [word.lower() for word in _WORD.findall(searched(text))]


def stems(text: str) -> list[str]:
    """Words cut to a rough stem, so that `implements` meets `implementing`; hyphenated ones also in parts."""
    found: list[str] = []
    for word in words(text):
        found.append(_stem(word))
        if "-" in word:
            found.extend(_stem(part) for part in word.split("-"))
    return found


@lru_cache(maxsize=8192)
def _stem(word: str) -> str:
    if not word.isascii() or not word.isalpha():
        return word
    for ending in (
        "ations",
        "ation",
        "ings",
        "ing",
        "ers",
        "edly",
        "ed",
        "ies",
        "es",
        "ly",
        "er",
        "s",
        "e",
        "y",
    ):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
