"""Decides whether two questions with similar vectors ask the same: by rules, without a model.

Embeddings hardly distinguish 2018 from 2019, men from women, most from least, above all in long questions. So these
rules decide. If a rule is too strict, an answer is made again; if a rule is missing, a wrong answer is given.
"""

import re
from collections.abc import Iterator

from footnote.extracts.wording import STOP
from footnote.text import folded
from footnote.text.sentences import stems

# Words for what a question may ask for, or that reverse it. Both questions must have a word of a line, or neither.
_QUALIFIERS = [
    frozenset(line.split())
    for line in (
        "no not never none nor cannot don't doesn't didn't isn't aren't wasn't weren't can't won't",
        "without except but",
        "only",
        "all every each always",
        "more most",
        "less least fewer fewest",
        "before until",
        "after since",
        "who whom whose",
        "when",
        "where",
        "why",
        "many much",
    )
]
# Words that may begin a question with a capital letter and are not names.
_BEGINNINGS = frozenset(
    word
    for line in (
        "a an the this that there i if we you it they and but or in on at of for from to by with please",
        "what which who whom whose when where why how is are was were do does did has have had",
        "can could should would will may might must",
        "compare describe explain find give list name show summarise summarize tell",
    )
    for word in line.split()
)
_WORD = re.compile(r"[^\W_]+(?:[-_.'’&/][^\W_]+)*")
_POSSESSIVE = re.compile(r"['’]s\b")
_QUOTED = re.compile(r"[\"“«]([^\"“”«»]{2,})[\"”»]")


def equivalent(one: str, other: str) -> bool:
    """Whether both have the same numbers, names, quoted phrases and qualifiers, and neither replaces a word.

    One may have more words than the other: their vectors decide that.
    """
    one, other = folded(one), folded(other)
    if one == other:
        return True
    here, there = (set(stems(_POSSESSIVE.sub("", each))) - STOP for each in (one, other))
    return _marks(one) == _marks(other) and (here <= there or there <= here)


def _marks(question: str) -> frozenset[str | int]:
    return frozenset((*_literal(question), *_qualifiers(question)))


def _literal(question: str) -> Iterator[str]:
    """Numbers, names and quoted phrases. Names are assumed to begin with a capital letter."""
    for match in _WORD.finditer(question):
        word = match.group().replace("’", "'")
        if any(map(str.isdigit, word)) or (word[0] != word[0].lower() and word.lower() not in _BEGINNINGS):
            yield word.lower().removesuffix("'s")
    yield from (phrase.lower() for phrase in _QUOTED.findall(question))


def _qualifiers(question: str) -> Iterator[int]:
    words = {match.group().lower().replace("’", "'") for match in _WORD.finditer(question)}
    return (place for place, line in enumerate(_QUALIFIERS) if words & line)
