"""Answers from stored searches."""

import asyncio
import pickle
from pathlib import Path
from typing import Any

from benchmarks.evaluation import replay
from benchmarks.evaluation.judged import JudgedSet
from benchmarks.evaluation.judging import Question
from benchmarks.evaluation.replay import Found
from footnote.answering.cited_text import PageExcerpt
from footnote.retrieval import Hit, SearchResult
from footnote.retrieval.coverage import Searched

TEXT = "The harbour master signs each form. The mole of Ystad was built in 1868 by four hundred men. Rain is likely."
ASKED = Question("q", "when", "When was the mole of Ystad built?", "c", [["1868"]], ["mole.txt"])


def hit(**changed: Any) -> Hit:
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
    found: dict[str, Any] = {"text": TEXT, "score": 1.0, "fused_rank": 1, "metadata": {}}
    ranks = {"vector_rank": 1, "keyword_rank": 1, "bm25": 2.0, "exact_matches": 0, "space_id": 1, "embedding": None}
    return Hit(**(found | known | place | ranks | {"similarity": 0.9, "coverage": 0.9} | changed))


def outcomes(folder: Path, hits: list[Hit], without: tuple[str, ...] = ()) -> list[str]:
    one = JudgedSet("questions", {}, [ASKED], folder)
    search = SearchResult(hits, searched=Searched(documents=1), text=ASKED.text)
    found = Found({ASKED.text: search}, {ASKED.text: hits}, {"c": PageExcerpt(TEXT, 0, "text/plain")})
    replay.stored(one, folder).write_bytes(pickle.dumps({ASKED.id: found}))
    with replay.changed(without):
        result = asyncio.run(replay.replay(one, folder))
    return [each.judgement.outcome for each in result.answered]


def test_an_answer_comes_from_stored_hits(tmp_path):
    assert outcomes(tmp_path, [hit()]) == ["right"]


def test_the_gate_sees_what_was_stored(tmp_path):
    assert outcomes(tmp_path, [hit(similarity=0.1, coverage=0.1)]) == ["refused wrongly"]
    assert outcomes(tmp_path, []) == ["refused wrongly"]


def test_a_rule_is_left_out_within_its_block_only(tmp_path):
    gate = ("footnote.answering.gate:strength=lambda *_: 0.0",)
    assert outcomes(tmp_path, [hit()], gate) == ["refused wrongly"]
    assert outcomes(tmp_path, [hit()]) == ["right"]
