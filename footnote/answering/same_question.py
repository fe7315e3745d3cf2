"""Whether two questions that are near in meaning ask the same; plain rules, no model.

Embeddings hardly tell 2018 from 2019, men from women, most from least, above all in long questions. So these rules have
the last word. One too many costs an answer that is made again; one too few gives a wrong one.
"""

import re
from collections.abc import Iterator

from footnote.providers.extractive import STOP
from footnote.text import folded
from footnote.text.sentences import stems

# Each line is one thing that a question may ask for, or by which it is turned around: in both, or in neither.
_TURNS = [
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
# What begins a question with a capital letter, and is no name.
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


def alike(one: str, other: str) -> bool:
    """Whether both hold the same numbers, names, quoted phrases and turns, and neither has put one word for another.

    That one says more than the other is left to their distance.
    """
    one, other = folded(one), folded(other)
    if one == other:
        return True
    here, there = (set(stems(_POSSESSIVE.sub("", each))) - STOP for each in (one, other))
    return _marks(one) == _marks(other) and (here <= there or there <= here)


def _marks(question: str) -> frozenset[str | int]:
    return frozenset((*_literal(question), *_turns(question)))


def _literal(question: str) -> Iterator[str]:
    """A name is taken to begin with a capital letter."""
    for match in _WORD.finditer(question):
        word = match.group().replace("’", "'")
        if any(map(str.isdigit, word)) or (word[0] != word[0].lower() and word.lower() not in _BEGINNINGS):
            yield word.lower().removesuffix("'s")
    yield from (phrase.lower() for phrase in _QUOTED.findall(question))


def _turns(question: str) -> Iterator[int]:
    words = {match.group().lower().replace("’", "'") for match in _WORD.finditer(question)}
    return (place for place, turn in enumerate(_TURNS) if words & turn)
