import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Footnote, Reply, StubApi, problem, sse

QUERY = ("POST", "/v1/query")
SEARCH = ("POST", "/v1/search")
READER = "http://127.0.0.1:8000/d/doc_1/p/11?v=1&from=0&to=9"


def citation(marker: int, **changed: Any) -> dict[str, Any]:
    return {
        "marker": marker,
        "document_id": "doc_1",
        "filename": "tracemonkey.pdf",
        "version": 1,
        "page_start": 11,
        "page_end": 11,
        "char_start": 0,
        "char_end": 9,
        "quote": "a tree of\ntraces",
        "verified": True,
        "score": 0.5,
        "chunk_id": "chk_1",
        "url": "/v1/documents/doc_1/pages/11",
        "reader_url": READER,
        **changed,
    }


def done(status: str = "supported", answer: str = "Trees[1].", *citations: dict[str, Any]) -> dict[str, Any]:
    return {"answer": answer, "answer_status": status, "citations": list(citations), "unsupported": []}


def test_the_answer_comes_before_its_footnotes(stub: StubApi, footnote: Footnote) -> None:
    stub.on(
        *QUERY,
        sse(
            ("sources", {"hits": []}),
            ("delta", {"text": " Bäume "}),
            ("delta", {"text": "[1]"}),
            ("citation", citation(1)),
            ("done", done("partial", "Bäume [1]", citation(2, verified=False, page_end=12), citation(1))),
        ),
    )
    ran = footnote("ask", "What is it?", "--collection", "a", "--collection", "b", "--top-k", "3")
    assert ran.code == 0
    assert ran.out == (
        "Bäume [1]\n\n"
        "[1] tracemonkey.pdf, page 11 — “a tree of traces”  ✓ checked\n"
        f"    {READER}\n"
        "[2] tracemonkey.pdf, pages 11-12 — “a tree of traces”  ✗ not verified\n"
        f"    {READER}\n"
    )
    assert stub.asked[0].json == {
        "question": "What is it?",
        "collections": ["a", "b"],
        "top_k": 3,
        "stream": True,
    }


def test_no_answer_has_its_own_exit_code(stub: StubApi, footnote: Footnote) -> None:
    stub.on(*QUERY, sse(("delta", {"text": "Not there."}), ("done", done("not_found", "Not there."))))
    ran = footnote("ask", "Who?")
    assert (ran.code, ran.out) == (4, "Not there.\n")


def test_passages_that_are_only_near_have_the_same_code(stub: StubApi, footnote: Footnote) -> None:
    stub.on(*QUERY, sse(("done", done("related", "These passages come closest: Trees [1].", citation(1)))))
    ran = footnote("ask", "What?")
    assert ran.code == 4
    assert ran.out.endswith("These passages come closest to the question; they may not answer it.\n")


def test_what_no_model_wrote_is_said(stub: StubApi, footnote: Footnote) -> None:
    stub.on(*QUERY, sse(("done", done("supported", "Trees [1].", citation(1)) | {"answer_kind": "extract"})))
    ran = footnote("ask", "What?")
    assert ran.code == 0
    assert ran.out.endswith("Quoted from the documents; no model wrote an answer.\n")


def test_an_answer_without_pieces_is_still_shown(stub: StubApi, footnote: Footnote) -> None:
    stub.on(*QUERY, sse(("done", done("supported", "At once."))))
    assert footnote("ask", "Who?").out == "At once.\n"


def test_sources_of_any_size_are_taken(stub: StubApi, footnote: Footnote) -> None:
    stub.on(*QUERY, sse(("sources", {"hits": ["x" * 3_000_000]}), ("done", done("supported", "Yes."))))
    assert footnote("ask", "Who?").out == "Yes.\n"


def test_an_error_in_the_stream_ends_the_answer(stub: StubApi, footnote: Footnote) -> None:
    told = {"title": "Bad Gateway", "detail": "No model.", "code": "provider_rejected", "request_id": "req_9"}
    stub.on(*QUERY, sse(("delta", {"text": "Half"}), ("error", told)))
    ran = footnote("ask", "Who?")
    assert (ran.code, ran.out) == (1, "Half\n")
    assert ran.err == "No model. (provider_rejected, req_9)\n"


def test_a_stream_that_breaks_off_is_an_error(stub: StubApi, footnote: Footnote) -> None:
    stub.on(*QUERY, sse(("delta", {"text": "Half"})))
    ran = footnote("ask", "Who?")
    assert (ran.code, ran.out) == (1, "Half\n")
    assert "before the answer was complete" in ran.err


def test_a_refusal_before_the_stream_is_told(stub: StubApi, footnote: Footnote) -> None:
    stub.on(*QUERY, problem(503, "provider_unavailable", "No model answers.", Retry_After="5"))
    ran = footnote("ask", "Who?")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "No model answers. (provider_unavailable, req_1)\n"
    assert len(stub.asked) == 1


def test_without_streaming_the_answer_comes_whole(stub: StubApi, footnote: Footnote) -> None:
    stub.on(*QUERY, Reply(done("supported", "Trees[1].", citation(1))))
    ran = footnote("ask", "--no-stream", "Who?")
    assert ran.out.startswith("Trees[1].\n\n[1] tracemonkey.pdf")
    assert stub.asked[0].json == {"question": "Who?", "stream": False}


def test_json_is_the_reply_as_it_is(stub: StubApi, footnote: Footnote) -> None:
    stub.on(*QUERY, Reply(done("not_found", "Nein, nirgendwo.")))
    ran = footnote("ask", "--json", "Who?")
    assert (ran.code, ran.json) == (4, done("not_found", "Nein, nirgendwo."))


