"""The questions of `make eval`: read, split, made."""

import json
import random
from collections import Counter
from itertools import pairwise

from benchmarks.evaluation import identifiers, sets
from benchmarks.evaluation.baselines import best, fused
from benchmarks.evaluation.product import environment, ranking


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def corpus(folder, *judgements):
    write(folder / "queries.jsonl", {"id": "1", "text": "One?"}, {"id": "2", "text": "Two?"}, {"id": "3", "text": "?"})
    write(folder / "qrels.jsonl", *judgements)
    return sets.load(folder)


def test_questions_that_nothing_answers_are_left_out(tmp_path):
    one = corpus(
        tmp_path,
        {"query_id": "1", "doc_id": "a", "relevance": 1},
        {"query_id": "1", "doc_id": "b", "relevance": 0},
        {"query_id": "2", "doc_id": "a", "relevance": 0},
    )
    assert one.questions == {"1": "One?"}
    assert one.judgements == {"1": {"a": 1, "b": 0}}
    assert (one.by_page, one.main, one.documents) == (False, "nDCG@10", tmp_path / "documents")


def test_judgements_of_pages_make_a_set_by_page(tmp_path):
    one = corpus(tmp_path, {"query_id": "2", "doc_id": "a", "page": 60, "relevance": 1})
    assert one.judgements == {"2": {"a#60": 1}}
    assert (one.by_page, one.main) == (True, "hit@5")


def test_an_untitled_set_is_the_same_under_numbers(tmp_path):
    documents = tmp_path / "given" / "documents"
    documents.mkdir(parents=True)
    for name in ("b.pdf", "a.txt"):
        (documents / name).write_text(name)
    one = corpus(
        tmp_path / "given",
        {"query_id": "2", "doc_id": "a", "page": 60, "relevance": 1},
        {"query_id": "3", "doc_id": "b", "page": 1, "relevance": 2},
    )
    for _ in range(2):
        other = sets.untitled(one, tmp_path / "made")
        assert (other.name, other.questions, other.by_page) == ("given-untitled", one.questions, True)
        assert other.judgements == {"2": {"00000#60": 1}, "3": {"00001#1": 2}}
        assert {path.name: path.read_text() for path in other.documents.iterdir()} == {
            "00000.txt": "a.txt",
            "00001.pdf": "b.pdf",
        }


def test_every_question_is_in_one_half_and_stays_there():
    halves = Counter(map(sets.part_of, map(str, range(1000))))
    assert halves.keys() == {"dev", "test"}
    assert 400 < halves["dev"] < 600
    assert [sets.part_of(each) for each in ("1", "3", "5", "13")] == ["test", "dev", "test", "test"]


def test_the_parts_make_up_the_whole(tmp_path):
    one = identifiers.make(tmp_path)
    dev, test = one.part("dev"), one.part("test")
    assert dev
    assert test
    assert sorted(dev + test) == sorted(one.part("all")) == sorted(one.questions)


def test_a_target_ranks_where_its_best_chunk_does():
    hits = [{"filename": name, "page_start": page} for name, page in (("a.pdf", 2), ("b.pdf", 1), ("a.pdf", 1))]
    assert ranking([*hits, *hits], by_page=False) == ["a", "b"]
    assert ranking([*hits, *hits], by_page=True) == ["a#2", "b#1", "a#1"]


def test_fusion_prefers_what_both_found():
    merged = fused([{"q": ["a", "b", "c"]}, {"q": ["d", "b"]}])
    assert merged == {"q": ["b", "a", "d", "c"]}


def test_ties_keep_their_order():
    import numpy as np

    scores = np.array([0.1, *[0.5] * 50, 0.9])
    assert best(scores) == [51, *range(1, 51), 0]


def test_identifiers_are_the_same_every_time(tmp_path):
    one, again, other = (identifiers.make(tmp_path / name, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert one.questions == again.questions != other.questions
    texts = [{path.name: path.read_text() for path in each.documents.iterdir()} for each in (one, again)]
    assert texts[0] == texts[1]


def test_documents_that_are_there_are_not_written_again(tmp_path):
    identifiers.make(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    identifiers.make(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_each_identifier_is_in_one_document_and_in_its_question(tmp_path):
    one = identifiers.make(tmp_path)
    drawn = identifiers.identifiers(random.Random(identifiers.SEED))
    assert drawn.keys() == one.questions.keys()
    assert len(set(drawn.values())) == len(drawn) == len(identifiers.KINDS) * identifiers.GROUPS * identifiers.ALIKE
    texts = {name: (tmp_path / f"{name}.txt").read_text() for name in drawn}
    words = {name: _identifiers(text, drawn.values()) for name, text in texts.items()}
    assert words == {name: [identifier] for name, identifier in drawn.items()}
    assert all(drawn[name] in question for name, question in one.questions.items())
    assert one.judgements == {name: {name: 1} for name in drawn}


def _identifiers(text, known):
    """Those in the text, but for what is only the beginning of another there."""
    found = [each for each in known if each in text]
    return [each for each in found if not any(other.startswith(each) and other != each for other in found)]


def test_others_differ_from_the_first_in_one_character():
    drawn = identifiers.identifiers(random.Random(3))
    for first, *others in zip(*[iter(drawn.values())] * identifiers.ALIKE, strict=True):
        assert [_distance(first, other) for other in others] == [1] * len(others)


def _distance(one, other):
    """Levenshtein's."""
    above = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        line = [row]
        for column, (diagonal, over) in enumerate(pairwise(above)):
            line.append(min(over + 1, line[-1] + 1, diagonal + (letter != other[column])))
        above = line
    return above[-1]


def test_the_product_is_measured_as_shipped_whatever_is_set_here(tmp_path, monkeypatch):
    for name in ("FOOTNOTE_RERANKER", "FOOTNOTE_CHUNK_SIZE", "FOOTNOTE_API_KEY", "DATABASE_URL"):
        monkeypatch.setenv(name, "of the caller")
    monkeypatch.setenv("FOOTNOTE_EMBEDDER", "openai")
    given = environment(tmp_path)
    assert {name: given[name] for name in given if name.startswith(("FOOTNOTE_", "DATABASE_"))} == {
        "FOOTNOTE_EMBEDDER": "local",
        "FOOTNOTE_GENERATOR": "extractive",
        "FOOTNOTE_ANSWER_CACHE_SECONDS": "0",
        "FOOTNOTE_DATA_DIR": str(tmp_path),
    }
    assert "PATH" in given
