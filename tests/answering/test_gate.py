"""What is evidence enough: by both legs, by one, and across languages."""

from dataclasses import fields
from typing import Any

import pytest

from footnote.answering import gate
from footnote.retrieval import Hit

LEAST = 0.56


def hit(**given: Any) -> Hit:
    values: dict[str, Any] = dict.fromkeys(each.name for each in fields(Hit))
    scale = {each.name: each.default for each in fields(Hit) if each.name == "scale"}
    return Hit(**values | scale | {"language": "english", "exact_matches": 0} | given)


@pytest.mark.parametrize(
    ("found", "mode", "is_enough"),
    [
        ({"similarity": 0.4, "coverage": 0.4}, "hybrid", True),
        ({"similarity": 0.4, "coverage": 0.1}, "hybrid", False),
        ({"similarity": 0.45}, "vector", True),
        ({"coverage": 0.3}, "keyword", False),
        ({"similarity": 0.1, "exact_matches": 1}, "hybrid", True),
    ],
)
def test_words_and_meaning_count_together(found, mode, is_enough):
    assert gate.supports([hit(**found)], LEAST, mode, "english") is is_enough


@pytest.mark.parametrize(
    ("language", "coverage", "asked_in", "is_enough"),
    [
        ("english", 0.0, "spanish", True),
        ("english", 0.0, "english", False),
        ("english", 0.0, "", False),
        ("simple", 0.0, "english", True),
        ("simple", 0.2, "english", False),
        ("", 0.0, "spanish", False),
    ],
)
def test_a_text_in_another_language_is_judged_by_meaning(language, coverage, asked_in, is_enough):
    across = hit(similarity=0.3, coverage=coverage, language=language)

    assert gate.supports([across], LEAST, "hybrid", asked_in) is is_enough


def test_what_is_unrelated_is_no_evidence_in_any_language():
    assert not gate.supports([hit(similarity=0.2, coverage=0.0)], LEAST, "hybrid", "spanish")


def test_relevance_means_something_alone_and_never_rises_down_the_list():
    hits = [
        hit(similarity=0.2, coverage=0.2),
        hit(similarity=0.6, coverage=0.6),
        hit(similarity=0.3),
        hit(similarity=0.1, exact_matches=1),
        hit(coverage=0.4),
        hit(),
    ]
    scores = gate.relevance(hits)
    assert scores == sorted(scores, reverse=True), "the order is that of the hits"
    assert [round(each, 3) for each in scores] == [1.0, 1.0, 1.0, 1.0, 0.133, 0.0]
    assert gate.relevance(hits[:2])[0] == gate.relevance(hits[1:2])[0] == pytest.approx(0.6)
    assert gate.relevance([]) == []
    assert gate.above(0.5, hits[1:3]) == hits[1:2]
