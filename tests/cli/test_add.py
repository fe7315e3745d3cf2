import itertools
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from footnote.cli import uploads
from footnote.cli.progress import Bars, ProgressLines
from footnote.client import Footnote as Client
from tests import ROOT
from tests.cli.conftest import (
    DEADLINE,
    Asked,
    Footnote,
    Reply,
    StubApi,
    accepted,
    document,
    problem,
    status_reply,
)

UPLOAD = ("POST", "/v1/documents")
STATUS = ("GET", "/v1/documents/doc_1/status")
DOCUMENT = ("GET", "/v1/documents/doc_1")
LATER = (datetime.now(UTC) + timedelta(hours=6)).isoformat()


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "note.md"
    path.write_text("# Boats\n")
    return path


@pytest.fixture
def becomes_ready(stub: StubApi) -> StubApi:
    stub.on(*UPLOAD, accepted())
    stub.on(
        *STATUS,
        status_reply("queued", "chunk", waiting_for="a free worker"),
        status_reply("running", "embed", 120, 418),
        status_reply("ready", "upsert", 418, 418),
    )
    stub.on(*DOCUMENT, Reply(document(status="ready", pages=14, chunks=418)))
    return stub


def test_a_file_is_sent_and_followed_until_it_is_ready(becomes_ready: StubApi, footnote: Footnote, note: Path) -> None:
    ran = footnote("add", str(note), "--collection", "boats", "--metadata", '{"year": 2026}')
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0] == f"{note}: queued: a free worker"
    assert lines[1] == f"{note}: embed 120/418 chunks"
    assert lines[2].startswith(f"ready  {note}  14 pages, 418 chunks, ")
    assert len(lines) == 3
    (sent,) = becomes_ready.to(*UPLOAD)
    assert sent.headers["authorization"] == "Bearer fn_test"
    assert sent.headers["content-type"].startswith("multipart/form-data")
    for part in (b'filename="note.md"', b"# Boats\n", b'name="collection"\r\n\r\nboats', b'{"year": 2026}'):
        assert part in sent.body


def test_the_same_bytes_again_are_already_there(stub: StubApi, footnote: Footnote, note: Path) -> None:
    there = accepted(deduplicated=True, status="ready", pages=1, chunks=1, filename=note.name)
    stub.on(*UPLOAD, there)
    ran = footnote("add", str(note))
    assert (ran.code, ran.out) == (0, f"ready  {note}  1 page, 1 chunk, already there  doc_1\n")
    assert not stub.to(*STATUS)


def test_what_failed_is_told_with_its_code(stub: StubApi, footnote: Footnote, note: Path) -> None:
    error = {"code": "no_text", "message": "No text was found in the file."}
    stub.on(*UPLOAD, accepted())
    stub.on(*STATUS, status_reply("failed", error=error))
    stub.on(*DOCUMENT, Reply(document(status="failed", error=error)))
    ran = footnote("add", str(note))
    assert ran.code == 1
    assert ran.out == f"failed  {note}  no_text: No text was found in the file.\n"


def test_a_cancelled_document_is_a_failure(stub: StubApi, footnote: Footnote, note: Path) -> None:
    stub.on(*UPLOAD, accepted())
    stub.on(*STATUS, status_reply("cancelled"))
    stub.on(*DOCUMENT, Reply(document(status="cancelled")))
    ran = footnote("add", str(note))
    assert (ran.code, ran.out) == (1, f"cancelled  {note}  doc_1\n")


def test_one_refused_file_does_not_stop_the_others(stub: StubApi, footnote: Footnote, tmp_path: Path) -> None:
    for name in ("a.md", "b.md", "c.md"):
        (tmp_path / name).write_text(name)

    def answer(asked: Asked) -> Reply:
        if b'filename="b.md"' in asked.body:
            return problem(415, "unsupported_type", "This type of file is not supported.")
        return accepted(deduplicated=True, status="ready", pages=1, chunks=1)

    stub.on(*UPLOAD, answer)
    ran = footnote("add", str(tmp_path))
    assert ran.code == 1
    assert ran.out.count("ready  ") == 2
    assert "b.md  unsupported_type: This type of file is not supported.\n" in ran.out
    assert ran.out.endswith("3 files, 1 failed.\n")


