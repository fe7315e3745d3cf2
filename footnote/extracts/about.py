"""What a document is about: its title, and the sentences of its beginning that say most of what it says often."""

import math
import re
from collections import Counter
from collections.abc import Sequence

from footnote.extracts import Passage
from footnote.extracts.cutting import Extract, cut
from footnote.extracts.question import meaning
from footnote.extracts.wording import STOP

BEGINNING = 5  # passages
SENTENCES = 3
FEWEST_WORDS = 6
LATER = 0.06  # what each sentence before one takes away

# Headings of what says it in short.
_IN_SHORT = re.compile(
    r"\b(?:abstract|summary|overview|introduction|description|purpose|name|outline|scope|zusammenfassung|einleitung"
    r"|überblick|résumé|resumen|introducción|riassunto|resumo|samenvatting)\b",
    re.IGNORECASE,
)


def summary(passages: Sequence[Passage]) -> list[Extract]:
    """Of the document of the first passage, in its order: the first line if it is a title, and some sentences."""
    document = passages[0].title.partition(" > ")[0]
    found = cut([each for each in passages if each.title.partition(" > ")[0] == document][:BEGINNING])
    headings = [meaning(each.title.split(" > ")[1]) for each in passages[:BEGINNING] if " > " in each.title]
    lines = [each for each in found if each.form == "line" and len(each.words) > 1]
    title = [each for each in lines if each.words in headings[:2] or each is found[0]][:1]
    sentences = [each for each in found if each.form == "sentence" and len(each.words) >= FEWEST_WORDS]
    often = Counter(word for each in found for word in each.words - STOP)

    def worth(number: int) -> float:
        sentence = sentences[number]
        words = sentence.words - STOP
        central = sum(math.log(often[word]) for word in words) / math.sqrt(1 + len(words))
        return (1 + central) * (1.5 if _IN_SHORT.search(sentence.label[:100]) else 1.0) / (1 + LATER * number)

    chosen: list[int] = []
    for number in sorted(range(len(sentences)), key=worth, reverse=True):
        words = sentences[number].words
        if all(len(words & sentences[other].words) < 0.7 * len(words) for other in chosen):
            chosen.append(number)
        if len(chosen) == SENTENCES:
            break
    return title + [sentences[number] for number in sorted(chosen)]
