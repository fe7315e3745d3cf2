"""The metrics on a port of their own."""

import socket
import urllib.error
import urllib.request

import pytest

from footnote.settings import Settings
from footnote.telemetry import listening
from tests.local_stack.stack_under_test import free_port


def settings(port: int) -> Settings:
    return Settings(_env_file=None, metrics_port=port)


@pytest.fixture(scope="module")
def port() -> int:
    number: int = free_port()
    told = iter(["lamps 1\n", "lamps 2\n"])

    def render() -> str:
        return next(told)

    listening.listen(settings(number), render)
    return number


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_it_serves_metrics_and_nothing_else_and_outlives_what_goes_wrong(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening._Request, "timeout", 0.05)
    assert get(port, "/metrics") == (200, "lamps 1\n")
    assert get(port, "/")[0] == get(port, "/metrics/x")[0] == 404
    with socket.create_connection(("127.0.0.1", port)) as silent:  # is given up
        assert get(port, "/metrics?of=all") == (200, "lamps 2\n")
        assert silent.recv(1) == b""
    status, text = get(port, "/metrics")
    assert (status, "log says why" in text) == (500, True)
    assert get(port, "/")[0] == 404


def test_a_port_that_is_taken_is_named(port: int) -> None:
    with pytest.raises(SystemExit, match=f"FOOTNOTE_METRICS_PORT {port} on 127.0.0.1 cannot be used: Address already"):
        listening.listen(settings(port), lambda: "")


def test_without_a_port_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "_Server", lambda *_: pytest.fail("it listens"))
    listening.listen(Settings(_env_file=None), lambda: "")
