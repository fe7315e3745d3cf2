"""The source of a sentence that a model wrote without a marker."""

import re
from collections.abc import Sequence

from footnote import citations
from footnote.answering.agreement import Evidence, content, mismatch
from footnote.retrieval import Hit

FEWEST = 4  # words that tell a sentence from others
HELD = 0.8  # of them that one sentence of a passage must hold

_MARKUP = re.compile(r"^\s*(?:[-*•>#]+|\d{1,3}[.)])\s+|[*_`]{1,3}")


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
    if len(wanted) < FEWEST:
        return None
    found = [(hit, citations.best_sentence(bare, hit.text)) for hit in hits]
    hit, words = max(found, key=lambda each: len(wanted & content(each[1])), default=(None, ""))
    if hit is None or len(wanted & content(words)) < HELD * len(wanted):
        return None
    start = hit.text.index(words)
    repeats = mismatch(bare, [Evidence(hit.text, start, start + len(words), hit.place)], hit.text) is None
    return (hit, words) if repeats else None
