"""Which server a command talks to: the environment's, the present folder's, or that of the per-user file."""

import json
import stat
from pathlib import Path

import pytest

from footnote.local_stack import user_file
from footnote.local_stack.stack import _remembered
from tests.cli.conftest import Footnote, Reply, StubApi, problem

NO_JOBS = Reply({"data": [], "next_cursor": None})


@pytest.fixture
def url(stub: StubApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The stub's address, which nothing points to; a home of the test's own, and a folder without a stack."""
    from os import environ

    stub.on("GET", "/v1/jobs", NO_JOBS)
    address = environ["FOOTNOTE_API_URL"]
    for name in ("FOOTNOTE_API_URL", "FOOTNOTE_API_KEY", "FOOTNOTE_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return address


def test_after_a_login_commands_work_in_any_folder(stub: StubApi, footnote: Footnote, url: str, tmp_path: Path) -> None:
    ran = footnote("login", "--url", f"{url}/", "--key", "fn_mine")
    assert ran.code == 0, ran.err
    assert url in ran.out
    assert "fn_mine" not in ran.out + ran.err
    file = tmp_path / "config" / "footnote" / "server.json"
    assert json.loads(file.read_text()) == {"url": url, "key": "fn_mine", "by": "login"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert footnote("jobs").code == 0
    assert stub.asked[-1].headers["authorization"] == "Bearer fn_mine"
    assert footnote("logout").code == 0
    assert not file.exists()
    assert footnote("logout").out == "No server was stored.\n"


def test_a_login_that_does_not_work_stores_nothing(stub: StubApi, footnote: Footnote, url: str, tmp_path: Path) -> None:
    stub.on("GET", "/v1/jobs", problem(401, "invalid_api_key", "The API key is not known."))
    assert "not known" in footnote("login", "--url", url, "--key", "fn_wrong").err
    assert "is not running at http://127.0.0.1:1" in footnote("login", "--url", "http://127.0.0.1:1", "--key", "k").err
    assert "http://" in footnote("login", "--url", "example.org", "--key", "k").err
    assert not (tmp_path / "config").exists()


def test_a_key_without_the_scope_to_look_is_good(stub: StubApi, footnote: Footnote, url: str) -> None:
    stub.on("GET", "/v1/jobs", problem(403, "missing_scope", "The API key lacks the scope 'read'."))
    assert footnote("login", "--url", url, "--key", "fn_writer").code == 0


def test_what_goes_first(
    stub: StubApi, footnote: Footnote, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    user_file.remember_server(user_file.StoredServer("http://127.0.0.1:1", "fn_stored", "login"))
    ran = footnote("jobs")
    assert "not running at http://127.0.0.1:1 " in ran.err
    assert f"{tmp_path / 'config' / 'footnote' / 'server.json'}, from `footnote login`" in ran.err
    Path(".footnote").mkdir()
    Path(".footnote", "api_key").write_text("fn_local\n")
    monkeypatch.setenv("PORT", url.rpartition(":")[2])
    assert footnote("jobs").code == 0
    assert stub.asked[-1].headers["authorization"] == "Bearer fn_local"
    monkeypatch.setenv("FOOTNOTE_API_URL", "http://127.0.0.1:2")
    assert "not running at http://127.0.0.1:2 (FOOTNOTE_API_URL)" in footnote("jobs").err
    monkeypatch.setenv("FOOTNOTE_API_URL", url)
    monkeypatch.setenv("FOOTNOTE_API_KEY", "fn_env")
    assert footnote("jobs").code == 0
    assert stub.asked[-1].headers["authorization"] == "Bearer fn_env"


def test_a_stored_key_goes_to_its_own_server_only(
    stub: StubApi, footnote: Footnote, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_file.remember_server(user_file.StoredServer("https://footnote.example", "fn_stored", "login"))
    monkeypatch.setenv("FOOTNOTE_API_URL", url)
    ran = footnote("jobs")
    assert (ran.code, "No API key for" in ran.err) == (1, True)
    assert all("authorization" not in each.headers for each in stub.asked)


@pytest.mark.parametrize(
    ("mode", "content", "told"),
    [
        (0o644, None, "chmod 600"),
        (0o620, None, "chmod 600"),
        (0o600, "{", "is damaged"),
        (0o600, "[]", "is damaged"),
        (0o600, '{"url": "http://127.0.0.1:1"}', "is damaged"),
        (0o600, '{"url": "127.0.0.1", "key": "k", "by": "up"}', "must start with http"),
        (0o600, '{"url": "http://127.0.0.1:1", "key": "\\n", "by": "up"}', "is not an API key"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_told(
    footnote: Footnote, url: str, mode: int, content: str | None, told: str
) -> None:
    path = user_file.remember_server(user_file.StoredServer(url, "fn_stored", "up"))
    if content is not None:
        path.write_text(content)
    path.chmod(mode)
    ran = footnote("jobs")
    assert ran.code == 1
    assert told in ran.err
    assert "Traceback" not in ran.err
    assert "fn_stored" not in ran.err
    assert footnote("login", "--url", url, "--key", "fn_new").code == 0, "a login mends it"
    assert footnote("jobs").code == 0


def test_the_stack_that_began_last_is_remembered_and_a_login_stays(footnote: Footnote, url: str) -> None:
    assert "any folder" in _remembered("http://127.0.0.1:1", "fn_first")
    assert "any folder" in _remembered(url, "fn_second")
    assert user_file.server() == user_file.StoredServer(url, "fn_second", "up")
    assert footnote("jobs").code == 0
    assert footnote("login", "--url", url, "--key", "fn_login").code == 0
    assert f"use {url}, until `footnote logout`" in _remembered("http://127.0.0.1:1", "fn_third")
    assert user_file.server() == user_file.StoredServer(url, "fn_login", "login")


def test_a_home_that_cannot_be_written_stops_no_stack(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    assert "do not know this server" in _remembered(url, "fn_key")


def test_open_logs_a_browser_in_by_a_code(
    stub: StubApi, footnote: Footnote, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import webbrowser

    monkeypatch.setenv("FOOTNOTE_API_URL", url)
    monkeypatch.setenv("FOOTNOTE_API_KEY", "fn_mine")
    stub.on("POST", "/v1/session/codes", Reply({"code": "c0de", "expires_at": "2026-03-02T09:30:00Z"}, 201))
    shown: list[str] = []

    class Graphical(webbrowser.BackgroundBrowser):
        def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
            shown.append(url)
            return True

    monkeypatch.setattr(webbrowser, "get", lambda: Graphical("firefox"))
    ran = footnote("open")
    assert (ran.code, shown) == (0, [f"{url}/enter#c0de"])
    assert "c0de" not in ran.out, "the code is for the browser alone"
    assert footnote("open", "--print").out == f"{url}/enter#c0de\n"
    monkeypatch.setattr(webbrowser, "get", lambda: webbrowser.GenericBrowser("lynx"))
    assert footnote("open").out == f"{url}/enter#c0de\n", "no window: a person opens it"
    assert len(shown) == 1
    assert stub.asked[-1].headers["authorization"] == "Bearer fn_mine"
