import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from footnote.cli.terminal import table
from tests.cli.conftest import Footnote, Reply, StubApi, document, job, problem, status_reply

STEPS = [
    {
        "name": "chunk",
        "status": "succeeded",
        "started_at": "2026-11-21T02:00:00Z",
        "finished_at": "2026-11-21T02:00:02.500000Z",
        "attempts": 1,
        "counts": {"pages": 14, "notes": {}, "chunks": 418, "ocr_languages": "", "ocr_pages": 0},
    },
    {"name": "embed", "status": "waiting", "started_at": None, "finished_at": None, "attempts": 2, "counts": {}},
]
READY = {"status": "ready", "checks": {"postgres": "ok", "redis": "ok", "store": "ok"}}


def test_status_shows_the_newest_documents_and_what_each_waits_for(stub: StubApi, footnote: Footnote) -> None:
    stub.on("GET", "/readyz", Reply(READY))
    failed = {"code": "no_text", "message": "No text."}
    listed = [
        document(status="ready", pages=14, chunks=418),
        document("doc_22", waiting_for="its turn"),
        document("doc_23", status="failed", error=failed),
        document("doc_24", status="running", step="embed", progress={"done": 1, "total": 9, "unit": "chunks"}),
    ]
    stub.on("GET", "/v1/documents", Reply({"data": listed, "next_cursor": "more"}))
    ran = footnote("status", "--limit", "4")
    assert ran.code == 0
    assert ": ready (postgres, redis, store)" in ran.out.splitlines()[0]
    assert "doc_1   a.md  default     14     418     ready" in ran.out
    rows = [" ".join(line.split()) for line in ran.out.splitlines()[4:7]]
    assert rows == [
        "doc_22 a.md default queued: its turn",
        "doc_23 a.md default failed: no_text: No text.",
        "doc_24 a.md default embed 1/9 chunks",
    ]
    assert ran.out.endswith("The newest 4; there are more.\n")
    assert stub.to("GET", "/v1/documents")[0].query == {"limit": ["4"]}
    assert footnote("status", "--json").json == {**READY, "data": listed * 5, "next_cursor": "more"}


def test_documents_are_found_and_ingested_again(stub: StubApi, footnote: Footnote) -> None:
    stub.on("GET", "/v1/documents", Reply({"data": [document(pages=14, chunks=418)], "next_cursor": "more"}))
    ran = footnote("documents", "--find", "a.m", "--status", "failed", "--status", "ready", "--sort", "name")
    assert stub.to("GET", "/v1/documents")[0].query == {
        "limit": ["50"],
        "q": ["a.m"],
        "status": ["failed", "ready"],
        "sort": ["name"],
    }
    assert "doc_1  a.md  default" in ran.out
    stub.on("POST", "/v1/documents/reingest", Reply({"progress": {"done": 0, "total": 2, "unit": "documents"}}))
    assert footnote("reingest", "doc_1", "doc_2").out == "queued  2 documents\n"
    assert json.loads(stub.to("POST", "/v1/documents/reingest")[0].body) == {"ids": ["doc_1", "doc_2"]}
    stub.on("POST", "/v1/documents/move", Reply({"progress": {"done": 0, "total": 1, "unit": "documents"}}))
    assert footnote("move", "doc_1", "--to", "reports").out == "queued  1 document\n"
    assert json.loads(stub.to("POST", "/v1/documents/move")[0].body) == {"ids": ["doc_1"], "collection": "reports"}


def test_status_names_what_cannot_be_reached(stub: StubApi, footnote: Footnote) -> None:
    checks = {"postgres": "ok", "redis": "ConnectionError: refused", "store": "ok"}
    stub.on("GET", "/readyz", Reply({"status": "not_ready", "checks": checks}, status=503))
    stub.on("GET", "/v1/documents", Reply({"data": [], "next_cursor": None}))
    ran = footnote("status")
    assert ran.code == 1
    assert "redis: ConnectionError: refused" in ran.out
    assert "No documents yet" in ran.out


