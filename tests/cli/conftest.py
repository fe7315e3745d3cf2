"""The command line against a scripted server on the loopback."""

import io
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from footnote.cli import main

DEADLINE = 60.0  # on a busy machine; nothing waits longer than it must


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    body: Any = field(default_factory=dict)  # bytes go out as they are, all else as JSON
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    dropped: bool = False  # the connection ends without an answer


Answer = Reply | Callable[[Asked], Reply]


def problem(status: int, code: str, detail: str, **headers: str) -> Reply:
    body = {"title": "Refused", "status": status, "detail": detail, "code": code, "request_id": "req_1"}
    return Reply(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


class StubApi:
    """Answers each route with its replies in order, and with the last one from then on."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._routes: dict[tuple[str, str], list[Answer]] = {}
        self._lock = threading.Lock()
        self.on("GET", "/healthz", Reply({"status": "ok"}))

    def on(self, method: str, path: str, *answers: Answer) -> None:
        self._routes[method, path] = list(answers)

    def to(self, method: str, path: str) -> list[Asked]:
        return [each for each in self.asked if (each.method, each.path) == (method, path)]

    def wait_for(self, method: str, path: str) -> None:
        deadline = time.monotonic() + DEADLINE
        while not self.to(method, path):
            assert time.monotonic() < deadline, f"no request: {method} {path}"
            time.sleep(0.01)

    def answer(self, asked: Asked) -> Reply:
        with self._lock:
            self.asked.append(asked)
            answers = self._routes.get((asked.method, asked.path))
            if not answers:
                return problem(404, "not_found", f"Nothing at {asked.path}.")
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer if isinstance(answer, Reply) else answer(asked)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: StubApi

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, parts.path, parse_qs(parts.query), headers, body)
        reply = self.stub.answer(asked)
        if reply.dropped:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815  named by http.server

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing into the output under test."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """An interrupted client is expected; other errors are not."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Footnote = Callable[..., Outcome]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StubApi]:
    api = StubApi()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"stub": api}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("FOOTNOTE_API_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("FOOTNOTE_API_KEY", "fn_test")
    monkeypatch.chdir(tmp_path)
    yield api
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def footnote(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Footnote:
    """Runs the command line in this process, without a terminal."""

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["footnote", *arguments])
        code: Any = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        captured = capsys.readouterr()
        if isinstance(code, str):  # what the interpreter does with a sentence
            return Outcome(1, captured.out, captured.err + code + "\n")
        return Outcome(code or 0, captured.out, captured.err)

    return run


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds the client wanted to wait before it tried again; it does not wait."""
    wanted: list[float] = []
    monkeypatch.setattr("footnote.client.transports.pause", wanted.append)
    return wanted


def sse(*events: tuple[str, Any]) -> Reply:
    frames = io.StringIO()
    for name, data in events:
        frames.write(f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n")
    return Reply(frames.getvalue().encode(), headers={"Content-Type": "text/event-stream"})


def document(document_id: str = "doc_1", **changed: Any) -> dict[str, Any]:
    return {
        "id": document_id,
        "collection": "default",
        "external_id": None,
        "filename": "a.md",
        "media_type": "text/markdown",
        "status": "queued",
        "step": "chunk",
        "progress": {"done": 0, "total": None, "unit": "pages"},
        "waiting_for": None,
        "next_attempt_at": None,
        "error": None,
        "version": 1,
        "pages": None,
        "chunks": None,
        "bytes": 5,
        "sha256": "00",
        "metadata": {},
        "job_id": "job_1",
        "created_at": "2026-11-21T02:00:00Z",
        "updated_at": "2026-11-21T02:00:00Z",
        **changed,
    }


def job(job_id: str = "job_1", **changed: Any) -> dict[str, Any]:
    return {
        "id": job_id,
        "document_id": "doc_1",
        "filename": "a.md",
        "version": 1,
        "superseded": False,
        "status": "queued",
        "step": "chunk",
        "progress": {"done": 0, "total": None, "unit": "pages"},
        "attempts": 0,
        "retries": 0,
        "waiting_for": None,
        "next_attempt_at": None,
        "heartbeat_at": None,
        "lease_until": None,
        "error": None,
        "created_at": "2026-11-21T02:00:00Z",
        "updated_at": "2026-11-21T02:00:00Z",
        "finished_at": None,
        **changed,
    }


def status_reply(status: str, step: str = "embed", done: int = 0, total: int | None = None, **changed: Any) -> Reply:
    """The reply of GET /v1/documents/{id}/status."""
    return Reply(
        {
            "document_id": "doc_1",
            "job_id": "job_1",
            "status": status,
            "step": step,
            "started_at": None,
            "progress": {"done": done, "total": total, "unit": "chunks"},
            "attempts": 1,
            "retries": 0,
            "waiting_for": None,
            "next_attempt_at": None,
            "heartbeat_at": None,
            "lease_until": None,
            "error": None,
            "steps": [],
            **changed,
        }
    )


def accepted(document_id: str = "doc_1", *, deduplicated: bool = False, **changed: Any) -> Reply:
    return Reply({"document": document(document_id, **changed), "job": job(), "deduplicated": deduplicated}, status=202)
