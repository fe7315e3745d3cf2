"""The rows of the financial statements that a question names."""

import re
from collections.abc import Sequence

from footnote.extracts import Passage, grids, statements, tables
from footnote.extracts.calendar import years
from footnote.extracts.question import SUPERLATIVE
from footnote.extracts.tables import RowAnswer

CHUNKS = 2  # of each statement
ALMOST = 0.7  # of the likeliest passage's likeness
SURE = 0.3  # the score of a row that answers a question about a statement
MOST = 1  # row of each line that something is computed from

_ASKS = re.compile(
    r"(?:^|[,:] )(?=(?:what|which|how|when|who|did|does|do|is|was|were|are|has|have|wie|welche[rs]?|quel(?:le)?s?"
    r"|combien|cuánt[oa]s?|cuál)\b)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def passages_of(question: str, passages: Sequence[Passage]) -> list[Passage]:
    """Those of the first ones that are a statement which the question names: retrieval puts these first."""
    named, found = statements.named(question), list[Passage]()
    first = passages[: CHUNKS * len(named)]
    for one in named:
        likeness = [statements.likeness(one, each.text, each.title) for each in first]
        found += [each for each, like in zip(first, likeness, strict=True) if like and like >= ALMOST * max(likeness)]
    return sorted({each.marker: each for each in found}.values(), key=lambda each: each.marker)


def rows(question: str, of_them: Sequence[Passage]) -> tuple[list[RowAnswer], bool]:
    """The rows that it asks for, best first, and whether they say it: what is computed is in none.

    Of what is computed, the rows that it is computed from.
    """
    asked, is_computed = core(question), statements.is_computed(question)
    labels = [row.label for each in of_them for row in grids.rows(each.text, each.before, each.title)]
    lines = statements.lines_of(question if is_computed else asked, labels)
    if is_computed:
        dated = " ".join(str(year) for year in dict.fromkeys(year for _, _, year in years(question, asked=True)))
        asking = [f"How much was {label}{' in ' if dated else ''}{dated}?" for _, label in lines]
    else:
        asking = [_in_terms(asked, lines)]
    found = [tables.rows(each, of_them)[: MOST if is_computed else tables.MOST_ROWS] for each in asking]
    best = list({row.quote: row for rows in found for row in rows}.values())[: tables.MOST_ROWS]
    return best, bool(best) and best[0].score >= SURE and not (is_computed or SUPERLATIVE.search(asked))


def _in_terms(asked: str, lines: Sequence[tuple[re.Pattern[str], str]]) -> str:
    for pattern, label in lines:
        asked = pattern.sub(label.replace("\\", ""), asked)
    return asked


def core(question: str) -> str:
    """What is asked, without what is said of how to answer: the sentence with the question mark, from what asks on."""
    asking = [each for each in _SENTENCE_END.split(question) if each.endswith("?")]
    if not asking:
        return question
    begin = next((match.end() for match in _ASKS.finditer(asking[0])), 0)
    return asking[0][begin:]
