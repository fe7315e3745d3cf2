"""Adds what a model left out: the quote of a marker, or the marker of a sentence."""

import re
from collections.abc import Sequence

from footnote import citations
from footnote.answering.agreement import QuotedText, content, mismatch
from footnote.retrieval import Hit
from footnote.text import sentences

FEWEST = 4  # words that distinguish a sentence from others
HELD = 0.8  # of them that one sentence of a passage must hold

_MARKUP = re.compile(r"^\s*(?:[-*•>#]+|\d{1,3}[.)])\s+|[*_`]{1,3}")


def best_quote(claim: str, hit: Hit) -> str:
    """The words of the passage that support the last sentence of the claim best: one sentence, or up to three."""
    last = claim[slice(*(sentences.spans(claim) or [(0, len(claim))])[-1])]
    words = citations.best_sentence(claim, hit.text)
    start = hit.text.find(words)
    choices = [words, *citations.widened(hit.text, start, start + len(words))]
    return next((each for each in choices if _agrees(last, hit, each)), words)


def source_of(sentence: str, hits: Sequence[Hit]) -> tuple[Hit, str] | None:
    """The passage, and its words, that the sentence quotes or nearly repeats; None if there is none.

    A sentence that says a value or a name that the passage does not have repeats something else.
    """
    bare = _MARKUP.sub("", sentence).strip()
    for words in citations.quoted(bare):
        for hit in hits:
            if citations.locate(words, hit.text):
                return hit, words
    wanted = content(bare)
    if len(wanted) < FEWEST or not hits:
        return None
    found = [(hit, citations.best_sentence(bare, hit.text)) for hit in hits]
    hit, words = max(found, key=lambda each: len(wanted & content(each[1])))
    holds = len(wanted & content(words)) >= HELD * len(wanted)
    return (hit, words) if holds and _agrees(bare, hit, words) else None


def _agrees(sentence: str, hit: Hit, words: str) -> bool:
    start = hit.text.find(words)
    return mismatch(sentence, [QuotedText(hit.text, start, start + len(words), hit.place)], hit.text) is None
