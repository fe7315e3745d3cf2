"""Several API processes at one port: they count together, stand in for each other, and end together."""

import http.client
import os
import re
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.local_stack.stack_under_test import free_port, lives, wait_for
from tests.programs import Program

pytestmark = pytest.mark.worker


def get(port: int, path: str) -> str | None:
    """On a connection of its own, which any of the processes may take."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, ConnectionError):
        return None


def test_several_processes_count_together_stand_in_for_each_other_and_end_together(
    migrated_url: str, redis_url: str, tmp_path: Path
) -> None:
    port = free_port()
    given = {"DATABASE_URL": migrated_url, "REDIS_URL": redis_url, "PORT": str(port), "WEB_CONCURRENCY": "2"}
    places = {"STORAGE_URL": f"file://{tmp_path}/objects", "TMPDIR": str(tmp_path)}
    api = Program("api", {**os.environ, **given, **places, "FOOTNOTE_HOST": "127.0.0.1"}, tmp_path / "log")

    def serving() -> list[int]:
        commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in api.children()}
        return [pid for pid, command in commands.items() if b"spawn_main" in command]

    def counted() -> int:
        text = get(port, "/metrics") or ""
        (count,) = re.findall(r'footnote_http_request_seconds_count\{.*route="/healthz".*\} (\d+)', text)
        return int(count)

    try:
        api.start()
        wait_for(lambda: get(port, "/healthz"))
        for _ in range(20):
            assert get(port, "/healthz")
        assert {counted() for _ in range(10)} == {21}

        upgrading = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        upgrading.request("GET", "/readyz", headers={"Connection": "Upgrade", "Upgrade": "websocket"})
        assert "x-frame-options" in upgrading.getresponse().headers, "no other protocol takes the connection over"
        upgrading.close()

        first, second = serving()
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: not lives(first))
        for _ in range(10):
            assert get(port, "/healthz")
        assert counted() == 31, "what it had counted is not lost"
        wait_for(lambda: len(serving()) == 2 and first not in serving())

        left = serving()
        assert second in left
        api.signal(signal.SIGKILL)
        wait_for(lambda: not any(map(lives, left)))
        assert get(port, "/healthz") is None
    finally:
        api.kill()