def test_status_of_a_document_shows_its_steps_and_what_it_waits_for(stub: StubApi, footnote: Footnote) -> None:
    stub.on("GET", "/v1/documents/doc_1", Reply(document(pages=14, chunks=418)))
    later = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    status = {
        **job(status="waiting", step="embed", attempts=3, waiting_for="the provider's rate limit: Slow down."),
        "job_id": "job_1",
        "next_attempt_at": later,
        "error": {"code": "provider_unavailable", "message": "429"},
        "steps": STEPS,
    }
    stub.on("GET", "/v1/documents/doc_1/status", Reply(status))
    ran = footnote("status", "doc_1")
    assert ran.code == 0
    until = f"{datetime.fromisoformat(later).astimezone():%Y-%m-%d %H:%M:%S}"
    for part in (
        "a.md  text/markdown, 5 bytes, 14 pages, 418 chunks",
        "version 1 in default, job job_1",
        f"waiting: the provider's rate limit: Slow down, until {until.split()[1]} (3 attempts)",
        f"next attempt {until}",
        "provider_unavailable: 429",
        "2.5 s  1         pages 14, chunks 418, ocr_pages 0\n",
    ):
        assert part in ran.out
    assert any(line.split() == ["embed", "waiting", "2"] for line in ran.out.splitlines())
    assert footnote("status", "doc_1", "--json").json["status"] == status


def test_status_of_a_running_document_shows_its_heartbeat(stub: StubApi, footnote: Footnote) -> None:
    stub.on("GET", "/v1/documents/doc_1", Reply(document()))
    alive = {"heartbeat_at": "2026-11-21T02:00:00Z", "lease_until": "2026-11-21T02:00:30Z"}
    stub.on("GET", "/v1/documents/doc_1/status", status_reply("running", "embed", 2, 9, **alive))
    ran = footnote("status", "doc_1")
    assert "embed 2/9 chunks (1 attempt)\nlast heartbeat 2026-11-2" in ran.out
    assert ":00:30\n" in ran.out


def test_an_unknown_document_is_an_error(stub: StubApi, footnote: Footnote) -> None:
    ran = footnote("status", "../jobs")
    assert ran.code == 1
    assert stub.asked[0].path == "/v1/documents/..%2Fjobs"


def test_jobs_are_listed_over_several_pages(stub: StubApi, footnote: Footnote) -> None:
    error = {"code": "no_text", "message": "No text."}
    first = [job(f"job_{number}", status="failed", error=error) for number in range(100)]
    running = job("job_x", status="running", step="embed", progress={"done": 2, "total": 9, "unit": "chunks"})
    stub.on(
        "GET",
        "/v1/jobs",
        Reply({"data": first, "next_cursor": "job_99"}),
        Reply({"data": [running], "next_cursor": None}),
    )
    ran = footnote("jobs", "--status", "failed, running", "--limit", "150")
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 102
    assert "no_text: No text." in ran.out
    assert "embed 2/9 chunks" in ran.out
    assert [each.query for each in stub.asked] == [
        {"status": ["failed", "running"], "limit": ["100"]},
        {"status": ["failed", "running"], "limit": ["50"], "cursor": ["job_99"]},
    ]


def test_failed_jobs_show_document_step_reason_and_time(stub: StubApi, footnote: Footnote) -> None:
    error = {"code": "provider_rejected", "message": "The provider answered 401."}
    over: dict[str, Any] = {"status": "failed", "step": "embed", "error": error}
    over["finished_at"] = "2026-11-21T12:30:00+00:00"
    listed = [job(attempts=1, **over), job("job_2", filename="b.md", superseded=True, **over)]
    stub.on("GET", "/v1/jobs", Reply({"data": listed, "next_cursor": None}))
    ran = footnote(
        *("jobs", "--status", "failed", "--step", "embed,upsert", "--code", "provider_rejected, worker_crashed"),
        *("--document", "doc_1", "--collection", "boats", "--after", "2026-11-01", "--before", "2026-12-01T10:00:00"),
    )
    when = f"{datetime.fromisoformat('2026-11-21T12:30:00Z').astimezone():%Y-%m-%d %H:%M:%S}"
    told = "failed: provider_rejected: The provider answered 401."
    assert [" ".join(line.split()) for line in ran.out.splitlines()] == [
        "ID DOCUMENT FILE STEP TRIES WHEN STATUS",
        f"job_1 doc_1 a.md embed 1 {when} {told}",
        f"job_2 doc_1 b.md embed 0 {when} {told} (uploaded again since)",
    ]
    (asked,) = stub.asked
    after, before = (datetime.fromisoformat(asked.query.pop(name)[0]) for name in ("created_after", "created_before"))
    assert (after, before) == (datetime(2026, 11, 1).astimezone(), datetime(2026, 12, 1, 10).astimezone())
    assert asked.query == {
        "status": ["failed"],
        "step": ["embed", "upsert"],
        "error_code": ["provider_rejected", "worker_crashed"],
        "document_id": ["doc_1"],
        "collection": ["boats"],
        "limit": ["50"],
    }


