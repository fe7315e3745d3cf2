"""What a question names and no passage holds: names, identifiers, versions, years, quarters. Pure.

A question about another company or year than the documents' finds passages that fit it in all other words. What it
names is read by plain rules (`question_names`) and looked for in what was found (`evidence`). In doubt a name counts as
held: a word is looked for in other forms, spelled apart or together, as an acronym or behind one.
"""

from collections.abc import Sequence

from footnote.extracts.evidence import HeldText
from footnote.extracts.question_names import Named, named

NEAR = 1  # years


def unmet(question: str, evidence: Sequence[str]) -> list[str]:
    """What the question names and none of the texts holds, as the question spells it, in its order, each once.

    `evidence` is everything that was found: texts, titles, file names, headings, metadata. Without any, nothing is
    said to be missing.
    """
    if not any(evidence):
        return []
    held, names = HeldText(evidence), list(dict.fromkeys(named(question)))
    near = _years_near(names, held)
    return list(dict.fromkeys(each.text for each in names if not _is_held(each, held, near)))


def _years_near(names: Sequence[Named], evidence: HeldText) -> frozenset[int]:
    """The years of the question that are held, and their neighbours: of a stretch of years, not all are written."""
    held = {int(each.parts[0]) for each in names if each.kind == "year"} & evidence.years
    return frozenset(year + step for year in held for step in range(-NEAR, NEAR + 1))


def _is_held(one: Named, evidence: HeldText, years: frozenset[int]) -> bool:
    if one.kind == "year":
        return int(one.parts[0]) in years
    if one.kind == "quarter":
        return int(one.parts[0]) in evidence.quarters
    if one.kind == "version":
        return evidence.has_number(one.parts[-1])
    return evidence.has_name(one.parts)
