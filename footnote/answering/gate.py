"""Decides whether the hits are enough to answer from, before a model is paid."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from footnote.retrieval import Hit, Mode
from footnote.text.languages import UNSTEMMED

STRONGEST = 1.5  # the most that `strength` gives
# With one leg only, the strength is this share of that with both; measured like the setting.
SHARE: dict[Mode, float] = {"hybrid": 1.0, "vector": 0.78, "keyword": 0.35}
# And this where a text is in another language than the question: it has none of its words, and models relate texts of
# two languages less. Of 24 questions in six languages, 0.26 lets 16 pass by their answers and none by other texts; with
# a model of English alone 5 and 1 (benchmarks/evaluation/across.py).
ACROSS = 0.47
# Hits with this share of the strength needed are shown as the nearest ones where that costs nothing: without a model.
NEAR = 0.85


@dataclass(frozen=True)
class Evidence:
    """The strength of the best hit, and the strength that is needed."""

    found: float
    needed: float


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


def nearly_supports(hits: Sequence[Hit], least: float, mode: Mode = "hybrid", asked_in: str = "") -> bool:
    """Whether the nearest hits are shown although they are not strong enough."""
    return supports(hits, least * NEAR, mode, asked_in)


def evidence(hits: Sequence[Hit], least: float, mode: Mode = "hybrid", asked_in: str = "") -> Evidence:
    """Why an answer was not found: as `supports` sees it."""
    given = [Evidence(strength(hit.relatedness, hit.coverage), least * _share(hit, mode, asked_in)) for hit in hits]
    best = max(given, key=lambda each: each.found - each.needed, default=Evidence(0.0, least * SHARE[mode]))
    return Evidence(round(best.found, 3), round(best.needed, 3))


def is_across(hit: Hit, asked_in: str) -> bool:
    """Whether its text is in another language than the question, as far as that is known."""
    is_same = not asked_in or hit.language in ("", asked_in)
    # What is not stemmed may be in any language.
    return not is_same and not (hit.language == UNSTEMMED and hit.coverage)


def _share(hit: Hit, mode: Mode, asked_in: str) -> float:
    return ACROSS if mode != "keyword" and is_across(hit, asked_in) else SHARE[mode]


def relevance(hits: Sequence[Hit]) -> list[float]:
    """For each hit how strong it is, from 0 to 1, in an order that never rises: none is below one that follows it.

    A hit with a rare identifier of the question, or with a phrase that it quotes, has 1. The order stays that of the
    hits: the fused score, or the reranker, knows more than the strength does, but means nothing alone.
    """
    alone = [
        1.0 if hit.exact_matches else min(1.0, strength(hit.relatedness, hit.coverage) / STRONGEST) for hit in hits
    ]
    return [*accumulate(reversed(alone), max)][::-1]


def above(least: float, hits: Sequence[Hit]) -> list[Hit]:
    """The hits with at least this relevance."""
    return [hit for hit, relevant in zip(hits, relevance(hits), strict=True) if relevant >= least]
