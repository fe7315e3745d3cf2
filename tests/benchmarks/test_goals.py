"""What `make eval` concludes from rankings."""

from pathlib import Path

import pytest

from benchmarks.evaluation import report
from benchmarks.evaluation.goals import BM25, FUSED, HYBRID, IDENTIFIERS, KEYWORD, NEAREST, VECTOR, goals
from benchmarks.evaluation.product import Asked
from benchmarks.evaluation.results import Result
from benchmarks.evaluation.sets import BY_DOCUMENT, BY_PAGE, Set

QUESTIONS = [str(number) for number in range(40)]


def found(share: float) -> dict[str, list[str]]:
    """A run that answers that share of the questions right away, and the others never."""
    return {each: ["right" if number < share * len(QUESTIONS) else "wrong"] for number, each in enumerate(QUESTIONS)}


def result(name="cranfield", metrics=BY_DOCUMENT, main="nDCG@10", **shares: float) -> Result:
    one = Set(name, Path(), dict.fromkeys(QUESTIONS, "?"), {each: {"right": 1} for each in QUESTIONS}, metrics, main)
    baselines = {BM25: found(0.5), NEAREST: found(0.4), FUSED: found(0.6)}
    asked = {mode: Asked(found(share), [3.0, 1.0], [0.5, 0.5]) for mode, share in shares.items()}
    return Result(one, baselines, asked)


def verdicts(one: Result) -> dict[str, str]:
    return {f"{what} {limit}": verdict for what, limit, _, verdict in goals({one.set.name: one})}


def test_each_leg_is_held_against_its_baseline_and_hybrid_against_all():
    good = verdicts(result(**{VECTOR: 0.4, KEYWORD: 0.5, HYBRID: 0.6}))
    assert len(good) == 4
    assert set(good.values()) == {"met"}
    bad = verdicts(result(**{VECTOR: 0.375, KEYWORD: 0.475, HYBRID: 0.5}))
    assert bad.keys() == good.keys()
    assert set(bad.values()) == {"MISSED"}


def test_modes_that_did_not_run_have_no_goals():
    assert list(verdicts(result(**{KEYWORD: 0.5}))) == ["cranfield: keyword, nDCG@10 >= 0.490 (bm25s - 0.01)"]
    assert verdicts(result(other=0.5)) == {}


@pytest.mark.parametrize(("share", "verdict"), [(0.65, "met"), (0.625, "MISSED")])
def test_pages_are_found_for_five_points_more_questions(share: float, verdict: str):
    told = verdicts(result("financebench", BY_PAGE, "hit@5", **{HYBRID: share}))
    assert told["financebench: hybrid, hit@5 >= 0.650 (the best baseline + 5 points)"] == verdict


@pytest.mark.parametrize(("share", "verdict"), [(0.95, "met"), (0.925, "MISSED")])
def test_identifiers_have_their_own_goal_alone(share: float, verdict: str):
    told = verdicts(result(IDENTIFIERS, ("hit@1",), "hit@1", **{HYBRID: share, KEYWORD: 0.1}))
    assert told == {"identifiers: hybrid, hit@1 >= 0.950": verdict}


def test_a_gain_is_over_the_best_baseline():
    one = result(**{HYBRID: 0.75})
    gain = one.gain(HYBRID, "all")
    assert one.best_baseline == FUSED
    assert gain.mean == pytest.approx(0.15)
    assert 0 < gain.low < gain.mean < gain.high
    assert gain.p < 0.1
    assert one.gain(HYBRID, "dev").mean != one.gain(HYBRID, "test").mean


def test_the_report_shows_all_parts_and_times():
    results = {"cranfield": result(**{HYBRID: 0.75})}
    lines = "\n".join(report.whole(results, list(goals(results)))).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    scores = {(row[0], row[1]): row[2] for row in rows if row[0] in ("all", "dev", "test")}
    assert len(scores) == 3 * 4
    assert scores["all", HYBRID] == "0.750"
    assert ["hybrid", "2.0 ms", "3.0 ms", "0.5 ms", "4.0"] in rows
    assert any(row[0].startswith("cranfield: hybrid") and row[-1] == "met" for row in rows)
