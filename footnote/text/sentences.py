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
# Nor does that of an ordinal in German: "am 12. Mai", "im 19. Jahrhundert".
_ORDINAL = re.compile(
    r"(?<!\d)\d{1,2}\.\s+(?:Jan(?:uar|ner)?|Jän(?:ner)?|Feb(?:ruar)?|März|Apr(?:il)?|Mai|Juni?|Juli?|Aug(?:ust)?|Sept?(?:ember)?"
    r"|Okt(?:ober)?|Nov(?:ember)?|Dez(?:ember)?|Jahrhundert\w*|Lebensjahr\w*)\b"
)
# Nor do those of abbreviations that are written apart: "e. V.", "z. B.", "i. d. R.".
_APART = re.compile(r"(?<![\w.])(?:[a-zäöü]\.\s){1,2}[^\W\d_]\.(?=\s)")
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
        if match.group()[0] == "." and _goes_on(text, start, match.start()):
            continue
        _add(found, text, start, match.end())
        start = match.end()
    _add(found, text, start, len(text))
    return found


def _goes_on(text: str, start: int, stop: int) -> bool:
    """Whether the full stop at `stop` ends no sentence, of one that begins at `start`."""
    if _ABBREVIATION.search(text, max(start, stop - 12), stop + 1):
        return True
    if text[stop - 1 : stop].isdecimal():
        return any(_ORDINAL.match(text, at) for at in range(max(start, stop - 2), stop))
    if text[stop - 2 : stop - 1].isalnum():
        return False
    return any(each.start() <= stop < each.end() for each in _APART.finditer(text, max(start, stop - 7), stop + 8))


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
