"""The numbers of `make eval`, against ones worked out by hand."""

import math

import pytest

from benchmarks.evaluation.metrics import hit, ndcg, recall, reciprocal_rank, scores
from benchmarks.evaluation.report import percentile
from benchmarks.evaluation.significance import interval, p_value

JUDGED = {"a": 2, "b": 1, "c": 1, "no": 0, "wrong": -1}


def test_ndcg_is_one_for_the_ideal_ranking_and_sinks_with_every_swap():
    ideal = 2 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)
    assert ndcg(["a", "c", "b", "no"], JUDGED, depth=10) == pytest.approx(1)
    assert ndcg(["b", "no", "a"], JUDGED, depth=10) == pytest.approx((1 + 2 / math.log2(4)) / ideal)
    assert ndcg(["wrong", "unknown"], JUDGED, depth=10) == 0


def test_ndcg_looks_no_deeper_than_asked():
    assert ndcg(["no", "no2", "a"], JUDGED, depth=2) == 0
    # The ideal is cut, too: two relevant ones fill two ranks.
    assert ndcg(["a", "b"], JUDGED, depth=2) == pytest.approx(1)


def test_recall_counts_what_is_relevant():
    assert recall(["no", "a", "b"], JUDGED, depth=10) == pytest.approx(2 / 3)
    assert recall(["no", "a", "b"], JUDGED, depth=2) == pytest.approx(1 / 3)
    assert recall(["wrong", "no"], JUDGED, depth=10) == 0


def test_reciprocal_rank_is_that_of_the_first_relevant_one():
    assert reciprocal_rank(["no", "wrong", "c", "a"], JUDGED) == pytest.approx(1 / 3)
    assert reciprocal_rank([], JUDGED) == 0


def test_hit_asks_for_one():
    assert [hit(["no", "c"], JUDGED, depth=depth) for depth in (1, 2)] == [0, 1]


def test_a_question_without_an_answer_counts():
    assert scores("hit@1", {"one": ["a"]}, {"one": JUDGED, "two": JUDGED}) == {"one": 1, "two": 0}


def test_luck_is_told_from_progress():
    assert p_value([0.1, -0.1] * 50) > 0.9
    assert p_value([0.1] * 20) < 0.001
    assert p_value([0.0] * 20) == 1
    # Two of the four ways to sign two numbers give a sum as large.
    assert p_value([0.3, 0.3]) == pytest.approx(0.5, abs=0.03)


def test_the_interval_holds_the_mean_and_narrows_with_more_questions():
    few, many = [0.0, 1.0] * 10, [0.0, 1.0] * 500
    (low, high), (lower, higher) = interval(few), interval(many)
    assert low < lower < 0.5 < higher < high
    # The standard error of 1000 coins is 0.0158.
    assert higher - lower == pytest.approx(2 * 1.96 * 0.0158, rel=0.05)
    assert interval(few) == (low, high)


def test_a_percentile_is_one_of_the_values():
    assert percentile(list(range(1, 101)), 95) == 95
    assert percentile([3.0, 1.0, 2.0], 50) == 2
    assert percentile([7.0], 95) == 7
