"""Which server and key are used, and the messages when that fails."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.cli.conftest import Footnote, Reply, StubApi, problem

NO_JOBS = Reply({"data": [], "next_cursor": None})


@pytest.fixture
def closed_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    """A port where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    monkeypatch.delenv("FOOTNOTE_API_URL", raising=False)
    monkeypatch.setenv("PORT", str(port))
    monkeypatch.setenv("FOOTNOTE_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return port


@pytest.mark.parametrize("key", ["fn_test", None])
@pytest.mark.parametrize("command", [("add", __file__), ("ask", "x"), ("search", "x"), ("status",), ("jobs",)])
def test_a_server_that_is_not_running(
    closed_port: int,
    footnote: Footnote,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: tuple[str, ...],
    key: str | None,
) -> None:
    monkeypatch.delenv("FOOTNOTE_API_KEY", raising=False)
    if key:
        monkeypatch.setenv("FOOTNOTE_API_KEY", key)
    ran = footnote(*command)
    assert (ran.code, ran.out) == (1, "")
    where = f"http://127.0.0.1:{closed_port} (the stack of {tmp_path})"
    how = "Start it with `footnote up`, or name another server with `footnote login`."
    assert ran.err == f"Footnote is not running at {where}. {how}\n"


def test_the_key_of_the_local_stack_is_found(
    stub: StubApi, footnote: Footnote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stub.on("GET", "/v1/jobs", NO_JOBS)
    monkeypatch.delenv("FOOTNOTE_API_KEY")
    monkeypatch.setenv("FOOTNOTE_DATA_DIR", str(tmp_path / "data"))
    ran = footnote("jobs")
    assert ran.code == 1
    assert f"set FOOTNOTE_API_KEY, or put one in {tmp_path / 'data' / 'api_key'}" in ran.err
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "api_key").write_text("fn_kept\n")
    assert footnote("jobs").code == 0
    assert stub.asked[-1].headers["authorization"] == "Bearer fn_kept"


def test_a_proxy_of_the_environment_is_not_used_for_the_loopback(
    stub: StubApi, footnote: Footnote, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.on("GET", "/v1/jobs", NO_JOBS)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert footnote("jobs").code == 0


@pytest.mark.parametrize(
    ("command", "route", "field", "told"),
    [
        ("jobs --status nonsense", "GET /v1/jobs", "query.status", "--status"),
        ("jobs --code nonsense", "GET /v1/jobs", "query.error_code.0", "--code"),
        ("jobs", "GET /v1/jobs", "query.later", "query.later"),
        ("documents --find x", "GET /v1/documents", "query.q", "--find"),
        ("ask --top-k 9999 who", "POST /v1/query", "body.top_k", "--top-k"),
        ("search --collection ! who", "POST /v1/search", "body.collections.0", "--collection"),
        ("search who", "POST /v1/search", "body.query", "QUERY"),
        ("collections create papers --size 1", "POST /v1/collections", "body.chunking.size", "--size"),
        ("collections create papers --model x", "POST /v1/collections", "body.embedding.provider", "--model"),
        ("collections update x --metadata {}", "PATCH /v1/collections/x", "body.metadata.language", "--metadata"),
        ("keys create me --rate x=1", "POST /v1/keys", "body.rates.x", "--rate"),
        ("usage --from x", "GET /v1/usage", "query.from", "--from"),
    ],
)
def test_a_problem_is_shown_with_the_names_of_options(
    stub: StubApi, footnote: Footnote, command: str, route: str, field: str, told: str
) -> None:
    reply = problem(422, "invalid_request", "See errors.")
    reply.body["errors"] = [{"field": field, "message": "unknown"}]
    method, _, path = route.partition(" ")
    stub.on(method, path, reply)
    ran = footnote(*command.split())
    assert ran.code == 1
    assert ran.err == f"{told}: unknown (invalid_request, req_1)\n"


def test_a_file_is_refused_with_the_names_of_options(stub: StubApi, footnote: Footnote, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A")
    reply = problem(422, "invalid_request", "See errors.")
    reply.body["errors"] = [{"field": "body.collection", "message": "has odd characters"}]
    stub.on("POST", "/v1/documents", reply)
    stub.on("POST", "/v1/documents/estimate", reply)
    for dry_run in ([], ["--dry-run"]):
        ran = footnote("add", "a.md", "--collection", "!", *dry_run)
        assert ran.code == 1
        assert "invalid_request: --collection: has odd characters" in ran.out


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(b"<html>It works!</html>"), "is not Footnote's API"),
        (Reply(b"[]"), "is not Footnote's API"),
        (Reply(b"<html>", status=404), "is not Footnote's API (status 404)"),
        (Reply(b"", status=302, headers={"Location": "/login"}), "is not Footnote's API (status 302)"),
        (Reply(b"<html>Bad Gateway", status=502), "is not ready (status 502)"),
        (Reply({"title": "Gone", "status": 410, "code": "gone"}, status=410), "The server gave no reason. (gone)"),
        (Reply(dropped=True), "was lost"),
    ],
)
def test_another_server_at_the_address(stub: StubApi, footnote: Footnote, reply: Reply, told: str) -> None:
    stub.on("GET", "/v1/jobs", reply)
    ran = footnote("jobs")
    assert ran.code == 1
    assert told in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("FOOTNOTE_API_URL", "localhost:8000", "must start with http://"),
        ("FOOTNOTE_API_URL", "http://host:port", "FOOTNOTE_API_URL"),
        ("FOOTNOTE_API_KEY", "fn_schlüssel", "FOOTNOTE_API_KEY"),
        ("FOOTNOTE_API_KEY", "fn_one\nfn_two", "FOOTNOTE_API_KEY"),
        ("PORT", "many", "PORT: Input should be a valid integer"),
    ],
)
def test_an_invalid_setting_is_named(
    stub: StubApi, footnote: Footnote, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    ran = footnote("jobs")
    assert (ran.code, ran.out) == (1, "")
    assert told in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize("command", ["api", "worker", "dispatcher", "flower"])
def test_a_process_with_an_invalid_setting_does_not_start(
    footnote: Footnote, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("os.execv", lambda *_: pytest.fail("it was started"))
    monkeypatch.setenv("FOOTNOTE_LEASE_SECONDS", "long")
    ran = footnote(command)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "FOOTNOTE_LEASE_SECONDS: Input should be a valid number, unable to parse string as a number\n"


def _modules_after(code: str) -> set[str]:
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules, file=sys.stderr)"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ran.stderr.split())


def test_help_loads_nothing_heavy() -> None:
    loaded = _modules_after(
        "import sys; sys.argv = ['footnote', '--help']\n"
        "from footnote.cli import main\n"
        "try: main()\nexcept SystemExit as ended: assert not ended.code"
    )
    assert "footnote.cli.documents" in loaded
    assert not loaded & {
        "httpx2",
        "sqlalchemy",
        "celery",
        "openai",
        "onnxruntime",
        "boto3",
        "fastapi",
        "pypdfium2",
        "pydantic",
    }


def test_commands_know_the_api_and_not_the_domain() -> None:
    loaded = _modules_after(
        "import footnote.cli.uploads, footnote.cli.documents, footnote.cli.asking, footnote.formats\n"
        "assert footnote.formats.supported()"
    )
    domain = {name for name in loaded if name.startswith("footnote.")} - {
        "footnote.cli", "footnote.errors", "footnote.formats",
        "footnote.settings", "footnote.text", "footnote.local_stack", "footnote.local_stack.user_file",
    }  # fmt: skip
    assert {
        name for name in domain if not name.startswith(("footnote.cli.", "footnote.client", "footnote.formats."))
    } == set()
