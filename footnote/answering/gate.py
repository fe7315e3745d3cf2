"""Decides whether the hits are enough to answer from, before a model is paid."""

from collections.abc import Sequence

from footnote.retrieval import Hit, Mode
from footnote.text.languages import UNSTEMMED

# With one leg only, the strength is this share of that with both; measured like the setting.
SHARE: dict[Mode, float] = {"hybrid": 1.0, "vector": 0.78, "keyword": 0.35}


def strength(relatedness: float | None, coverage: float | None) -> float:
    """The strength of a hit, 0 to 1.5: how related it is, and half the share of the question's weight that it
    holds in words.

    A leg that did not find the hit counts as 0. A linear sum, since it separates questions that
    the documents answer from other questions as well as any function that was tried (docs/measurements.md).
    """
    return (relatedness or 0.0) + (coverage or 0.0) / 2


def supports(hits: Sequence[Hit], least: float, mode: Mode = "hybrid", asked_in: str = "") -> bool:
    """Whether any hit is strong enough to answer from; `least` is the strength needed where both legs searched.

    `asked_in` is the language of the question, as Postgres stems it, if it is known.
    A hit with a rare identifier of the question, or with a phrase that it quotes, is always strong enough.
    """
    return any(
        hit.exact_matches or strength(hit.relatedness, hit.coverage) >= least * SHARE[_legs(hit, mode, asked_in)]
        for hit in hits
    )


def _legs(hit: Hit, mode: Mode, asked_in: str) -> Mode:
    """A text in another language than the question has none of its words: it is judged by what it means."""
    if not asked_in or mode != "hybrid" or hit.language in ("", asked_in):
        return mode
    # What is not stemmed may be in any language.
    return mode if hit.language == UNSTEMMED and hit.coverage else "vector"