def test_a_file_that_cannot_be_read_fails_alone(stub: StubApi, footnote: Footnote, note: Path) -> None:
    stub.on(*UPLOAD, accepted(deduplicated=True, status="ready", pages=1, chunks=1))
    gone = Path("/proc/self/mem")  # a regular file whose first bytes cannot be read
    ran = footnote("add", str(note), str(gone))
    assert ran.code == 1
    assert f"failed  {gone}  unreadable: Input/output error" in ran.out
    assert f"ready  {note}" in ran.out


@pytest.mark.parametrize("name", ["missing.pdf", "*.pdf", "."])
def test_an_argument_that_names_no_file_is_a_usage_error(
    stub: StubApi, footnote: Footnote, note: Path, name: str
) -> None:
    note.rename(note.with_suffix(".unknown"))
    ran = footnote("add", name)
    assert ran.code == 2
    assert "no such file" in ran.err or "no file of a supported type" in ran.err
    assert not stub.asked


@pytest.mark.parametrize("metadata", ["{", "[1]"])
def test_metadata_must_be_an_object(stub: StubApi, footnote: Footnote, note: Path, metadata: str) -> None:
    ran = footnote("add", str(note), "--metadata", metadata)
    assert ran.code == 2
    assert not stub.asked


def test_without_waiting_nothing_is_followed(stub: StubApi, footnote: Footnote, note: Path) -> None:
    stub.on(*UPLOAD, accepted())
    ran = footnote("add", "--no-wait", str(note))
    assert (ran.code, ran.out) == (0, f"queued  {note}  doc_1\n")
    assert not stub.to(*STATUS)


def test_json_is_one_object_and_nothing_else(becomes_ready: StubApi, footnote: Footnote, note: Path) -> None:
    ran = footnote("add", "--json", str(note))
    (result,) = ran.json["data"]
    assert result["path"] == str(note)
    assert result["status"] == "ready"
    assert result["document"]["chunks"] == 418
    assert result["job_id"] == "job_1"


def test_a_busy_server_is_asked_again_when_it_says(
    stub: StubApi, footnote: Footnote, note: Path, pauses: list[float]
) -> None:
    stub.on(
        *UPLOAD,
        problem(429, "rate_limited", "Too many requests.", Retry_After="7"),
        problem(503, "store_unavailable", "Away.", Retry_After="Thu, 01 Jan 1970 00:00:00 GMT"),
        Reply(dropped=True),
        accepted(deduplicated=True, status="ready", pages=1, chunks=1),
    )
    ran = footnote("add", str(note))
    assert ran.code == 0
    assert pauses[0] == 7.0
    assert 1.5 <= pauses[1] <= 2.5  # a time in the past: 2 ** 1 seconds and jitter
    assert 3 <= pauses[2] <= 5  # nothing was said: 2 ** 2
    assert len(pauses) == 3
    assert f"{note}: trying again in 7 s: Too many requests. (rate_limited" in ran.out
    assert all(b"# Boats\n" in each.body for each in stub.to(*UPLOAD))


def test_however_often_a_file_is_sent_it_has_one_key_of_its_own(
    stub: StubApi, footnote: Footnote, tmp_path: Path, pauses: list[float]
) -> None:
    for name in ("a.md", "b.md", "c.md"):
        (tmp_path / name).write_text(name)
    tried: set[bytes] = set()

    def answer(asked: Asked) -> Reply:
        (name,) = [name for name in (b"a.md", b"b.md", b"c.md") if b'filename="' + name in asked.body]
        if name not in tried:
            tried.add(name)
            return Reply(dropped=True)
        return accepted(deduplicated=True, status="ready", pages=1, chunks=1)

    stub.on(*UPLOAD, answer)
    assert footnote("add", str(tmp_path)).code == 0
    sent = Counter(each.headers["idempotency-key"] for each in stub.to(*UPLOAD))
    assert sorted(sent.values()) == [2, 2, 2]


