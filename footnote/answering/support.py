"""Finds the sentences of an answer that have no verified footnote."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from footnote.text import sentences

_FOOTNOTES = re.compile(r"(?:\s*\[\d+\])+\s*")
_HEADING = re.compile(r"#{1,6}\s|(?:\*\*|__)[^*_\n]+(?:\*\*|__)\Z")
_AFTER_TEXT = " \t\n\"'”’»)]*_`"


@dataclass(frozen=True)
class UnsupportedSentence:
    """A sentence without support: `answer[char_start:char_end]`."""

    text: str
    char_start: int
    char_end: int


def unsupported(answer: str, verified: Sequence[tuple[int, int]]) -> list[UnsupportedSentence]:
    """The factual sentences of the answer that no verified footnote supports, in order.

    `verified`: `(start, end)` of each place with a verified footnote: of its marker, or of a claim with its marker. A
    sentence is supported if such a place is in it or follows it at once; each sentence needs its own. Questions,
    headings, lead-ins (what ends in a colon) and what has no words claim nothing.
    """
    return [
        UnsupportedSentence(answer[start:end], start, end)
        for start, end, reach in _with_footnotes(answer)
        if _claims(answer[start:end]) and not any(low < reach and start < high for low, high in verified)
    ]


def _with_footnotes(answer: str) -> list[tuple[int, int, int]]:
    """Start and end of each sentence, and the end of the footnotes that follow it."""
    found: list[tuple[int, int, int]] = []
    for start, end in sentences.spans(answer):
        footnotes = _FOOTNOTES.match(answer, start, end)
        if footnotes and found and "\n\n" not in answer[found[-1][1] : start]:
            found[-1] = (*found[-1][:2], footnotes.end())
            start = footnotes.end()
        if start < end:
            found.append((start, end, end))
    return found


def _claims(sentence: str) -> bool:
    bare = _FOOTNOTES.sub(" ", sentence).strip()
    if not sentences.words(bare) or _HEADING.match(bare):
        return False
    return not bare.rstrip(_AFTER_TEXT).endswith(("?", "？", "؟", ":", "："))
