"""What `make eval` concludes from answers."""

import json
from dataclasses import replace
from pathlib import Path

from benchmarks.evaluation import report
from benchmarks.evaluation.answers import ELSEWHERE, Answers, learned, near_misses, threshold
from benchmarks.evaluation.goals import HYBRID, goals
from benchmarks.evaluation.product import Asked
from benchmarks.evaluation.results import Result
from benchmarks.evaluation.sets import BY_DOCUMENT, Set

QUESTIONS = [str(number) for number in range(10)]
CITED = {"0": ["right", "wrong"], "1": ["wrong", "right"], "2": ["wrong"], "3": []}


def a_set(name: str = "cranfield") -> Set:
    judged = {each: {"right": 1} for each in QUESTIONS}
    return Set(name, Path(), dict.fromkeys(QUESTIONS, "?"), judged, BY_DOCUMENT, "nDCG@10")


def result(refused_elsewhere: int) -> Result:
    cited = {each: CITED.get(each, ["right"]) for each in QUESTIONS}
    marks = [number < refused_elsewhere for number in range(len(ELSEWHERE))]
    answers = Answers(cited, 1, dict.fromkeys(QUESTIONS, 0.8), [0.2, 0.3], marks)
    found = Asked({each: ["right"] for each in QUESTIONS}, [1.0], [1.0])
    return Result(a_set(), {}, {HYBRID: found}, answers)


def test_the_threshold_loses_one_question_in_a_hundred():
    assert learned([0.5, 0.8]) == 0.5
    assert learned([0.1, 0.2, *[0.6] * 198]) == 0.6
    assert learned([0.1, 0.2, 0.3, *[0.6] * 197]) == 0.3
    answers = result(0).answers
    assert answers is not None
    assert threshold([(a_set(), answers)]) == (0.8, 1.0)
    assert threshold([]) is None


def test_shares_of_right_citations():
    cited = result(0).cited_right()
    assert (cited.first, cited.any) == (0.7, 0.8)
    assert cited.each == 8 / 11


def test_what_a_refusal_loses_is_what_was_found_for_the_question():
    assert result(0).lost(HYBRID, "recall@10") == 0.1


def test_goals_of_the_gate():
    def met(refused: int) -> list[str]:
        return [row[-1] for row in goals({"identifiers": result(refused)}) if "refused" in row[0]]

    assert met(95) == ["met", "MISSED"]
    assert met(94) == ["MISSED", "MISSED"]


def test_a_hundred_questions_about_something_else():
    assert len(set(ELSEWHERE)) == 100
    told = "\n".join(report.of_answers({"cranfield": result(96)}))
    assert "| cranfield | 10        | 1       | 0            | 96 " in told


def test_a_near_miss_is_about_another_company_in_the_same_words(tmp_path):
    rows = [{"doc_id": name, "company": company} for name, company in (("a", "Ada"), ("a2", "Ada"), ("b", "Bo"))]
    (tmp_path / "documents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    questions = {"1": "What did ADA earn?", "2": "What did Bo earn?", "3": "What was earned?"}
    judged = {"1": {"a#3": 1}, "2": {"b#1": 1}, "3": {"a#1": 1}}
    one = Set("some", tmp_path / "documents", questions, judged, BY_DOCUMENT, "nDCG@10")
    made = [(near.other, list(near.stems)) for near in near_misses(one)]
    assert made == [("What did Bo earn?", ["a", "a2"]), ("What did Ada earn?", ["b"])]
    assert list(near_misses(a_set())) == []


def test_goals_of_near_misses():
    def rows(near: list[tuple[bool, bool]]) -> list[str]:
        one = result(96)
        assert one.answers is not None
        one = replace(one, answers=replace(one.answers, near=near))
        return [row[-1] for row in goals({"identifiers": one}) if "company" in row[0]]

    assert rows([]) == []
    assert rows([(True, False)] * 8 + [(False, False)] * 2) == ["met", "met"]
    assert rows([(True, True)] * 7 + [(False, False)] * 3) == ["MISSED", "MISSED"]