def test_text_of_a_document_cannot_steer_the_terminal(stub: StubApi, footnote: Footnote) -> None:
    hostile = "\x1b]0;owned\x07\x9b31m"
    stub.on(*QUERY, sse(("delta", {"text": hostile}), ("done", done("supported", "", citation(1, quote=hostile)))))
    ran = footnote("ask", "Who?")
    assert not set(ran.out) & {"\x1b", "\x07", "\x9b"}


def test_questions_of_a_file_are_answered_one_after_another(stub: StubApi, footnote: Footnote, tmp_path: Path) -> None:
    file = tmp_path / "questions.txt"
    file.write_text("\n".join(["Who?", "", " When? ", *(f"No {n}?" for n in range(9))]))
    bad = {"status": 422, "error": {"detail": "See errors.", "code": "invalid_request", "request_id": "req_1"}}
    good = {"status": 200, "answer": done("supported", "Agnes [1].", citation(1))}
    for options in ((), ("--json",)):
        stub.on("POST", "/v1/query/batch", Reply({"data": [good, bad, *[good] * 8]}), Reply({"data": [good]}))
        ran = footnote("ask", "--file", str(file), "--collection", "a", *options)
        assert ran.code == 1, "one of them failed"
        if options:
            told = [json.loads(line) for line in ran.out.splitlines()]
            assert [each["question"] for each in told] == ["Who?", "When?", *(f"No {n}?" for n in range(9))]
        else:
            assert ran.out.startswith("> Who?\nAgnes [1].\n\n[1] tracemonkey.pdf, page 11")
            assert "> When?\nSee errors. (invalid_request, req_1)\n\n> No 0?\n" in ran.out
    assert [len(each.json["questions"]) for each in stub.asked] == [10, 1, 10, 1]
    assert stub.asked[0].json["defaults"] == {"collections": ["a"]}


@pytest.mark.parametrize("arguments", [(), ("Who?", "--file", __file__), ("--file", __file__, "--begin")])
def test_a_question_or_a_file_of_them(stub: StubApi, footnote: Footnote, arguments: tuple[str, ...]) -> None:
    assert footnote("ask", *arguments).code == 2
    assert not stub.asked


def hit(**changed: Any) -> dict[str, Any]:
    place = {"page_start": 2, "page_end": 2, "heading": "Boats > Hulls", "text": "word\n" * 100, "score": 0.03}
    return {"chunk_id": "chk_1", "document_id": "doc_1", "filename": "a.pdf", **place, **changed}


def test_hits_are_shown_in_order(stub: StubApi, footnote: Footnote) -> None:
    stub.on(*SEARCH, Reply({"data": [hit(), hit(filename="b.md", heading="", text="short")], "timings": {}}))
    ran = footnote("search", "hull", "--mode", "keyword", "--collection", "boats", "--top-k", "2")
    lines = ran.out.splitlines()
    assert lines[0] == " 1. a.pdf, page 2  Boats > Hulls"
    assert lines[1].startswith("    word word ")
    assert lines[1].endswith("…")
    assert len(lines[1].strip()) <= 200
    assert lines[2:] == [" 2. b.md, page 2", "    short"]
    assert stub.asked[0].json == {"query": "hull", "collections": ["boats"], "top_k": 2, "mode": "keyword"}


def test_search_that_finds_nothing_says_so(stub: StubApi, footnote: Footnote) -> None:
    stub.on(*SEARCH, Reply({"data": [], "timings": {}}))
    ran = footnote("search", "hull")
    assert (ran.code, ran.out) == (0, "Nothing found.\n")
    assert footnote("search", "hull", "--json").json == {"data": [], "timings": {}}


@pytest.mark.parametrize("arguments", [("--mode", "magic"), ("--top-k", "0")])
def test_bad_options_are_usage_errors(stub: StubApi, footnote: Footnote, arguments: tuple[str, str]) -> None:
    assert footnote("search", "hull", *arguments).code == 2
    assert not stub.asked


@pytest.mark.parametrize(("option", "sent"), [("--rerank", True), ("--no-rerank", False)])
def test_the_reranker_is_asked_or_not(stub: StubApi, footnote: Footnote, option: str, sent: bool) -> None:
    stub.on(*SEARCH, Reply({"data": []}))
    assert footnote("search", "lamp", option).code == 0
    assert stub.asked[0].json == {"query": "lamp", "mode": "hybrid", "rerank": sent}


def test_a_filter_is_sent_as_json(stub: StubApi, footnote: Footnote) -> None:
    given = {"type": "eq", "key": "year", "value": 2026}
    stub.on(*SEARCH, Reply({"data": []}))
    stub.on(*QUERY, Reply({**done(), "hits": []}))
    assert footnote("search", "lamp", "--filter", json.dumps(given)).code == 0
    assert footnote("ask", "lamp?", "--no-stream", "--filter", json.dumps(given)).code == 0
    assert [asked.json["filters"] for asked in stub.asked] == [given, given]
    for wrong in ("{", "[]", "7"):
        assert footnote("search", "lamp", "--filter", wrong).code == 2
    assert len(stub.asked) == 2
    footnote("search", "lamp", "--filter", "{}")
    assert stub.asked[-1].json["filters"] == {}, "an empty filter is no filter only by mistake: the API refuses it"


def test_it_says_which_words_were_taken_for_others(stub: StubApi, footnote: Footnote) -> None:
    corrected = [{"word": "teh", "searched": ["the"]}, {"word": "Frostschutz", "searched": ["frost", "schutz"]}]
    stub.on(*QUERY, sse(("done", done() | {"searched_for": corrected})))
    ran = footnote("ask", "teh Frostschutz")
    assert "Nothing holds “teh”; searched for “the”." in ran.out
    assert "Nothing holds “Frostschutz”; searched for “frost schutz”." in ran.out
