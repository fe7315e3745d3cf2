"""What a question names and no passage holds: names, identifiers, versions, years, quarters. Pure.

A question about another company or year than the documents' finds passages that fit it in all other words. What it
names is read by plain rules (`question_names`) and looked for in what was found (`evidence`). In doubt a name counts as
held: a word is looked for in other forms, spelled apart or together, as an acronym or after one.
"""

from collections.abc import Sequence

from footnote.extracts import Passage
from footnote.extracts.evidence import EvidenceText
from footnote.extracts.question_names import Named, named

NEAR = 1  # years
BEFORE = 1500  # characters before a passage that may name what it is about


def unmet(question: str, evidence: Sequence[str]) -> list[str]:
    """What the question names and none of the texts holds, as the question spells it, in its order, each once.

    `evidence` is everything that was found: texts, titles, file names, headings, metadata. Without any, nothing is
    said to be missing.
    """
    if not any(evidence):
        return []
    held, names = EvidenceText(evidence), list(dict.fromkeys(named(question)))
    near = _years_near(names, held)
    return list(dict.fromkeys(each.text for each in names if not _is_held(each, held, near)))


def misses(question: str, passage: Passage) -> bool:
    """Whether one passage holds nothing of something that the question names: then its values are of others.

    Of a name of several words, one of them is enough: "Knative" for "Knative Serving".
    """
    evidence = f"{passage.title}\n{passage.before[-BEFORE:]}\n{passage.text}"
    held, names = EvidenceText([evidence]), named(question)
    near = _years_near(names, held)
    lower = evidence.lower()
    return any(not _is_held(one, held, near) and not _has_part(one, lower) for one in names)


def _has_part(one: Named, text: str) -> bool:
    return one.kind == "name" and any(len(part) > 3 and part.lower() in text for part in one.parts)


def _years_near(names: Sequence[Named], evidence: EvidenceText) -> frozenset[int]:
    """The years of the question that are held, and their neighbours: of a stretch of years, not all are written."""
    held = {int(each.parts[0]) for each in names if each.kind == "year"} & evidence.years
    return frozenset(year + step for year in held for step in range(-NEAR, NEAR + 1))


def _is_held(one: Named, evidence: EvidenceText, years: frozenset[int]) -> bool:
    if one.kind == "year":
        return int(one.parts[0]) in years
    if one.kind == "quarter":
        return int(one.parts[0]) in evidence.quarters
    if one.kind == "version":
        return evidence.has_number(one.parts[-1])
    return evidence.has_name(one.parts)
