"""Chooses the pieces of passages that answer a question, by words, place and the kind of thing that is asked for."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from footnote.extracts import Passage
from footnote.extracts.fit import Sought, holds
from footnote.extracts.pieces import Piece, pieces
from footnote.extracts.question import Asked, understood

MOST = 3
WORTH_ADDING = 0.55  # of the best piece's score
UNHELD = 0.1  # the score of a piece without a word of the question: it may answer in other words
ALIKE = 0.7  # of the words of a piece that stand in one chosen before it

# How much of a piece's score depends on holding the kind of thing that is asked for.
_WEIGHT = {
    "when": 0.7,
    "who": 0.7,
    "value": 0.7,
    "howto": 0.3,
    "list": 0.8,
    "where": 0.4,
    "definition": 0.8,
    "acronym": 0.9,
}

_SMALL = re.compile(r"(?<![{,@.\w])[a-zß-ÿ]{3,}(?![\w,@}])")

# How well the best piece must hold what is asked for, so that it may count as an answer.
_LEAST = {"when": 0.5, "who": 0.5, "value": 0.5, "list": 0.3, "acronym": 0.9}


@dataclass(frozen=True)
class Chosen:
    """The pieces, best first; `answers`: they hold what the question asks for, as far as rules can tell."""

    pieces: Sequence[Piece]
    answers: bool


def choose(question: str, passages: Sequence[Passage]) -> Chosen:
    asked = understood(question)
    found = [piece for piece in pieces(passages) if len(piece.words) >= 3]
    if not asked.words or not found:
        return Chosen((), False)
    small = frozenset(word for passage in passages for word in _SMALL.findall(passage.text))
    scores = _scores(Sought(asked, small), found)
    ranked = sorted(range(len(found)), key=lambda place: -scores[place][0])
    best = scores[ranked[0]]
    chosen: list[int] = []
    for place in ranked:
        if len(chosen) == MOST or scores[place][0] < WORTH_ADDING * best[0]:
            break
        if not any(_alike(found[place], found[other]) for other in chosen):
            chosen.append(place)
    return Chosen([found[place] for place in chosen], best[2] >= _LEAST.get(asked.kind, 0.0))


def _alike(piece: Piece, other: Piece) -> bool:
    within = piece.marker == other.marker and piece.start < other.end and other.start < piece.end
    return within or len(piece.words & other.words) >= ALIKE * len(piece.words)


def _scores(sought: Sought, found: Sequence[Piece]) -> list[tuple[float, float, float]]:
    """Of each piece its score, the share of the question's words that it holds, and how well it holds what is asked for.

    The share is weighted by the rarity of the words among all pieces (idf); words of the title count half, those of
    the sentence before a third.
    """
    asked = sought.asked
    frequency = Counter(word for piece in found for word in piece.words)
    weight = {word: math.log(1 + len(found) / (1 + frequency[word])) for word in asked.words}
    whole = sum(weight.values())
    kind = _WEIGHT.get(asked.kind, 0.0)
    scores = []
    for piece in found:
        held = sum(weight[word] * _reach(piece, word) for word in asked.words) / whole
        fits = holds(sought, piece.text)
        damped = math.sqrt((8 + min(len(piece.words), 40)) * (6 + piece.marker))
        score = math.pow(UNHELD + held, 1.5) * (1 - kind + kind * fits) * _shape(asked, piece) / damped
        scores.append((score, held, fits))
    return scores


def _shape(asked: Asked, piece: Piece) -> float:
    """What is no sentence tells less, except where a line is what is asked for."""
    if piece.is_list:
        return 1.0 if asked.kind in ("list", "howto", "about") else 0.6
    if piece.is_entry:
        return 0.9 if asked.kind in ("definition", "howto", "about") else 0.7
    if piece.is_line and asked.kind not in ("who", "when", "value", "where"):
        return 0.6
    return 1.0


def _reach(piece: Piece, word: str) -> float:
    if word in piece.words:
        return 1.0
    return 0.5 if word in piece.title else 0.33 if word in piece.around else 0.0
