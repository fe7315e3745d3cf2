from tests.cli.conftest import Footnote, Reply, StubApi, document, job, problem

STEPS = [
    {
        "name": "chunk",
        "state": "succeeded",
        "started_at": "2026-11-21T02:00:00Z",
        "finished_at": "2026-11-21T02:00:02.500000Z",
        "attempts": 1,
        "counts": {"pages": 14, "chunks": 418},
    },
    {"name": "embed", "state": "waiting", "started_at": None, "finished_at": None, "attempts": 2, "counts": {}},
]
READY = {"status": "ready", "checks": {"postgres": "ok", "redis": "ok", "store": "ok"}}


def test_status_shows_the_newest_documents(stub: StubApi, footnote: Footnote) -> None:
    stub.on("GET", "/readyz", Reply(READY))
    listed = [document(status="ready", pages=14, chunks=418), document("doc_22")]
    stub.on("GET", "/v1/documents", Reply({"data": listed, "next_cursor": "more"}))
    ran = footnote("status")
    assert ran.code == 0
    assert ": ready (postgres, redis, store)" in ran.out.splitlines()[0]
    assert "doc_1   a.md  ready   14     418     default" in ran.out
    assert "doc_22  a.md  queued" in ran.out
    assert ran.out.endswith("The newest 20; there are more.\n")
    assert stub.to("GET", "/v1/documents")[0].query == {"limit": ["20"]}


def test_status_says_what_is_away(stub: StubApi, footnote: Footnote) -> None:
    checks = {"postgres": "ok", "redis": "ConnectionError: refused", "store": "ok"}
    stub.on("GET", "/readyz", Reply({"status": "not_ready", "checks": checks}, status=503))
    stub.on("GET", "/v1/documents", Reply({"data": [], "next_cursor": None}))
    ran = footnote("status")
    assert "redis: ConnectionError: refused" in ran.out
    assert "No documents yet" in ran.out


def test_status_of_a_document_shows_its_steps(stub: StubApi, footnote: Footnote) -> None:
    stub.on("GET", "/v1/documents/doc_1", Reply(document(pages=14, chunks=418)))
    status = {
        **job(status="waiting", step="embed", attempts=3, waiting_for="The model provider is overloaded."),
        "job_id": "job_1",
        "next_attempt_at": "2026-11-21T02:05:00Z",
        "error": {"code": "provider_unavailable", "message": "429"},
        "steps": STEPS,
    }
    stub.on("GET", "/v1/documents/doc_1/status", Reply(status))
    ran = footnote("status", "doc_1")
    assert ran.code == 0
    for part in (
        "a.md  text/markdown, 5 bytes, 14 pages, 418 chunks",
        "version 1 in default, job job_1",
        "waiting: The model provider is overloaded., 3 attempts",
        "next attempt 2026-11-2",
        "provider_unavailable: 429",
        "2.5 s  1         pages 14, chunks 418",
    ):
        assert part in ran.out
    assert any(line.split() == ["embed", "waiting", "2"] for line in ran.out.splitlines())


def test_an_unknown_document_is_told(stub: StubApi, footnote: Footnote) -> None:
    ran = footnote("status", "../jobs")
    assert ran.code == 1
    assert stub.asked[0].path == "/v1/documents/..%2Fjobs"


def test_jobs_are_listed_over_as_many_pages_as_it_takes(stub: StubApi, footnote: Footnote) -> None:
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


def test_jobs_as_json_and_none(stub: StubApi, footnote: Footnote) -> None:
    stub.on("GET", "/v1/jobs", Reply({"data": [], "next_cursor": None}))
    assert footnote("jobs").out == "No jobs.\n"
    assert footnote("jobs", "--json").json == {"data": [], "next_cursor": None}


def test_a_job_is_retried_and_cancelled(stub: StubApi, footnote: Footnote) -> None:
    stub.on("POST", "/v1/jobs/job_1/retry", Reply(job(waiting_for="a free worker")))
    stub.on("POST", "/v1/jobs/job_1/cancel", Reply(job(status="cancelled")))
    assert footnote("jobs", "retry", "job_1").out == "job_1  queued: a free worker\n"
    assert footnote("jobs", "cancel", "job_1").out == "job_1  cancelled\n"
    assert [each.method for each in stub.asked] == ["POST", "POST"]


def test_a_finished_job_cannot_be_cancelled(stub: StubApi, footnote: Footnote) -> None:
    stub.on("POST", "/v1/jobs/job_1/cancel", problem(409, "job_finished", "The job is succeeded."))
    ran = footnote("jobs", "cancel", "job_1")
    assert (ran.code, ran.out) == (1, "")
    assert "job_finished" in ran.err