def test_jobs_as_json_and_none(stub: StubApi, footnote: Footnote) -> None:
    stub.on("GET", "/v1/jobs", Reply({"data": [], "next_cursor": None}))
    assert footnote("jobs").out == "No jobs.\n"
    assert footnote("jobs", "--json").json == {"data": [], "next_cursor": None}


def test_jobs_are_retried_and_cancelled(stub: StubApi, footnote: Footnote) -> None:
    for number in (1, 2):
        stub.on("POST", f"/v1/jobs/job_{number}/retry", Reply(job(f"job_{number}", waiting_for="its turn")))
        stub.on("POST", f"/v1/jobs/job_{number}/cancel", Reply(job(f"job_{number}", status="cancelled")))
    assert footnote("jobs", "retry", "job_1", "job_2").out == "job_1  queued: its turn\njob_2  queued: its turn\n"
    assert footnote("jobs", "cancel", "job_1", "job_2").out == "job_1  cancelled\njob_2  cancelled\n"
    assert [each.method for each in stub.asked] == ["POST"] * 4


@pytest.mark.parametrize("action", ["retry", "cancel"])
def test_a_refused_job_does_not_stop_the_others(stub: StubApi, footnote: Footnote, action: str) -> None:
    stub.on("POST", f"/v1/jobs/job_1/{action}", problem(409, "job_finished", "The job is succeeded."))
    stub.on("POST", f"/v1/jobs/job_3/{action}", Reply(job("job_3")))
    ran = footnote("jobs", action, "job_1", "job_2", "job_3")
    assert (ran.code, ran.out) == (1, "job_3  queued\n")
    assert ran.err.splitlines()[0] == "job_1  The job is succeeded. (job_finished, req_1)"
    assert ran.err.splitlines()[1].startswith("job_2  Nothing at /v1/jobs/job_2")


def test_all_jobs_that_failed_for_a_reason_are_requeued_in_calls_of_bounded_size(
    stub: StubApi, footnote: Footnote
) -> None:
    # The second 1,000 fail again at once: they are not retried without end.
    counts = [(1000, 1500), (1000, 1500), (500, 2000)]
    stub.on("POST", "/v1/jobs/retry", *(Reply({"retried": done, "remaining": left}) for done, left in counts))
    ran = footnote("jobs", "retry", "--all", "--code", "provider_rejected", "--step", "embed")
    assert (ran.code, ran.out) == (0, "2500 jobs requeued.\n")
    assert [each.json["limit"] for each in stub.asked] == [1000, 1000, 500]
    assert stub.asked[0].json == {"error_code": ["provider_rejected"], "step": ["embed"], "limit": 1000}


def test_jobs_that_others_hold_are_reported(stub: StubApi, footnote: Footnote) -> None:
    stub.on("POST", "/v1/jobs/retry", Reply({"retried": 3, "remaining": 2}), Reply({"retried": 0, "remaining": 2}))
    ran = footnote("jobs", "retry", "--all", "--status", "cancelled")
    assert (ran.code, ran.out) == (1, "3 jobs requeued.\n")
    assert ran.err.startswith("2 jobs could not be requeued now")
    assert [each.json["status"] for each in stub.asked] == [["cancelled"]] * 2


@pytest.mark.parametrize("arguments", [(), ("--all", "job_1"), ("--code", "no_text"), ("job_1", "--code", "no_text")])
def test_retry_takes_ids_or_all_and_not_both(stub: StubApi, footnote: Footnote, arguments: tuple[str, ...]) -> None:
    assert footnote("jobs", "retry", *arguments).code == 2
    assert not stub.asked


def test_a_terminal_cuts_long_names_and_a_pipe_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, message = "very long " * 20 + "name.md", "a reason " * 20
    table(("ID", "FILE", "STATUS"), [("doc_1", name, message)])
    assert name in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    table(("ID", "FILE", "STATUS"), [("doc_1", name, message)])
    shown = capsys.readouterr().out
    assert name not in shown
    assert "…" in shown
    assert message.strip() in shown, "what is last pushes nothing away"
