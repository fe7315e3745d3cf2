"""Chooses the extracts that answer a question, by their words, their place and the kind of thing that is asked for."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from footnote.extracts import Passage
from footnote.extracts.about import is_meant, of_section, summary
from footnote.extracts.constraints import misses
from footnote.extracts.cutting import LONGEST, Extract, Form, cut
from footnote.extracts.defining import short_forms
from footnote.extracts.fit import Criteria, fit
from footnote.extracts.question import SUPERLATIVE, QuestionIntent, meaning, understood
from footnote.extracts.synonyms import synonyms_of
from footnote.extracts.wording import Kind
from footnote.text.sentences import stems

_NONE = frozenset[str]()
NOTHING_RELATED: Mapping[str, float] = {}
MOST = 3
FEWEST_WORDS = 3
SHORT_TERM = 2  # words; the definition of a longer term may use other words
WORTH_ADDING = 0.55  # of the best score
UNHELD = 0.1  # score of an extract without a word of the question: it may answer in other words
HALF = 0.5  # of the question's words in the best extract: one with fewer may be about something else
INFLECTED = 0.5  # of the least share of words, where these have more forms than stems are cut to
ALIKE = 0.7  # of its words that are in one chosen before it

# How much of an extract's score depends on holding the kind of thing that is asked for.
_LEANING = {
    "when": 0.7,
    "who": 0.7,
    "value": 0.7,
    "howto": 0.3,
    "list": 0.8,
    "where": 0.4,
    "definition": 0.8,
    "acronym": 0.9,
}

_LEANING_WORD = re.compile(
    r"(?:it|its|they|their|this|these|that|those|he|his|she|her|such|however|therefore|thus|hence|instead|also|moreover"
    r"|then|each|both|es|sie|er|dies\w*|diese\w*|dabei|damit|jedoch|daher|il|elle|ils|elles|ce|cette|ces|cela|esto|este"
    r"|esta|estos|estas|ello|questo|questa|essa|esse|isso|deze|dit|dat|hij|zij)\b",
    re.IGNORECASE,
)
_SMALL = re.compile(r"(?<![{,@.\w])[a-zß-ÿ]{3,}(?![\w,@}])")
_ELSEWHERE = re.compile(r"\bincorporated (?:herein )?by reference\b", re.IGNORECASE)
_LISTED = meaning("exhibit exhibits reference references")

# Across languages the question's words are not there, and how related a sentence is to it stands for them.
WHOLLY_RELATED = 0.6  # as good as all of the question's words
SURELY_RELATED = 0.35  # it may claim to answer, if it holds the kind of thing that is asked for
CLEARLY_RELATED = 0.5  # or where any sentence may answer, or many hold it

_LEAST_TOLD = {
    "fact": 0.4,
    "yes_no": 0.5,
    "compare": 0.3,
    "howto": 0.25,
    "where": 0.2,
    "who": 0.1,
    "value": 0.05,
    "when": 0.05,
}
_LEAST = {"howto": 0.4, "when": 0.5, "who": 0.5, "value": 0.5, "list": 0.3, "acronym": 0.9}


@dataclass(frozen=True)
class Chosen:
    """The extracts, as their passages are ranked.

    `answers`: they hold what the question asks for, as far as rules can tell.
    """

    found: Sequence[Extract]
    answers: bool


@dataclass(frozen=True)
class _Rated:
    """`held`: the share of the question's words; `fit`: how well it holds the kind of thing that is asked for.

    `told`: the share of its words that name nothing: names stand everywhere in what is about them. 0 if only its
    heading and its neighbours have any. `related`: how related it is to a question in another language.
    """

    extract: Extract
    score: float
    held: float
    fit: float
    told: float = 1.0
    related: float | None = None


def choose(question: str, passages: Sequence[Passage], related: Mapping[str, float] = NOTHING_RELATED) -> Chosen:
    """Up to MOST extracts, each adding something to those before it.

    `related`: of texts in another language than the question, how related they are to it.
    """
    intent = understood(question)
    if intent.section and passages:
        return Chosen(*of_section(passages, intent.section, intent.words))
    if intent.kind == "about" and passages:
        found = summary(passages)
        return Chosen(found, any(each.form == "sentence" for each in found) and is_meant(passages, intent.words))
    found = [each for each in cut(passages) if len(each.words) >= FEWEST_WORDS and _says_something(intent, each)]
    if not intent.words or not found:
        return Chosen((), False)
    small = frozenset(word for passage in passages for word in _SMALL.findall(passage.text))
    short = short_forms([each.text for each in passages], intent.words)
    like = synonyms_of(intent.words)
    ranked = sorted(_rated(Criteria(intent, small, short, like), found, related), key=lambda rated: -rated.score)
    best = _unlike(ranked if intent.kind in _LEANING else _first_passage_first(ranked))
    chosen = sorted(best, key=lambda rated: rated.extract.marker)  # as retrieval ranked their passages
    of = {each.marker: each for each in passages}
    fitting = [each for each in chosen if _is_sure(intent, each) and not misses(question, of[each.extract.marker])]
    shown = fitting if fitting and intent.kind in _LEANING else chosen
    led = [_led(each.extract, of[each.extract.marker].text) for each in shown]
    if intent.kind == "howto":
        led = [_with_command(each, of[each.marker].text) for each in led]
    return Chosen(led, bool(fitting))


def _first_passage_first(ranked: Sequence[_Rated]) -> list[_Rated]:
    """Where any sentence may answer, retrieval knows better than words which passage does."""
    least = HALF * max((each.held for each in ranked), default=0.0)
    first = next((each for each in ranked if each.extract.marker == 1 and each.held > least), None)
    return [*([first] if first else ()), *(each for each in ranked if each is not first)]


def _says_something(intent: QuestionIntent, extract: Extract) -> bool:
    """Not what lists where else something stands: its dates and names are those of other documents."""
    return not _ELSEWHERE.search(extract.text) or not intent.words.isdisjoint(_LISTED)


def _unlike(ranked: Sequence[_Rated]) -> list[_Rated]:
    """The best ones that are worth adding, without near duplicates."""
    chosen: list[_Rated] = []
    for rated in ranked:
        if len(chosen) == MOST or rated.score < WORTH_ADDING * ranked[0].score:
            break
        if not any(_alike(rated.extract, other.extract) for other in chosen):
            chosen.append(rated)
    return chosen


def _is_sure(intent: QuestionIntent, rated: _Rated) -> bool:
    """Whether it certainly holds what is asked for, as far as its words tell, or across languages its meaning."""
    least = _LEAST_TOLD.get(intent.kind, 0.0) * (1.0 if intent.is_english else INFLECTED)
    enough = intent.is_statement or rated.told >= least
    if rated.related is not None:
        enough = enough or rated.related >= (
            SURELY_RELATED if _LEANING.get(intent.kind, 0.0) > HALF else CLEARLY_RELATED
        )
    enough = enough and (not intent.is_superlative or SUPERLATIVE.search(rated.extract.text) is not None)
    return rated.held > 0 and rated.fit >= _least(intent) and enough


def _least(intent: QuestionIntent) -> float:
    """How well an extract must fit, so that it may count as an answer."""
    if intent.kind == "definition" and len(intent.words) <= SHORT_TERM:
        return 0.5
    return _LEAST.get(intent.kind, 0.0)


def _led(extract: Extract, text: str) -> Extract:
    """With the sentence before it, if it leans on that."""
    start = extract.start if extract.lead is None else extract.lead
    if not _LEANING_WORD.match(extract.text) or "\n\n" in text[start : extract.start] or extract.end - start > LONGEST:
        return extract
    return replace(extract, start=start, text=text[start : extract.end])


_COMMAND_BEHIND = re.compile(r"\s*(?:[^\n:]{0,160}:)?\s*\n\s*(?:```[^`]{1,1000}\n\s*```|[$>] [^\n]{1,200})")


def _with_command(extract: Extract, text: str) -> Extract:
    """With the command that is shown after it, and what leads to that."""
    behind = _COMMAND_BEHIND.match(text, extract.end)
    if behind is None or behind.end() - extract.start > LONGEST:
        return extract
    return replace(extract, end=behind.end(), text=text[extract.start : behind.end()])


def _alike(one: Extract, other: Extract) -> bool:
    overlaps = one.marker == other.marker and one.start < other.end and other.start < one.end
    return overlaps or len(one.words & other.words) >= ALIKE * len(one.words)


def _rated(criteria: Criteria, found: Sequence[Extract], related: Mapping[str, float]) -> list[_Rated]:
    """Extracts with their scores: all that may be within WORTH_ADDING of the best, whose fit alone is looked at.

    The share of the question's words that it holds, weighted by their rarity among all extracts (idf), more than in
    proportion, because two halves answer nothing; times its fit and its shape. Less for a long text, and for a passage
    that retrieval ranked lower.
    """
    intent = criteria.intent
    framed = _framed(intent, found)
    own = [each.words | _signing(each.text) | framed.get(each.marker, _NONE) for each in found]
    words = [_spelled_words(each, criteria) for each in own]
    frequency = Counter(word for each in words for word in each)
    weight = {word: math.log(1 + len(found) / (1 + frequency[word])) for word in intent.words}
    whole, leaning = sum(weight.values()), _LEANING.get(intent.kind, 0.0)
    common = sum(weight[word] for word in intent.common)
    ranks = 6 if leaning else 0.6  # where any sentence may answer, the rank of its passage tells more
    fitting = []  # as if all fitted
    for each, has in zip(found, words, strict=True):
        reach = {word: weight[word] * _reach(each, has, word) for word in intent.words}
        held = sum(reach.values()) / whole
        told = sum(reach[word] for word in intent.common) / common if common else 1.0
        told = 0.0 if intent.common and intent.common.isdisjoint(has) else told
        meant = related.get(each.text)
        held = held if meant is None else max(held, min(1.0, meant / WHOLLY_RELATED))
        damped = math.sqrt((8 + min(len(each.words), 40)) * (ranks + each.marker))
        fitting.append(
            _Rated(each, math.pow(UNHELD + held, 1.5) * _shape(intent, each) / damped, held, 1.0, told, meant)
        )
    rated: list[_Rated] = []
    best = 0.0
    for one in sorted(fitting, key=lambda other: -other.score):
        if one.score < WORTH_ADDING * best:
            break
        fits = fit(criteria, one.extract.text)
        rated.append(replace(one, score=one.score * (1 - leaning + leaning * fits), fit=fits))
        best = max(best, rated[-1].score)
    return rated


# What is no sentence tells less, except where it is what is asked for.
_SHAPES: dict[Form, tuple[float, tuple[Kind, ...], float]] = {
    "list": (1.0, ("list", "howto", "about"), 0.6),
    "entry": (0.9, ("definition", "howto", "about"), 0.7),
    "line": (1.0, ("who", "when", "value", "where"), 0.6),
}


def _shape(intent: QuestionIntent, extract: Extract) -> float:
    if extract.form == "list" and intent.words <= extract.words:
        return 1.0  # what leads in says all that is asked
    worth, kinds, otherwise = _SHAPES.get(extract.form, (1.0, (), 1.0))
    return worth if intent.kind in kinds else otherwise


_SIGNED = frozenset(stems("signed signature"))


def _signing(text: str) -> frozenset[str]:
    """What the mark before a name says that stands for a signature."""
    return _SIGNED if "/s/" in text else frozenset()


def _spelled_words(words: frozenset[str], criteria: Criteria) -> frozenset[str]:
    """With what short forms stand for, short forms of what is spelled out, and the question's words for the same."""
    for short, spelled in criteria.short.items():
        if short in words or spelled <= words:
            words = words | spelled | {short}
    return words.union(word for word, others in criteria.like.items() if not words.isdisjoint(others))


def _framed(intent: QuestionIntent, found: Sequence[Extract]) -> dict[int, frozenset[str]]:
    """By passages, those of the question's words that say where its term belongs: `a package in Cargo`.

    If the passage has them, the definition itself need not.
    """
    frame = intent.words - meaning(intent.subject) if intent.kind == "definition" else _NONE
    held: dict[int, frozenset[str]] = {}
    for each in found if frame else ():
        held[each.marker] = held.get(each.marker, _NONE) | (frame & (each.words | each.title))
    return held


def _reach(extract: Extract, words: frozenset[str], word: str) -> float:
    if word in words:
        return 1.0
    return 0.5 if word in extract.title else 0.33 if word in extract.around else 0.0
