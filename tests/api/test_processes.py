"""Several API processes at one port: they count together, replace each other, and end together."""

import http.client
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from api.serving.server import SAME_PRESS_SECONDS
from tests import metrics
from tests.local_stack.stack_under_test import DEADLINE, free_port, lives, wait_for
from tests.programs import Program

pytestmark = pytest.mark.worker


def get(port: int, path: str) -> str | None:
    """A request on its own connection, which any of the processes may accept."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, ConnectionError):
        return None


def test_several_processes_count_together_stand_in_for_each_other_and_end_together(
    migrated_url: str, redis_url: str, tmp_path: Path
) -> None:
    port, metrics_port = free_port(), free_port()
    given = {"DATABASE_URL": migrated_url, "REDIS_URL": redis_url, "PORT": str(port), "WEB_CONCURRENCY": "2"}
    places = {"STORAGE_URL": f"file://{tmp_path}/objects", "TMPDIR": str(tmp_path)}
    given["FOOTNOTE_METRICS_PORT"] = str(metrics_port)
    api = Program("api", {**os.environ, **given, **places, "FOOTNOTE_HOST": "127.0.0.1"}, tmp_path / "log")

    def counted() -> int:
        counts = metrics.at(metrics_port)
        return int(counts['footnote_http_requests_total{route="/healthz",status="2xx"}'])

    try:
        api.start()
        wait_for(lambda: get(port, "/healthz"))
        for _ in range(20):
            assert get(port, "/healthz")
        assert {counted() for _ in range(10)} == {21}
        assert get(port, "/metrics") is None, "they are on their own port"

        upgrading = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        upgrading.request("GET", "/readyz", headers={"Connection": "Upgrade", "Upgrade": "websocket"})
        assert "x-frame-options" in upgrading.getresponse().headers, "no other protocol takes the connection over"
        upgrading.close()

        first, second = api.children()
        assert max(own_share(first), own_share(second)) < 0.6, "they share what their parent imported"
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: not lives(first))
        for _ in range(10):
            assert get(port, "/healthz")
        assert counted() == 31, "what it had counted is not lost"
        wait_for(lambda: len(api.children()) == 2 and first not in api.children())

        left = api.children()
        assert second in left
        api.signal(signal.SIGKILL)
        wait_for(lambda: not any(map(lives, left)))
        assert get(port, "/healthz") is None
    finally:
        api.kill()


def own_share(pid: int) -> float:
    """Of the memory of a process that it shares with no other."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {name.rstrip(":"): int(size) for name, size, _ in map(str.split, lines)}
    return (sizes["Private_Clean"] + sizes["Private_Dirty"]) / sizes["Rss"]


class Small:
    """`tests/api/small_api.py`, with `drain` seconds."""

    def __init__(self, tmp_path: Path, drain: int, processes: int = 2) -> None:
        self.processes = processes
        self.port = free_port()
        self.slow = tmp_path / "slow"
        self.slow.touch()
        given = {"PORT": str(self.port), "SLOW": str(self.slow), "DRAIN": str(drain), "WEB_CONCURRENCY": str(processes)}
        self.program = Program("tests.api.small_api", {**os.environ, **given}, tmp_path / "log")

    def __enter__(self) -> "Small":
        self.program.start()
        wait_for(lambda: get(self.port, "/") and (self.processes == 1 or len(self.serving()) == 2))
        return self

    def __exit__(self, *_: object) -> None:
        left = self.serving() if self.program.running() else []
        self.program.kill()
        for pid in filter(lives, left):
            os.kill(pid, signal.SIGKILL)

    def serving(self) -> list[int]:
        return self.program.children()

    def begin(self, path: str) -> "socket.socket":
        """A request that is under way."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return connection

    def refuses(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=60).close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            pass
        return False


def test_a_restart_fails_no_request_and_a_stop_lets_requests_end(tmp_path: Path) -> None:
    with Small(tmp_path, drain=60) as api:
        before = api.serving()
        failed: list[str] = []
        done = threading.Event()

        def ask(fresh: bool) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=60)
            while not done.is_set():
                try:
                    connection.request("GET", "/")
                    assert connection.getresponse().read()
                except (OSError, http.client.HTTPException, AssertionError) as error:
                    failed.append(repr(error))
                if fresh:
                    connection.close()
                time.sleep(0.005)
            connection.close()

        asking = [threading.Thread(target=ask, args=(fresh,)) for fresh in (True, False)]
        for thread in asking:
            thread.start()
        with api.begin("/slow") as slow:
            api.program.signal(signal.SIGHUP)
            wait_for(lambda: len(set(api.serving()) - set(before)) == 1)
            wait_for(lambda: get(api.port, "/"))
            api.slow.unlink()
            assert slow.recv(1000).startswith(b"HTTP/1.1 200 ")
        wait_for(lambda: not any(map(lives, before)) and len(api.serving()) == 2)
        done.set()
        for thread in asking:
            thread.join()
        assert failed == []
        # A stop while another restart is under way is obeyed, also if a supervisor signals the whole group.
        pids = api.serving()
        api.slow.touch()
        with api.begin("/slow") as slow:
            api.program.signal(signal.SIGHUP)
            for pid in pids:
                os.kill(pid, signal.SIGTERM)
            api.program.signal(signal.SIGTERM)
            wait_for(api.refuses)
            assert api.program.running()
            api.slow.unlink()
            assert slow.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert api.program.wait(DEADLINE) == 0
        assert not any(map(lives, pids))
        assert "Traceback" not in api.program.log.read_text()


def test_a_second_signal_ends_all_processes_at_once(tmp_path: Path) -> None:
    with Small(tmp_path, drain=3600) as api, api.begin("/hang"):
        pids = api.serving()
        api.program.signal(signal.SIGTERM)
        for _ in range(20):  # until one comes after the time within which two signals are one, as the program has it
            if not api.program.running():
                break
            time.sleep(2 * SAME_PRESS_SECONDS)
            api.program.signal(signal.SIGTERM)
        assert api.program.wait(DEADLINE) == -signal.SIGTERM
        wait_for(lambda: not any(map(lives, pids)))


def test_a_process_that_hangs_is_gone_soon_after_the_drain(tmp_path: Path) -> None:
    with Small(tmp_path, drain=0, processes=1) as api, api.begin("/hang"):
        time.sleep(0.5)  # in which the request is read
        api.program.signal(signal.SIGTERM)
        assert api.program.wait(DEADLINE) == -signal.SIGALRM
