"""How well a piece of text holds the kind of thing that a question asks for."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from footnote.extracts.question import Asked, Kind, meaning
from footnote.extracts.units import Value
from footnote.extracts.values import values
from footnote.text.sentences import stems

_NAME = re.compile(
    r"(?:[A-ZÀ-Þ][a-zß-ÿ]+(?:[-'’][A-ZÀ-Þ]?[a-zß-ÿ]+)?|[A-Z]\.)(?:[ \u00a0](?:[A-Z]\.|(?:van|von|de|der|den|del|da|di|la|le|bin|al)|[A-ZÀ-Þ][\w'’-]+)){1,4}"
)
_IS_NO_PERSON = re.compile(
    r"\b(?:Inc|Corp|Corporation|Company|Act|Board|Committee|University|Department|Section|Item|Note|Table|Figure|Report|Act"
    r"|District|Bank|States|Street|Agency|Program|Group|Fund|Exchange|Commission|January|February|March|April|May|June|July"
    r"|August|September|October|November|December|The|This|In|Our|We|Each|All|Code|Plan|Services?|Management|Public|Form"
    r"|Notes?|Financial|Statements?|Exhibits?|Annual|General|Information|Securities)\b"
)
_LABEL = re.compile(
    r"\b(?:by|author|name|signed|president|chair\w*|director|officer|superintendent|minister|secretary|manager|editor|von"
    r"|par|por|da|door|autor\w*|auteur\w*)\b|/s/",
    re.I,
)
_STEP = re.compile(
    r"`[^`\n]{2,80}`|(?<![\w-])--?[a-z][\w-]+|\b(?:run|use|click|select|set|press|type|enter|open|choose|contact|add|remove"
    r"|create|install|go to|call|send|must|should|need to|to do this|please|by (?:\w+ing|setting)|can be \w+ed|you can"
    r"|führen|verwenden|klicken|wählen|setzen|drücken|müssen|utilisez|cliquez|exécutez|use|ejecute|haga|usa|esegui)\b",
    re.I,
)
_FAR = 80  # characters
_SERIES = re.compile(r"[,;]\s")
_PLACE = re.compile(r"\b(?:in|at|near|from|located|based|headquarter\w*|à|en|dans|bei|nach|aus)\s+(?:the\s)?[A-ZÀ-Þ]")
_IS = (
    r"(?:is|are|was|were|means?|refers? to|denotes?|is called|describes?|represents?|consists? of|acts?|specif(?:y|ies)|ist|sind"
    r"|bedeutet|bezeichnet|heißt|est|sont|désigne|signifie|es|son|significa|è|sono|indica|é|são|betekent|zijn)"
)


@dataclass(frozen=True)
class Sought:
    """What is asked for, and the words that the passages write in small letters: they are no names."""

    asked: Asked
    small: frozenset[str]

    @property
    def words(self) -> frozenset[str]:
        return self.asked.words


def holds(sought: Sought, text: str) -> float:
    """0 to 1: how well the text holds what is asked for; 1 where any sentence may answer."""
    check = _CHECKS.get(sought.asked.kind)
    return check(sought, text) if check else 1.0


_TOKEN = re.compile(r"[^\W_]+")


def _near(sought: Sought, text: str, start: int, end: int) -> float:
    """1 beside a word of the question, less the further away."""
    low = max(0, start - _FAR)
    gaps = [
        max(start - low - token.end(), token.start() - (end - low), 0)
        for token in _TOKEN.finditer(text[low : end + _FAR])
        if not sought.words.isdisjoint(stems(token[0]))
    ]
    return 1 - 0.5 * min([*gaps, _FAR]) / _FAR


def _when(sought: Sought, text: str) -> float:
    best = 0.0
    for value in _values(text):
        said = text[value.start : value.end]
        if value.kind == "year":
            worth = 0.0 if said.lower() in sought.words else 1.0
        elif value.kind in ("date", "quarter"):
            worth = 1.0
        else:
            continue
        best = max(best, worth * _near(sought, text, value.start, value.end))
    return best


def _who(sought: Sought, text: str) -> float:
    best, named = 0.0, 0
    for match in _NAME.finditer(text):
        if not _IS_NO_PERSON.search(match[0]) and not _is_known(sought, match[0]):
            named += match.end() - match.start()
            near = text[max(0, match.start() - 40) : match.end() + 40]
            best = max(best, 1.0 if _LABEL.search(near) else 0.7)
    return 1.0 if 2 * named > len(text) else best


def _is_known(sought: Sought, name: str) -> bool:
    """Whether it is named in the question, or made of words that are no names."""
    parts = [part.lower() for part in _TOKEN.findall(name) if len(part) > 2]
    return not parts or not sought.small.isdisjoint(parts) or not sought.words.isdisjoint(stems(name))


def _value(sought: Sought, text: str) -> float:
    best = 0.0
    for value in _values(text):
        if text[value.start : value.end].lower() in sought.words:
            continue
        best = max(best, _fits(sought.asked, value) * _near(sought, text, value.start, value.end))
    return best


_MEASURED: dict[str | None, dict[str, float]] = {
    "money": {"money": 1.0, "number": 0.4, "percent": 0.3},
    "percent": {"percent": 1.0, "factor": 0.8, "number": 0.3},
    "duration": {"duration": 1.0, "date": 0.5, "number": 0.3},
    "count": {"number": 1.0, "measure": 0.6, "factor": 0.5},
    None: {"money": 1.0, "percent": 1.0, "duration": 1.0, "number": 0.9, "measure": 1.0, "factor": 1.0, "date": 0.3},
}


def _fits(asked: Asked, value: Value) -> float:
    return _MEASURED[asked.measure].get(value.kind, 0.1)


def _howto(sought: Sought, text: str) -> float:
    found = len({match[0].lower() for match in _STEP.finditer(text)})
    return min(1.0, 0.4 * found)


def _list(sought: Sought, text: str) -> float:
    return min(1.0, len(_SERIES.findall(text)) / 3 + 0.25 * text.count("\n"))


def _where(sought: Sought, text: str) -> float:
    return 1.0 if _PLACE.search(text) else 0.0


def _definition(sought: Sought, text: str) -> float:
    patterns = _defining(sought.asked.subject)
    return max((worth for worth, pattern in patterns if pattern.search(text)), default=_entry(sought, text))


def _entry(sought: Sought, text: str) -> float:
    """Whether the first line of several is what is to be explained, as in a glossary or a list of options."""
    line, _, rest = text.partition("\n")
    named = meaning(line)
    if not rest.strip() or not named or len(named) > 4:
        return 0.0
    subject = meaning(sought.asked.subject) & sought.words
    return 0.9 if named <= sought.words and (subject <= named or "-" in line) else 0.0


@lru_cache(maxsize=64)
def _defining(subject: str) -> list[tuple[float, re.Pattern[str]]]:
    """What defines the subject, with its worth: "A subject is ...", "called a *subject*"."""
    words = [re.escape(word) for word in subject.split()[:8]]
    if not words:
        return []
    term = r"[\s\-]+".join(words[:-1] + [_inflected(words[-1])])
    marked = rf"(?:\*{{1,2}}|_{{1,2}}|`|[\"“‘«„]){term}(?:\*{{1,2}}|_{{1,2}}|`|[\"”’»“])"
    opening = r"(?:\A|[.:;]\s|\n)\W{0,4}(?:(?:an?|the|each|every|in \w+, an?|der|die|das|eine?|une?|l[ae]|les|el|los|un|il)\s)?"
    return [
        (1.0, re.compile(rf"{opening}{marked}\s{_IS}\b", re.I)),
        (1.0, re.compile(rf"{opening}{term}(?:\s\([^()]{{1,40}}\))?\s{_IS}\b", re.I)),
        (
            0.9,
            re.compile(
                rf"\b(?:called|termed|named|known as|means|define[ds]? (?:as|an?))\s(?:an?\s|the\s)?{marked}", re.I
            ),
        ),
        (0.8, re.compile(rf"\b(?:called|termed|known as|defined as|definition of)\s(?:an?\s|the\s)?{term}\b", re.I)),
        (0.7, re.compile(rf"{opening}{term}\s?[:—–]\s", re.I)),
        (0.6, re.compile(rf"\b{term}(?:\s\([^()]{{1,40}}\))?\s{_IS}\b", re.I)),
        (0.4, re.compile(rf"\b{term},\s(?:which|an?|the|or)\s|{marked}", re.I)),
    ]


def _inflected(word: str) -> str:
    stem = re.sub(r"(?<=\w{3})(?:es|s)\Z", "", word)
    return rf"{stem}(?:e?s)?"


def _acronym(sought: Sought, text: str) -> float:
    short = re.escape(sought.asked.subject)
    best = 0.0
    before = re.compile(
        rf"([^()\n]{{3,120}}(?:\n[^()\n]{{0,120}})?)\s?[(\[](?:[^()\n]{{0,30}}\b)?[\"“‘']?(?:the\s)?[\"“‘']?{short}\b"
    )
    for match in before.finditer(text):
        best = max(best, 1.0 if _spells(match[1], sought.asked.subject) else 0.2)
    for match in re.finditer(rf"\b{short}\b[\"”’']?\s?\(([^()]{{5,120}})\)", text):
        best = max(best, 1.0 if _spells(match[1], sought.asked.subject) else 0.3)
    if re.search(
        rf"\b{short}\b[\"”’']?\s(?:stands for|is short for|is the abbreviation|steht für|means|bedeutet|signifie|significa)",
        text,
    ):
        best = 1.0
    if best < 0.9 and _spelled_before(text, sought.asked.subject):
        best = 0.9
    return best


def _spells(words: str, short: str) -> bool:
    """Whether the last words of a text begin with the letters of its short form."""
    letters = [letter for letter in short.rstrip("s").lower() if letter.isalpha()]
    initials = [part[0].lower() for part in re.findall(r"[^\W\d_]+", words)][-2 * len(letters) - 2 :]
    at = len(initials)
    for letter in reversed(letters):
        while at and initials[at - 1] != letter:
            at -= 1
        if not at:
            return False
        at -= 1
    return True


def _spelled_before(text: str, short: str) -> bool:
    """Whether the text has the words and, not far from them, the short form without parentheses."""
    found = re.search(rf"\b{re.escape(short)}\b", text)
    if not found:
        return False
    letters = short.rstrip("s").lower()
    near = re.findall(r"[^\W\d_]+", text[max(0, found.start() - 150) : found.start()])[-12:]
    initials = "".join(word[0].lower() for word in near)
    return len(letters) >= 3 and letters in initials


@lru_cache(maxsize=2048)
def _values(text: str) -> list[Value]:
    return values(text)


_CHECKS: dict[Kind, Callable[[Sought, str], float]] = {
    "when": _when,
    "who": _who,
    "value": _value,
    "howto": _howto,
    "list": _list,
    "where": _where,
    "definition": _definition,
    "acronym": _acronym,
}