@pytest.mark.parametrize(
    "reply", [problem(503, "store_unavailable", "Away.", Retry_After="20"), Reply(b"<html>", status=502)]
)
def test_patience_ends_after_five_minutes(
    stub: StubApi, footnote: Footnote, note: Path, pauses: list[float], reply: Reply
) -> None:
    stub.on(*UPLOAD, reply)
    ran = footnote("add", str(note))
    assert ran.code == 1
    assert "store_unavailable: Away." in ran.out or "is not ready (status 502)" in ran.out
    assert len(stub.to(*UPLOAD)) == len(pauses) + 1
    assert 290 <= sum(pauses) < 330  # the calls count, too
    assert max(pauses) <= 20


def test_a_server_that_stays_away_ends_it_and_what_was_sent_goes_on(
    stub: StubApi, footnote: Footnote, note: Path, pauses: list[float]
) -> None:
    stub.on(*UPLOAD, accepted())
    stub.on(*STATUS, Reply(dropped=True))
    ran = footnote("add", str(note))
    assert ran.code == 1
    first, second = ran.err.splitlines()
    assert first == "Ingestion of 1 file continues in the background: `footnote status`."
    assert "was lost" in second
    assert sum(pauses) >= 290


def test_a_request_that_is_still_in_flight_is_waited_for(
    stub: StubApi, footnote: Footnote, note: Path, pauses: list[float]
) -> None:
    there = accepted(deduplicated=True, status="ready", pages=1, chunks=1)
    stub.on(*UPLOAD, Reply(dropped=True), problem(409, "request_in_flight", "Still at it."), there)
    assert footnote("add", str(note)).code == 0
    assert len(pauses) == 2


def test_a_file_gets_the_callers_own_id(becomes_ready: StubApi, footnote: Footnote, note: Path) -> None:
    assert footnote("add", str(note), "--external-id", "wiki/42").code == 0
    assert b'name="external_id"\r\n\r\nwiki/42' in becomes_ready.to(*UPLOAD)[0].body


def test_an_id_is_for_one_file(stub: StubApi, footnote: Footnote, note: Path) -> None:
    note.with_name("other.md").write_text("other")
    ran = footnote("add", str(note.parent), "--external-id", "wiki/42")
    assert ran.code == 2
    assert "names one file, not 2" in ran.err
    assert not stub.asked


def test_what_a_folder_holds_beside_is_told_at_the_end(stub: StubApi, footnote: Footnote, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / ".git").mkdir(parents=True)
    for name in ("a.md", "b.exe", ".hidden.md", ".git/c.md"):
        (folder / name).write_text(name)
    (folder / "link.md").symlink_to(folder / "a.md")
    (folder / "linked").symlink_to(tmp_path)
    stub.on(*UPLOAD, accepted(deduplicated=True, status="ready", pages=1, chunks=1))
    ran = footnote("add", str(folder), str(folder / ".hidden.md"))
    assert ran.code == 0
    assert sorted(ran.out.splitlines()[2:]) == [
        "2 files, 0 failed, 4 skipped.",
        f"skipped  {folder / '.git'}  hidden",
        f"skipped  {folder / 'b.exe'}  not of a supported type",
        f"skipped  {folder / 'link.md'}  a link",
        f"skipped  {folder / 'linked'}  a link",
    ]
    named = footnote("add", "--json", str(folder)).json["skipped"]
    assert {"path": str(folder / "b.exe"), "reason": "not of a supported type"} in named
    for number in range(20):
        (folder / f"{number}.exe").touch()
    assert "skipped  15 more; --json lists them all\n" in footnote("add", str(folder)).out


