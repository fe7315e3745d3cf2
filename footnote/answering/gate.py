"""Decides whether the hits are enough to answer from, before a model is paid."""

from collections.abc import Sequence

from footnote.retrieval import Hit, Mode
from footnote.text.languages import UNSTEMMED

# With one leg only, the strength is this share of that with both; measured like the setting.
SHARE: dict[Mode, float] = {"hybrid": 1.0, "vector": 0.78, "keyword": 0.35}
# And this where a text is in another language than the question: it has none of its words, and models relate texts of
# two languages less. Of 24 questions in six languages, 0.26 lets 16 pass by their answers and none by other texts; with
# a model of English alone 5 and 1 (benchmarks/evaluation/across.py).
ACROSS = 0.47
# Hits with this share of the strength needed are shown as the nearest ones where that costs nothing: without a model.
NEAR = 0.85


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
        hit.exact_matches or strength(hit.relatedness, hit.coverage) >= least * _share(hit, mode, asked_in)
        for hit in hits
    )


def _share(hit: Hit, mode: Mode, asked_in: str) -> float:
    is_same = not asked_in or hit.language in ("", asked_in)
    # What is not stemmed may be in any language.
    if mode == "keyword" or is_same or (hit.language == UNSTEMMED and hit.coverage):
        return SHARE[mode]
    return ACROSS
