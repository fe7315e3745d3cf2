"""How well a piece of text holds the kind of thing that a question asks for."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from footnote.extracts.calendar import years
from footnote.extracts.defining import defines, spells_out
from footnote.extracts.question import MODAL, QuestionIntent
from footnote.extracts.synonyms import counted_with
from footnote.extracts.units import Value
from footnote.extracts.values import values
from footnote.extracts.wording import Kind, Measure
from footnote.text.sentences import stems

OTHERWISE = 0.4  # factor for a text about another year, or a number of other things
BEFORE, BEHIND = 40, 60  # characters of a number, in which what is counted is named
FAR = 80  # characters from a word of the question, at which a value counts half

_CAPITAL = r"(?:[A-ZÀ-Þ][a-zß-ÿ]+(?:[-'’][A-ZÀ-Þ]?[a-zß-ÿ]+)?|[A-Z]\.)"
_PARTICLE = r"(?:van|von|de|der|den|del|da|di|la|le|bin|al)"
_NAME = re.compile(rf"{_CAPITAL}(?:[ \u00a0](?:{_PARTICLE}[ \u00a0])?(?:[A-Z]\.|[A-ZÀ-Þ][\w'’-]+)){{1,4}}")
_ARTICLE = re.compile(r"(?<!\w)(?:the|an?|our|its|their|der|die|das|l[ae]|les|el|los|las|il|het) $", re.IGNORECASE)
_NO_PERSON = re.compile(
    r"\b(?:Inc|Corp|Corporation|Company|Act|Board|Committee|University|Department|Section|Item|Note|Table|Figure|Report"
    r"|District|Bank|States|Street|Agency|Program|Group|Fund|Exchange|Commission|January|February|March|April|May|June"
    r"|July|August|September|October|November|December|The|This|In|Our|We|Each|All|Code|Plan|Services?|Management"
    r"|Public|Form|Notes?|Financial|Statements?|Exhibits?|Annual|General|Information|Securities)\b"
)
_ROLE = re.compile(
    r"\b(?:by|author|name|signed|president|chair\w*|director|officer|superintendent|minister|secretary|manager|editor"
    r"|von|par|por|da|door|autor\w*|auteur\w*)\b|/s/",
    re.IGNORECASE,
)
_BOUND = re.compile(
    r"\b(?:the|an?|only|each|every|any|no|all|both|der|die|das|nur|jede[rs]?|l[ae]|les|seule?s?|chaque|el|los|las|s[oó]lo"
    rf"|cada|il|gli|os?|as?|de|het|alleen)\s(?:[^\W\d_][\w'’-]{{0,30}}\s){{1,4}}{MODAL}\b",
    re.IGNORECASE,
)
_AGENT = re.compile(
    r"\b(?:by|von|par|por|da|door) (?:the|an?|dem|der|einem|einer|la|le|un|une|el|una|il|de|het|een|o|um|uma) \w{3}"
)
_STEP = re.compile(
    r"`[^`\n]{2,80}`|(?<![\w-])--?[a-z][\w-]+|\b(?:run|use|click|select|set|press|type|enter|open|choose|contact|add"
    r"|remove|create|install|go to|call|send|must|should|need to|please|by (?:\w+ing|setting)|can be \w+ed|you can"
    r"|führen|verwenden|klicken|wählen|setzen|drücken|müssen|utilisez|cliquez|exécutez|ejecute|haga|usa|esegui)\b",
    re.IGNORECASE,
)
_SERIES = re.compile(r"[,;]\s")
_PLACE = re.compile(
    r"\b(?:in|at|near|from|located|based|headquarter\w*|à|en|dans|bei|nach|aus)\s(?:the\s)?[A-ZÀ-Þ]", re.MULTILINE
)
_TOKEN = re.compile(r"[^\W_]+")

# What a value of a kind is worth where a number of this measure is asked for.
_WORTH: dict[Measure | None, dict[str, float]] = {
    "money": {"money": 1.0, "number": 0.4, "percent": 0.3},
    "percent": {"percent": 1.0, "factor": 0.8, "number": 0.3},
    "duration": {"duration": 1.0, "date": 0.5, "number": 0.3},
    "count": {"number": 1.0, "measure": 0.6, "factor": 0.5},
    None: {"money": 1, "percent": 1, "duration": 1, "number": 0.9, "measure": 1, "factor": 1, "date": 0.3},
}


@dataclass(frozen=True)
class Criteria:
    """What is asked for; the words that the passages write in small letters, which are no names; short forms.

    `like`: for words of the question those that say the same.
    """

    intent: QuestionIntent
    small: frozenset[str]
    short: Mapping[str, frozenset[str]]
    like: Mapping[str, frozenset[str]] = field(default_factory=dict)


def fit(criteria: Criteria, text: str) -> float:
    """0 to 1: how well the text holds what is asked for; 1 where any sentence may answer."""
    check = _CHECKS.get(criteria.intent.kind)
    return (check(criteria, text) if check else 1.0) * (OTHERWISE if is_of_other_years(criteria.intent, text) else 1.0)


def is_of_other_years(intent: QuestionIntent, text: str) -> bool:
    """Whether it names years, and none of those that the question names."""
    named = {year for _, _, year in years(text)} if intent.years else set[int]()
    return bool(named) and named.isdisjoint(intent.years)


def _date(criteria: Criteria, text: str) -> float:
    """A date, quarter or year that the question does not have; of a rule, a condition."""
    found = (_near(criteria, text, value) for value in _new_values(criteria, text) if value.kind in _DATES)
    is_time = _DAY.search(text) or (criteria.intent.is_rule and _CONDITION.search(text))
    return max(found, default=0.6 if is_time else 0.0)


_DATES = ("date", "quarter", "year")
_CONDITION = re.compile(
    r"\b(?:when(?:ever)?|if|once|as soon as|before|after|until|while|during|every|wenn|sobald|bevor|nachdem|während"
    r"|lorsqu\w*|quand|dès|avant|après|cuando|antes|después|quando|prima|dopo|zodra|voordat|nadat)\b",
    re.IGNORECASE,
)
_MONTH = (
    r"(?:jan(?:uary|uar|vier)|feb(?:ruary|ruar|rero)|février|march|märz|mars|marzo|apr\w{2,3}|avril|abril|may|mai|mayo|jun[ei]"
    r"|juin|junio|jul[yi]|juillet|julio|august|août|agosto|sept\w{4,6}|o[ck]t\w{4,5}|nov\w{5,6}|d[eéi][cz]\w{5,6}|spring|summer"
    r"|autumn|winter|frühling|sommer|herbst)"
)
_DAY = re.compile(
    r"\b(?:from|in|since|until|till|by|between|during|early|late|every|each|im|ab|bis|von|seit|en|depuis|desde|hasta)"
    rf" {_MONTH}\b|"
    r"\b(?:day|on the) \d{1,2}(?:st|nd|rd|th)?\b|\b(?:mon|tues|wednes|thurs|fri|satur|sun)days?\b"
    r"|\b\d{1,2}(?:[:.]\d\d)? ?(?:[ap]\.?m\b|o'clock|uhr\b)|\btag \d|\bjour \d|\bdía \d|\bdag \d"
    r"|(?<![\d:])(?:[01]?\d|2[0-3]):[0-5]\d\b(?!:)|\b(?:à|de|dès|vers|avant|après) \d{1,2} ?h\b",
    re.IGNORECASE,
)


def _number(criteria: Criteria, text: str) -> float:
    worth = _WORTH[criteria.intent.measure]
    found = (
        worth.get(value.kind, 0.1) * _near(criteria, text, value) * _counts(criteria, text, value)
        for value in _new_values(criteria, text)
    )
    return max(found, default=0.0)


def _counts(criteria: Criteria, text: str, value: Value) -> float:
    """Less for a number of other things than those that are to be counted."""
    if not criteria.intent.counted:
        return 1.0
    around = stems(text[max(0, value.start - BEFORE) : value.end + BEHIND])
    return OTHERWISE if counted_with(criteria.intent.counted).isdisjoint(around) else 1.0


# Behind which a number is part of a name: "aboard Flight 302". A sentence may begin with "About".
_LABEL = re.compile(r"[\w,;:)] [A-ZÀ-Þ][\w-]+[ \u00a0\n]\Z")


def _new_values(criteria: Criteria, text: str) -> list[Value]:
    found = [value for value in _values(text) if text[value.start : value.end].lower() not in criteria.intent.words]
    if criteria.intent.measure != "count":
        return found
    return [
        each for each in found if each.kind != "number" or not _LABEL.search(text, max(0, each.start - 40), each.start)
    ]


@lru_cache(maxsize=2048)
def _values(text: str) -> tuple[Value, ...]:
    return tuple(values(text))


def _near(criteria: Criteria, text: str, value: Value) -> float:
    """1 next to a word of the question, a half far away from all."""
    low = max(0, value.start - FAR)
    gaps = [
        max(value.start - low - token.end(), token.start() - (value.end - low), 0)
        for token in _TOKEN.finditer(text[low : value.end + FAR])
        if not criteria.intent.words.isdisjoint(stems(token[0]))
    ]
    return 1 - 0.5 * min([*gaps, FAR]) / FAR


def _person(criteria: Criteria, text: str) -> float:
    """A name that the question does not have; more next to a role, or among other names. Of a rule, whom it binds."""
    best, named = 0.0, 0
    for match in _NAME.finditer(text):
        if _is_person(criteria, text, match):
            named += match.end() - match.start()
            around = text[max(0, match.start() - 40) : match.end() + 40]
            best = max(best, 1.0 if _ROLE.search(around) else 0.7 if _says(criteria, text, match) else OTHERWISE)
    is_role = _AGENT.search(text) or (criteria.intent.is_rule and _BOUND.search(text))
    return 1.0 if 2 * named > len(text) else max(best, 0.6 if is_role else 0.0)


def _is_person(criteria: Criteria, text: str, match: re.Match[str]) -> bool:
    """Whether a name may be a person's, and is not in the question; what an article is before is none."""
    if _NO_PERSON.search(match[0]) or _is_known(criteria, match[0]):
        return False
    return not _ARTICLE.search(text, max(0, match.start() - 6), match.start())


