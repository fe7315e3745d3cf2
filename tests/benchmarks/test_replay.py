"""Answers from stored hits."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path

from benchmarks.evaluation import replay
from benchmarks.evaluation.judged import JudgedSet
from benchmarks.evaluation.judging import Question
from footnote.retrieval import Hit

TEXT = "The harbour master signs each form. The mole of Ystad was built in 1868 by four hundred men. Rain is likely."


def hit(**changed: object) -> dict[str, object]:
    known = {
        "chunk_id": "c",
        "document_id": "d",
        "version_id": "v",
        "filename": "mole.txt",
        "version": 1,
        "position": 0,
    }
    place = {
        "page_start": 1,
        "page_end": 1,
        "char_start": 0,
        "char_end": len(TEXT),
        "heading": "",
        "subject": "mole.txt",
    }
    found = {"text": TEXT, "score": 1.0, "fused_rank": 1, "metadata": {}, "similarity": 0.9, "coverage": 0.9}
    ranks = {"vector_rank": 1, "keyword_rank": 1, "bm25": 2.0, "exact_matches": 0, "space_id": 1}
    one = Hit(**{**known, **place, **found, **ranks, **changed}, embedding=None)
    return {name: value for name, value in asdict(one).items() if name not in replay.UNSTORED}


def outcomes(folder: Path, question: Question, hits: list[dict[str, object]], without: tuple[str, ...] = ()):
    one = JudgedSet("questions", {}, [question], folder)
    pages = {"c": {"text": TEXT, "start": 0, "media_type": "text/plain"}}
    row = {"id": question.id, "hits": {question.text: hits}, "pages": pages, "searched": {"documents": 1}}
    replay.stored(one, folder).write_text(json.dumps(row) + "\n")
    with replay.without(without):
        result = asyncio.run(replay.replay(one, folder))
    return [each.judgement.outcome for each in result.answered]


ASKED = Question("q", "when", "When was the mole of Ystad built?", "c", [["1868"]], ["mole.txt"])


def test_an_answer_is_made_of_stored_hits(tmp_path):
    assert outcomes(tmp_path, ASKED, [hit()]) == ["right"]


def test_the_gate_sees_what_was_stored(tmp_path):
    assert outcomes(tmp_path, ASKED, [hit(similarity=0.1, coverage=0.1)]) == ["refused wrongly"]
    assert outcomes(tmp_path, ASKED, []) == ["refused wrongly"]


def test_a_rule_is_left_out_for_the_time_being(tmp_path):
    changed = ("footnote.answering.gate:strength=lambda *_: 0.0",)
    assert outcomes(tmp_path, ASKED, [hit()], changed) == ["refused wrongly"]
    assert outcomes(tmp_path, ASKED, [hit()]) == ["right"]
