"""Settings by names that they had before, and from files."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from footnote import settings as module
from footnote.cli import main
from footnote.local_stack.services import environment
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


SECRETS = (
    *("database_url", "database_direct_url", "redis_url", "flower_password", "api_key"),
    *("openai_api_key", "anthropic_api_key", "rerank_api_key"),
)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_may_be_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("sécret with spaces\n")
    monkeypatch.delenv(variable(name), raising=False)
    monkeypatch.setenv(f"{variable(name)}_FILE", str(tmp_path / "secret"))
    assert getattr(Settings(), name) == "sécret with spaces"


def test_the_file_may_be_named_in_dotenv_and_the_environment_counts_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("from the file")
    Path(".env").write_text("OPENAI_API_KEY_FILE=key\n")
    assert Settings().openai_api_key == "from the file"
    monkeypatch.setenv("OPENAI_API_KEY", "given")
    assert Settings().openai_api_key == "given"


def test_a_value_from_a_file_is_checked_like_any_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "port").write_text("70000")
    monkeypatch.setenv("PORT_FILE", str(tmp_path / "port"))
    with pytest.raises(ValidationError, match="less than or equal to 65535"):
        Settings()


BAD_FILES = {
    "missing": (None, "secret cannot be read: No such file or directory"),
    "empty": (b" \n", "secret is empty"),
    "not text": (b"\xff\xfe\x00", "secret is not text in UTF-8"),
    "too long": (b"x" * 70_000, "secret is too long"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_named_at_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    content, said = BAD_FILES[kind]
    if content is not None:
        Path("secret").write_bytes(content)
    monkeypatch.setenv("REDIS_URL_FILE", "secret")
    monkeypatch.setattr("sys.argv", ["footnote", "dispatcher"])
    with pytest.raises(SystemExit) as left:
        main()
    assert str(left.value).startswith("REDIS_URL_FILE: ")
    assert said in str(left.value)


def test_a_value_and_a_file_contradict_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("secret").write_text("redis://other")
    monkeypatch.setenv("REDIS_URL_FILE", "secret")
    monkeypatch.setenv("REDIS_URL", "redis://localhost")
    with pytest.raises(ValidationError, match="REDIS_URL is set, too") as refused:
        Settings()
    assert "other" not in str(refused.value)


def test_an_empty_path_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Compose passes on a variable that is not set."""
    monkeypatch.setenv("OPENAI_API_KEY_FILE", "")
    monkeypatch.setenv("OPENAI_API_KEY", "given")
    assert Settings().openai_api_key == "given"


def test_what_the_stack_decides_takes_the_place_of_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("of the file")
    monkeypatch.setenv("FLOWER_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(tmp_path / "password"))
    settings = Settings()
    decided = environment(
        settings, tmp_path, database_url="postgresql:///a", redis_url="redis:///", flower_password="of the file"
    )
    assert decided["FLOWER_PASSWORD"] == settings.flower_password
    assert "FLOWER_PASSWORD_FILE" not in decided, "its programs would refuse both"
    assert decided["OPENAI_API_KEY_FILE"] == str(tmp_path / "password")