def _says(criteria: Criteria, text: str, match: re.Match[str]) -> bool:
    """Whether a word of the question that names nothing is near, if it has one."""
    common = criteria.intent.common.union(*(criteria.like.get(word, ()) for word in criteria.intent.common))
    around = text[max(0, match.start() - FAR) : match.end() + FAR]
    return not common or not common.isdisjoint(stems(around))


def _is_known(criteria: Criteria, name: str) -> bool:
    """Whether it is named in the question, or made of words that are no names."""
    parts = [part.lower() for part in _TOKEN.findall(name) if len(part) > 2]
    return not parts or not criteria.small.isdisjoint(parts) or not criteria.intent.words.isdisjoint(stems(name))


# A line to type: after a prompt, in a fenced block, or with an option.
_COMMAND = re.compile(r"(?m)^\s*(?:[$#>%] [a-z]|```|[a-z][\w./-]* (?:\S+ ){0,8}--?[a-z])")


def _steps(_criteria: Criteria, text: str) -> float:
    """Commands, options and words that say what to do."""
    if _COMMAND.search(text):
        return 1.0
    return min(1.0, 0.4 * len({match[0].lower() for match in _STEP.finditer(text)}))


def _series(_criteria: Criteria, text: str) -> float:
    return min(1.0, len(_SERIES.findall(text)) / 3 + text.count("\n") / 4)


def _place(_criteria: Criteria, text: str) -> float:
    return 1.0 if _PLACE.search(text) else 0.0


def _definition(criteria: Criteria, text: str) -> float:
    return defines(criteria.intent, text)


def _expansion(criteria: Criteria, text: str) -> float:
    return spells_out(criteria.intent.subject, text)


_CHECKS: dict[Kind, Callable[[Criteria, str], float]] = {
    "when": _date,
    "who": _person,
    "value": _number,
    "howto": _steps,
    "list": _series,
    "where": _place,
    "definition": _definition,
    "acronym": _expansion,
}
