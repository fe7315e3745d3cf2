"""Settings by names that they had before."""

from pathlib import Path

import pytest

from footnote import settings as module
from footnote.settings import RENAMED, Settings, variable
from footnote.telemetry import configure_logging


@pytest.fixture(autouse=True)
def none_outdated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module.outdated.clear()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("in_file", [False, True], ids=["environment", "file"])
def test_an_old_name_works_and_the_log_names_the_new_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, in_file: bool
) -> None:
    if in_file:
        Path(".env").write_text("FOOTNOTE_RING_AGAIN_SECONDS=7\n")
    else:
        monkeypatch.setenv("FOOTNOTE_RING_AGAIN_SECONDS", "7")
    read = Settings(log_format="json")
    assert read.resend_seconds == 7
    configure_logging(read)
    told = capsys.readouterr().err
    assert "FOOTNOTE_RING_AGAIN_SECONDS" in told
    assert "FOOTNOTE_RESEND_SECONDS" in told


def test_the_new_name_counts_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTNOTE_TURN_SECONDS", "7")
    monkeypatch.setenv("FOOTNOTE_YIELD_SECONDS", "8")
    assert Settings().yield_seconds == 8


def test_without_old_names_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTNOTE_YIELD_SECONDS", "8")
    assert Settings().yield_seconds == 8
    assert module.outdated == {}


def test_every_new_name_is_a_setting() -> None:
    assert set(RENAMED.values()) <= {variable(name) for name in Settings.model_fields}
    assert not set(RENAMED) & set(RENAMED.values())
