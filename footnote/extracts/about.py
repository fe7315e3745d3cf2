"""What a document is about: its title, and the sentences of its beginning that say most of what it says often.

Or what it concludes, recommends or found: sentences of the section of that name.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

from footnote.extracts import Passage
from footnote.extracts.cutting import Extract, cut
from footnote.extracts.question import meaning
from footnote.extracts.sections import GENERIC, NEAR, AskedSection
from footnote.extracts.wording import STOP

BEGINNING = 5  # passages
SENTENCES = 3
FEWEST_WORDS = 6
LATER = 0.06  # what each sentence before one takes away

_IN_NAMES, _SUFFIX = re.compile(r"[_.\-]+"), re.compile(r"\.[a-z]\w{1,4}\Z")
# Headings of what says it in short.
_IN_SHORT = re.compile(
    r"\b(?:abstract|summary|overview|introduction|description|purpose|name|outline|scope|zusammenfassung|einleitung"
    r"|überblick|résumé|resumen|introducción|riassunto|resumo|samenvatting)\b",
    re.IGNORECASE,
)
# Boxes to tick and captions of a form: they say what any such form asks, and nothing about what this one holds.
_OF_FORM = re.compile(
    r"[☐☑☒]|\bcheck (?:mark|the appropriate box)|\bregistered pursuant to\b|\(exact name of"
    r"|\bprincipal executive offices|\bthe registrant\b|\bidentification no",
    re.IGNORECASE,
)
# The cover of a report to a stock exchange's supervisor, from the number of the form to the company's name.
_COVER = re.compile(r"^FORM \d[\dA-Z-]*\n[\s\S]{20,700}?(?=\s*\n\(exact name of)", re.IGNORECASE | re.MULTILINE)


def _cover(passage: Passage) -> list[Extract]:
    """The cover's lines as one extract, if the passage is one."""
    match = _COVER.search(passage.text)
    if match is None:
        return []
    none = frozenset[str]()
    return [Extract(match[0], passage.marker, *match.span(), "sentence", meaning(match[0]), none, none, "")]


def summary(passages: Sequence[Passage]) -> list[Extract]:
    """Of the document of the first passage, in its order: its cover or its title, and some sentences."""
    own = _of_first_document(passages)
    headings = [meaning(each.title.split(" > ")[1]) for each in own[:BEGINNING] if " > " in each.title]
    found = cut(own)
    lines = [each for each in found if each.form == "line" and len(each.words) > 1]
    cover = _cover(own[0])
    title = [each for each in lines if each.words in headings[:2] or each is found[0]][:1]
    behind = cover[0].end if cover else 0
    sentences = [
        each for each in found if _says_something(each) and (each.marker != own[0].marker or each.start >= behind)
    ]
    first = list(dict.fromkeys(each.marker for each in sentences))[:BEGINNING]
    often = Counter(word for each in found if each.marker in first for word in each.words - STOP)
    return (cover or title) + _central([each for each in sentences if each.marker in first], often)


def _of_first_document(passages: Sequence[Passage]) -> list[Passage]:
    first, title = passages[0], passages[0].title.partition(" > ")[0]
    return [each for each in passages if each.document == first.document and each.title.partition(" > ")[0] == title]


def of_section(passages: Sequence[Passage], wanted: AskedSection, asked: frozenset[str]) -> tuple[list[Extract], bool]:
    """What the document of the first passage says under such headings, and whether that is what is asked for.

    It is not if it is under headings that are only near, is what the document is about, or if the document has not
    all the words of the question that tell which document is meant.
    """
    own = _of_first_document(passages)
    for section in (wanted, NEAR):
        if found := _in_section(own, section):
            return found, section is wanted and is_meant(passages, asked)
    return summary(passages), False


def is_meant(passages: Sequence[Passage], asked: frozenset[str]) -> bool:
    """Whether the document of the first passage has all the words of the question that tell which one is meant."""
    own = _of_first_document(passages)
    held = _parts(own[0].title).union(*(meaning(f"{each.title}\n{each.text}") for each in own))
    return all(word in held or _parts(_SUFFIX.sub("", word)) <= held for word in asked - GENERIC)


def _parts(name: str) -> frozenset[str]:
    """The words of the name of a file, or of what may be one."""
    return meaning(_IN_NAMES.sub(" ", name))


def _in_section(passages: Sequence[Passage], section: AskedSection) -> list[Extract]:
    """A list, and the sentences that have the words used most; lines where it consists of them."""
    inside = [each for passage in passages for each in _cut_within(passage, section)]
    lists = [each for each in inside if each.form == "list"][:1]
    sentences = [each for each in inside if _says_something(each) and not any(_overlaps(each, one) for one in lists)]
    often = Counter(word for each in inside for word in each.words - STOP)
    lines = [each for each in inside if each.form == "line" and len(each.words) >= FEWEST_WORDS]
    lines = [each for each in lines if not section.begins(each.text)]
    chosen = _central(sentences or ([] if lists else lines), often)[: SENTENCES - len(lists)]
    return sorted(chosen + lists, key=lambda each: (each.marker, each.start))


def _cut_within(passage: Passage, section: AskedSection) -> list[Extract]:
    spans = list(section.spans(passage.title, passage.before, passage.text))
    found = cut([passage]) if spans else []
    return [each for each in found if any(start <= each.start and each.end <= end for start, end in spans)]


def _overlaps(one: Extract, other: Extract) -> bool:
    return one.marker == other.marker and one.start < other.end and other.start < one.end


def _says_something(extract: Extract) -> bool:
    """A whole sentence that is no part of a form."""
    whole = extract.form == "sentence" and len(extract.words) >= FEWEST_WORDS
    return whole and not extract.text[0].islower() and not _OF_FORM.search(extract.text)


def _central(sentences: Sequence[Extract], often: Counter[str]) -> list[Extract]:
    """Those that have the words used most; an early one counts more, and one under a heading such as `Abstract`."""

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
    return [sentences[number] for number in sorted(chosen)]