def test_a_long_wait_is_told_with_its_reason_and_end_again_and_again(
    stub: StubApi, footnote: Footnote, note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(step=4)
    monkeypatch.setattr("footnote.cli.progress.monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(uploads, "LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(uploads, "FIRST_PAUSE", 0.01)
    limited = status_reply("waiting", waiting_for="the provider's rate limit: Slow down.", next_attempt_at=LATER)
    steps = [status_reply("running", done=done, total=9) for done in range(8)]
    stub.on(*UPLOAD, accepted())
    stub.on(*STATUS, *[limited] * 6, *steps, status_reply("ready"))
    stub.on(*DOCUMENT, Reply(document(status="ready", pages=1, chunks=9)))
    ran = footnote("add", str(note))
    until = datetime.fromisoformat(LATER).astimezone()
    told = f"{note}: waiting: the provider's rate limit: Slow down, until {until:%H:%M:%S}"
    assert ran.out.splitlines()[:-1] == [told, told, *(f"{note}: embed {done}/9 chunks" for done in (0, 3, 6))]


def test_a_thousand_waiting_files_do_not_fill_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ProgressLines()
    for _ in range(3):
        for number in range(1000):
            lines.show_status(Path(f"{number}.md"), status_reply("queued", waiting_for="its turn").body)
    assert len(capsys.readouterr().out.splitlines()) <= 3


def test_bars_fit_the_window_however_many_files_there_are() -> None:
    bars = Bars(1000)
    for number in range(1000):
        bars.show_status(Path(f"{number}.md"), status_reply("queued", waiting_for="its turn").body)
    bars.over(Path("0.md"), "ready")
    bars.sending(Path("new.md"), 1, 2)
    shown = [task.description for task in bars._bars.tasks]
    assert len(shown) == 13
    assert {"All files", "1.md", "new.md"} <= set(shown)
    assert "0.md" not in shown


def test_a_file_that_waits_long_does_not_hide_those_that_are_ready(
    stub: StubApi, footnote: Footnote, tmp_path: Path
) -> None:
    """More files wait for a provider than are looked at in one go; one more is ready, and then they all are."""
    names = [f"{number:02}.md" for number in range(30)]
    for name in names:
        (tmp_path / name).write_text(name)

    def upload(asked: Asked) -> Reply:
        (name,) = [name for name in names if f'filename="{name}"'.encode() in asked.body]
        return accepted(f"doc_{name}")

    last_seen = threading.Event()

    def look(name: str, _: Asked) -> Reply:
        if name == names[-1]:
            last_seen.set()
        if len(stub.asked) > 500:
            return status_reply("failed", error={"code": "unseen", "message": "The last file was never looked at."})
        return status_reply("ready") if last_seen.is_set() else status_reply("waiting", waiting_for="another attempt")

    stub.on(*UPLOAD, upload)
    for name in names:
        stub.on("GET", f"/v1/documents/doc_{name}/status", partial(look, name))
        ready = document(f"doc_{name}", status="ready", pages=1, chunks=1)
        stub.on("GET", f"/v1/documents/doc_{name}", Reply(ready))
    assert footnote("add", str(tmp_path)).code == 0


def test_following_survives_a_restart_of_the_server(
    stub: StubApi, footnote: Footnote, note: Path, pauses: list[float]
) -> None:
    stub.on(*UPLOAD, accepted())
    stub.on(*STATUS, Reply(dropped=True), problem(503, "database_unavailable", "Away."), status_reply("ready"))
    stub.on(*DOCUMENT, Reply(document(status="ready", pages=1, chunks=1)))
    ran = footnote("add", str(note))
    assert ran.code == 0
    assert len(pauses) == 2


def test_a_document_deleted_meanwhile_has_failed(stub: StubApi, footnote: Footnote, note: Path) -> None:
    stub.on(*UPLOAD, accepted())
    stub.on(*STATUS, status_reply("running"), problem(404, "document_not_found", "There is no document."))
    ran = footnote("add", str(note))
    assert ran.code == 1
    assert "document_not_found" in ran.out


def test_a_bad_key_ends_it_at_once(stub: StubApi, footnote: Footnote, tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.md").write_text(str(number))
    stub.on(*UPLOAD, problem(401, "invalid_api_key", "The API key is unknown."))
    ran = footnote("add", str(tmp_path))
    assert ran.code == 1
    assert ran.err == "The API key is unknown. (invalid_api_key, req_1)\n"
    assert len(stub.to(*UPLOAD)) <= uploads.SENT_AT_ONCE


def test_four_files_are_sent_at_once(stub: StubApi, footnote: Footnote, tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}.md").write_text(str(number))
    counting, running, most = threading.Lock(), [0], [0]
    together = threading.Barrier(4, timeout=DEADLINE)

    def answer(_: Asked) -> Reply:
        with counting:
            running[0] += 1
            most[0] = max(most[0], running[0])
            first = len(stub.to(*UPLOAD)) <= 4
        if first:
            together.wait()
        with counting:
            running[0] -= 1
        return accepted(deduplicated=True, status="ready", pages=1, chunks=1)

    stub.on(*UPLOAD, answer)
    ran = footnote("add", str(tmp_path))
    assert ran.code == 0
    assert len(stub.to(*UPLOAD)) == 10
    assert most[0] == 4


def test_an_interrupt_says_that_ingestion_goes_on(stub: StubApi, note: Path) -> None:
    stub.on(*UPLOAD, accepted())
    stub.on(*STATUS, status_reply("running", "embed", 1, 9))
    command = subprocess.Popen(
        [sys.executable, "-m", "footnote", "add", str(note)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    stub.wait_for(*STATUS)
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=DEADLINE)
    assert command.returncode == 130
    assert err == "Ingestion of 1 file continues in the background: `footnote status`.\n"


def test_a_terminal_shows_bars(becomes_ready: StubApi, note: Path) -> None:
    screen, terminal = pty.openpty()
    command = subprocess.Popen(
        [sys.executable, "-m", "footnote", "add", str(note)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "120"},
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    deadline = time.monotonic() + 2 * DEADLINE
    while time.monotonic() < deadline:
        try:
            piece = os.read(screen, 4096)
        except OSError:  # how Linux tells that the other side is closed
            break
        shown += piece
    os.close(screen)
    assert command.wait(DEADLINE) == 0
    assert b"embed 120/418 chunks" in shown
    assert "━".encode() in shown
    assert b"14 pages, 418 chunks, " in shown


def test_find_takes_files_directories_and_patterns_once(tmp_path: Path) -> None:
    for name in ("a.md", "b.PDF", "c.exe", ".hidden.md", "in/d.txt", ".git/e.md", "odd[1].md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def found(*names: str) -> list[str]:
        suffixes = {".md", ".pdf", ".txt"}
        paths, _ = uploads.find([str(tmp_path / name) for name in names], suffixes)
        return [str(path.relative_to(tmp_path)) for path in paths]

    assert found("") == ["a.md", "b.PDF", "odd[1].md", "in/d.txt"]
    assert found("c.exe", ".hidden.md") == ["c.exe", ".hidden.md"]
    assert found("*.md", "a.md", "") == ["a.md", "odd[1].md", "b.PDF", "in/d.txt"]
    assert found("i*") == ["in/d.txt"]
    assert found("odd[1].md") == ["odd[1].md"]
    assert found("**/*.txt") == ["in/d.txt"]
    with pytest.raises(FileNotFoundError, match="nothing"):
        found("a.md", "nothing.md")


def test_a_file_is_streamed(stub: StubApi, tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    path.write_bytes(b"x" * 1_000_000)
    stub.on(*UPLOAD, accepted())
    sent: list[int] = []
    with Client(os.environ["FOOTNOTE_API_URL"], "fn_test") as client:
        client.add(path, on_sent=sent.append)
    assert sent == sorted(sent)
    assert len(sent) > 10
    assert sent[-1] == 1_000_000
    assert json.loads(stub.asked[0].headers["content-length"]) > 1_000_000
