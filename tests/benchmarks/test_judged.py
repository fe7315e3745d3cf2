"""Judged questions: what counts as said, which outcome an answer has, and what the tables make of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.evaluation import judged
from benchmarks.evaluation.goals import judged_goals
from benchmarks.evaluation.judged import Answered, JudgedResult, JudgedSet, unreachable
from benchmarks.evaluation.judged_report import of_judged
from benchmarks.evaluation.judging import Question, folded, judge, says

FOLDER = Path(judged.__file__).with_name(judged.OURS)
QUESTION = Question("q", "table", "How long?", "c", [["77", "seventy-seven"], ["cm"]], ["parts.md"], [2, 3])
ABSENT = replace(QUESTION, kind="absent", absent=True)


def reply(answer="77 cm", status="supported", filename="parts.md", page=2, verified=True):
    citation = {"filename": filename, "page_start": page, "page_end": page, "verified": verified}
    return {"answer": answer, "answer_status": status, "citations": [citation]}


@pytest.mark.parametrize(
    ("text", "spelling", "is_said"),
    [
        ("It has 1,577 rows.", "1577", True),
        ("It has 15,771 rows.", "1577", False),
        ("It costs 3.1577.", "1577", False),
        ("$50,000 at most", "50,000", True),
        ("the *oak*  beam\nis `long`", "oak beam is long", True),
        ("doesn’t – never", "doesn't - never", True),
        ("REMARKS", "Rem", False),
        ("the trait Rem.", "rem", True),
        ("financial", "financ", True),
        ("ｆｕｌｌ ｗｉｄｔｈ", "full width", True),
        ("nothing", "", False),
    ],
)
def test_what_counts_as_said(text: str, spelling: str, is_said: bool):
    assert says(folded(text), [spelling]) is is_said


@pytest.mark.parametrize(
    ("changed", "outcome", "met"),
    [
        ({}, "right", 2),
        ({"answer": "seventy-seven cm [1]"}, "right", 2),
        ({"answer": "77 [1] feet"}, "partly", 1),
        ({"page": 4}, "partly", 2),
        ({"verified": False}, "partly", 2),
        ({"answer": "It is long."}, "partly", 0),
        ({"answer": "It is long.", "filename": "other.md"}, "wrong", 0),
        ({"status": "not_found"}, "refused wrongly", 0),
        ({"status": "related"}, "partly", 2),
        ({"status": "related", "answer": "77 feet"}, "refused wrongly", 1),
    ],
)
def test_outcomes(changed, outcome, met):
    judgement = judge(QUESTION, reply(**changed))
    assert (judgement.outcome, judgement.met) == (outcome, met)


def test_what_is_absent_has_to_be_refused():
    found = [judge(ABSENT, reply(status=status)).outcome for status in ("not_found", "related", "supported", "partial")]
    assert found == ["refused rightly", "refused rightly", "answered absent", "answered absent"]


def answered(part: str, question: Question, given: dict[str, object]) -> Answered:
    return Answered(replace(question, part=part), judge(question, given), given, 10.0, 15.0)


def result() -> JudgedResult:
    rows = [
        answered("dev", QUESTION, reply()),
        answered("dev", QUESTION, reply("It is long.", filename="other.md")),
        answered("test", QUESTION, reply("77 feet")),
        answered("test", QUESTION, reply(status="not_found")),
        answered("test", ABSENT, reply()),
    ]
    return JudgedResult(JudgedSet("questions", {}, [], Path()), rows)


def test_shares_of_a_result_and_of_its_parts():
    one = result()
    assert one.parts == ["all", "dev", "test"]
    assert (one.share(("right",)), one.share(("right",), "dev"), one.share(("right",), "test")) == (0.25, 0.5, 0.0)
    assert one.share(("refused rightly",), kinds=("absent",)) == 0.0
    assert one.false() == 0.5  # two of four that claim support hold nothing of what is expected


def test_the_tables_show_parts_kinds_times_and_what_failed():
    lines = list(of_judged({"questions": result()}))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert ["dev", "2", "50%", "50%", "0%", "0%", "0%", "50%", "8"] in rows
    assert ["table", "4", "1", "1", "1", "1", "", ""] in rows
    assert ["times", "10 ms", "10 ms", "15 ms", "15 ms", "1.50", "1.50"] in rows
    assert [line for line in lines if line.startswith("- q, answered absent")]
    assert len([line for line in lines if line.startswith("- q, ")]) == 4


def test_goals_of_judged_answers():
    missed = {row[0]: row[-1] for row in judged_goals({"questions": result()})}
    assert missed["questions: answerable questions, right"] == "MISSED"
    good = replace(result(), answered=result().answered[:1])
    met = {row[0]: row[-1] for row in judged_goals({"questions": good})}
    assert met["questions: answerable questions, right"] == "met"
    assert met["questions: wrong, of the answers that claim support"] == "met"


def test_expectations_on_no_stored_page_are_named():
    pages = {"parts#1": "77", "parts#2": "feet", "other#1": "cm"}
    assert unreachable(QUESTION, pages) == [["cm"]]
    assert unreachable(QUESTION, pages | {"parts#3": "CM"}) == []


def test_documents_are_copied_once_into_a_folder_for_each_collection(tmp_path):
    (tmp_path / "a.md").write_text("A")
    one = JudgedSet("questions", {"rust": [tmp_path / "a.md"]}, [], tmp_path / "data")
    for _ in range(2):
        (stored,) = one.stored()
    assert stored.name == "questions-rust"
    assert (stored.documents / "a.md").read_text() == "A"


def test_without_documents_there_is_nothing_to_ask(tmp_path):
    assert judged.load(judged.OURS, tmp_path / "none", tmp_path) is None
    assert judged.load(judged.PUBLIC, tmp_path, tmp_path) is None
    assert judged.load("scifact", tmp_path, tmp_path) is None


def test_our_questions_are_whole():
    collections = json.loads((FOLDER / "collections.json").read_text())
    rows = [json.loads(line) for line in (FOLDER / "questions.jsonl").read_text().splitlines()]
    assert len(rows) == len({row["id"] for row in rows}) == len({row["question"] for row in rows}) == 100
    assert [row["part"] for row in rows] == ["dev"] * 50 + ["test"] * 50
    for row in rows:
        assert set(row["files"]) <= set(collections[row["collection"]]), row["id"]
        assert bool(row["expect_any"]) is bool(row["expect_file"]) is not row["not_found"], row["id"]
        assert row["not_found"] is (row["kind"] in ("absent", "everyday")), row["id"]
        assert all(spelling.strip() for spellings in row["expect_any"] for spelling in spellings), row["id"]
