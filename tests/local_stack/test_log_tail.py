"""What of a log is shown on the terminal."""

import json

import pytest

from footnote.local_stack.log_tail import LONGEST_LINE, MOST_LINES, LogTail


def shown(tmp_path, text):
    log = tmp_path / "worker.log"
    log.write_text(text)
    return LogTail(log).lines()


@pytest.mark.parametrize(
    "line",
    [
        "2026-01-02 03:04:05.678 UTC [12] FATAL:  could not map anonymous shared memory",
        "[2026-01-02 03:04:05,678: WARNING/MainProcess] consumer: Cannot connect",
        "ERROR:    Exception in ASGI application",
        "2026-01-02T03:04:05Z [warning  ] rate limited",
        "[E 260102 03:04:05 web:2348] 500 GET /",
        "12:M 02 Jan 2026 03:04:05.678 # WARNING Memory overcommit must be enabled!",
    ],
)
def test_serious_lines_are_shown(tmp_path, line):
    assert shown(tmp_path, line + "\n") == [line]


@pytest.mark.parametrize(
    "line",
    [
        "2026-01-02 03:04:05.678 UTC [12] LOG:  checkpoint starting: time",
        "2026-01-02 03:04:05.678 UTC [12] FATAL:  terminating connection due to idle-session timeout",
        "INFO:     Application startup complete.",
        "2026-01-02T03:04:05Z [info     ] ready",
        json.dumps({"level": "info", "event": "an ERROR in the text"}),
        "x" * 300 + " ERROR",
    ],
)
def test_other_lines_are_not(tmp_path, line):
    assert shown(tmp_path, line + "\n") == []


def test_a_structured_line_is_put_into_words(tmp_path):
    record = {"level": "warning", "event": "provider busy", "timestamp": "2026-01-02", "retry_after": 3}
    assert shown(tmp_path, json.dumps(record) + "\n") == ["WARNING provider busy retry_after=3"]


def test_a_structured_line_keeps_its_traceback(tmp_path):
    record = {"level": "error", "event": "failed", "exception": "Traceback ...\nKeyError: 'a'"}
    assert shown(tmp_path, json.dumps(record) + "\n") == ["ERROR failed\nTraceback ...\nKeyError: 'a'"]


def test_a_traceback_is_shown_to_its_end(tmp_path):
    traceback = ["Traceback (most recent call last):", '  File "a.py", line 1', "    fail()", "KeyError: 'a'"]
    chained = [*traceback, "", "During handling of the above exception, another exception occurred:", "", *traceback]
    assert shown(tmp_path, "\n".join(["before", *traceback, "after"]) + "\n") == traceback
    # A blank line after the exception's name ends the first part; the second begins with its own first line.
    lines = shown(tmp_path, "\n".join(["before", *chained, "after"]) + "\n")
    assert [line for line in lines if line] == [*traceback, *traceback]


def test_a_line_is_shown_once_and_only_when_it_is_whole(tmp_path):
    log = tmp_path / "worker.log"
    log.write_text("ERROR: one\nERROR: t")
    tail = LogTail(log)
    assert tail.lines() == ["ERROR: one"]
    assert tail.lines() == []
    with log.open("a") as file:
        file.write("wo\n")
    assert tail.lines() == ["ERROR: two"]


def test_a_flood_is_cut(tmp_path):
    lines = shown(tmp_path, "ERROR: again\n" * 100 + "ERROR: " + "x" * 10_000 + "\n")
    assert len(lines) == MOST_LINES + 1
    assert "81 more lines" in lines[-1]
    assert len(shown(tmp_path, "ERROR: " + "x" * 10_000 + "\n")[0]) == LONGEST_LINE


def test_what_is_skipped_is_not_shown(tmp_path):
    log = tmp_path / "postgres.log"
    log.write_text("FATAL: the database system is starting up\n")
    tail = LogTail(log)
    tail.skip()
    assert tail.lines() == []
