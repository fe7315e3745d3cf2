"""Finds the sentences of an answer that their footnotes do not support."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from footnote.answering.agreement import QuotedText, mismatch
from footnote.text import sentences

_FOOTNOTES = re.compile(r"(?:\s*\[\d+\])+\s*")
_HEADING = re.compile(r"#{1,6}\s|(?:\*\*|__)[^*_\n]+(?:\*\*|__)\Z")
_AFTER_TEXT = " \t\n\"'”’»)]*_`"

Reason = Literal["no_footnote", "quote_not_found", "not_in_quote", "quote_denies"]


@dataclass(frozen=True)
class UnsupportedSentence:
    """A sentence without support: `answer[char_start:char_end]`.

    `reason`: it has no footnote; the quotes of its footnotes are not on their pages; they do not hold what is
    `missing`, values and names of the sentence; or one of them says the same with a `not`, or without.
    """

    text: str
    char_start: int
    char_end: int
    reason: Reason = "no_footnote"
    missing: Sequence[str] = ()


@dataclass(frozen=True)
class FootnoteSpan:
    """Where a footnote is in the answer: its marker, or a claim with its marker.

    `evidence` is what a model's sentence is compared with; None where the sentence is the document's own.
    """

    start: int
    end: int
    verified: bool
    evidence: QuotedText | None = None


def unsupported(answer: str, places: Sequence[FootnoteSpan], surroundings: str = "") -> list[UnsupportedSentence]:
    """The factual sentences of the answer that no verified footnote supports, in order.

    A sentence is supported if a verified footnote is in it or follows it at once, and its quote holds the sentence's
    values and names; each sentence needs its own. Questions, headings, lead-ins (what ends in a colon) and what has no
    words claim nothing. `surroundings`: question and passages (`agreement.mismatch`).
    """
    found = []
    for start, end, reach in _with_footnotes(answer):
        if _claims(answer[start:end]):
            its = [each for each in places if each.start < reach and start < each.end]
            found.append(_judged(answer[start:end], start, end, its, surroundings))
    return [each for each in found if each is not None]


def _judged(
    text: str, start: int, end: int, places: Sequence[FootnoteSpan], surroundings: str
) -> UnsupportedSentence | None:
    verified = [each for each in places if each.verified]
    if not verified:
        return UnsupportedSentence(text, start, end, "quote_not_found" if places else "no_footnote")
    evidence = [each.evidence for each in verified if each.evidence is not None]
    wrong = mismatch(text, evidence, surroundings) if len(evidence) == len(verified) else None
    if wrong is None:
        return None
    return UnsupportedSentence(text, start, end, "not_in_quote" if wrong.missing else "quote_denies", wrong.missing)


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
