"""`footnote up` as its user meets it, over stand-ins for our programs."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from footnote.local_stack.lock import holder
from footnote.local_stack.processes import works
from tests.local_stack.stack_under_test import DEADLINE, Stack, lives, processes_with, wait_for


@pytest.fixture
def stack(tmp_path):
    stack = Stack(tmp_path / "data")
    yield stack
    for process in stack.started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE)


def mode(path):
    return path.stat().st_mode & 0o777


def test_up_says_what_runs_and_stops_on_ctrl_c(stack):
    process = stack.start_and_wait()
    pids = [stack.pid(service) for service in ("api", "worker", "dispatcher", "flower")]
    assert f"http://127.0.0.1:{stack.settings['port']}/docs" in stack.said
    assert f"http://127.0.0.1:{stack.settings['flower_port']}/" in stack.said
    assert "stand-in embedder" in stack.said
    assert "stand-in generator" in stack.said
    assert all(lives(pid) for pid in pids)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert not any(lives(pid) for pid in pids)
    assert not processes_with(str(stack.data_dir))


def test_what_is_configured_is_not_embedded(stack):
    stack.start_and_wait()
    assert not (stack.data_dir / "pg18").exists()
    assert "at elsewhere, as DATABASE_URL says" in stack.said
    assert "at elsewhere, as REDIS_URL says" in stack.said


def test_a_redis_of_others_that_is_away_does_not_hold_up_the_start(stack, monkeypatch):
    monkeypatch.setenv("AWAY", "redis")
    stack.start_and_wait()
    assert "is ready without redis" in stack.said
    assert "away: at elsewhere, as REDIS_URL says" in stack.said


def test_children_get_the_decided_environment(stack):
    names = "DATABASE_URL REDIS_URL STORAGE_URL FOOTNOTE_DATA_DIR PORT FLOWER_PORT FLOWER_PASSWORD"
    stack.migrate = ["sh", "-c", f'for name in {names}; do eval "echo $name=\\$$name"; done > "$FOOTNOTE_DATA_DIR/env"']
    stack.start_and_wait()
    got = dict(line.split("=", 1) for line in (stack.data_dir / "env").read_text().splitlines())
    assert got == {
        "DATABASE_URL": "postgresql://elsewhere/footnote",
        "REDIS_URL": "redis://elsewhere",
        "STORAGE_URL": f"file://{stack.data_dir}/objects",
        "FOOTNOTE_DATA_DIR": str(stack.data_dir),
        "PORT": str(stack.settings["port"]),
        "FLOWER_PORT": str(stack.settings["flower_port"]),
        "FLOWER_PASSWORD": (stack.data_dir / "flower_password").read_text().strip(),
    }


def test_secrets_are_private_and_the_api_key_is_shown_by_the_start_that_made_it(stack):
    make_key = 'umask 077; test -f "$FOOTNOTE_DATA_DIR/api_key" || echo fn_first > "$FOOTNOTE_DATA_DIR/api_key"'
    stack.migrate = ["sh", "-c", make_key]
    process = stack.start_and_wait()
    password = (stack.data_dir / "flower_password").read_text()
    assert "fn_first" in stack.said
    assert password.strip() not in stack.said
    assert mode(stack.data_dir) == mode(stack.data_dir / "logs") == 0o700
    assert mode(stack.data_dir / "flower_password") == mode(stack.data_dir / "logs" / "api.log") == 0o600
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    stack.start_and_wait()
    assert "fn_first" not in stack.said
    assert (stack.data_dir / "flower_password").read_text() == password


def test_a_second_start_says_already_running(stack):
    first = stack.start_and_wait()
    second = stack.start("second")
    assert second.wait(30) == 3
    assert f"already running: pid {first.pid}, http://127.0.0.1:{stack.settings['port']}" in stack.said
    assert first.poll() is None


def test_of_two_starts_at_once_one_wins(stack):
    both = [stack.start("one"), stack.start("two")]
    wait_for(lambda: any(process.poll() is not None for process in both))
    outs = [stack.data_dir.with_suffix(".one"), stack.data_dir.with_suffix(".two")]
    assert sorted(process.poll() or 0 for process in both) == [0, 3], [out.read_text() for out in outs]
    wait_for(lambda: any("Ctrl-C to stop" in out.read_text() for out in outs))
    assert sum("already running" in out.read_text() for out in outs) == 1


@pytest.mark.parametrize(("setting", "variable"), [("port", "PORT"), ("flower_port", "FLOWER_PORT")])
def test_a_taken_port_is_named_with_its_setting(stack, setting, variable):
    with socket.socket() as other:
        other.bind(("127.0.0.1", stack.settings[setting]))
        other.listen()
        assert stack.start().wait(30) == 1
    assert f"Port {stack.settings[setting]} on 127.0.0.1 is taken" in stack.said
    assert f"Set {variable} " in stack.said


def test_a_failed_migration_stops_everything_and_shows_its_last_words(stack):
    stack.migrate = ["sh", "-c", "for n in $(seq 1 25); do echo line $n; done; exit 7"]
    assert stack.start().wait(30) == 1
    assert "migrate failed with status 7" in stack.said
    assert "line 25" in stack.said
    assert "line 5\n" not in stack.said


def test_what_dies_is_started_again_and_its_grandchildren_go_with_it(stack):
    marker = f"77{os.getpid()}"
    stack.services["worker"]["command"] = ["sh", "-c", f"sleep {marker} & echo WARNING: begun; wait"]
    stack.start_and_wait()
    wait_for(lambda: "worker     | WARNING: begun" in stack.said)
    [grandchild] = wait_for(lambda: processes_with(f"sleep\0{marker}"))  # the shell may speak before it is there
    os.kill(stack.pid("worker"), signal.SIGKILL)
    wait_for(lambda: stack.said.count("worker     | WARNING: begun") == 2)
    assert "worker ended (SIGKILL), starts again in 0.2 s" in stack.said
    assert not lives(grandchild)
    assert len(wait_for(lambda: processes_with(f"sleep\0{marker}"))) == 1


def test_a_required_service_that_cannot_start_ends_the_start(stack):
    stack.services["worker"]["command"] = ["sh", "-c", "echo no such broker; exit 4"]
    stack.services["api"]["command"] = ["sleep", "1000"]
    assert stack.start().wait(60) == 1
    assert "worker keeps ending (status 4)" in stack.said
    assert stack.said.rstrip().endswith("no such broker")


def test_flower_does_not_hold_up_the_rest(stack):
    stack.services["flower"]["command"] = ["false"]
    process = stack.start_and_wait()
    wait_for(lambda: stack.said.count("flower ended (status 1)") >= 5)
    assert process.poll() is None


def test_a_vital_service_that_keeps_ending_stops_everything(stack):
    stack.services["dispatcher"] |= {"command": ["sh", "-c", "sleep 0.3; echo out of memory; exit 2"], "vital": True}
    assert stack.start().wait(60) == 1
    assert "dispatcher keeps ending (status 2)" in stack.said
    assert "out of memory" in stack.said


STUBBORN = ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]


def test_a_child_that_does_not_stop_is_killed(stack):
    stack.services["worker"] |= {"command": STUBBORN, "stop_seconds": 0.5}
    process = stack.start_and_wait()
    worker = stack.pid("worker")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert "worker was killed" in stack.said
    assert not lives(worker)


def test_a_second_ctrl_c_kills_at_once(stack):
    stack.services["worker"] |= {"command": STUBBORN, "stop_seconds": 600.0}
    process = stack.start_and_wait()
    process.send_signal(signal.SIGINT)
    wait_for(lambda: "stopping" in stack.said)
    time.sleep(0.6)  # the same press may arrive twice; this is another one
    process.send_signal(signal.SIGINT)
    process.wait(30)
    assert not lives(stack.pid("worker"))


def test_ctrl_c_during_the_start_stops_it(stack):
    stack.migrate = ["sh", "-c", "echo migrating; exec sleep 1000"]
    process = stack.start()
    log = stack.data_dir / "logs" / "migrate.log"
    wait_for(lambda: log.exists() and "migrating" in log.read_text())
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_killing_the_supervisor_leaves_nothing_and_the_next_start_works(stack):
    marker = f"88{os.getpid()}"
    stack.services["worker"]["command"] = ["sh", "-c", f"sleep {marker} & wait"]
    process = stack.start_and_wait()
    assert processes_with(f"sleep\0{marker}")
    pids = [stack.pid(service) for service in ("api", "worker", "flower")]
    process.kill()
    process.wait()
    wait_for(lambda: not any(lives(pid) for pid in pids))
    stack.services["worker"]["command"] = ["sleep", "1000"]
    stack.start_and_wait()
    assert not processes_with(f"sleep\0{marker}")


@pytest.mark.stack
def test_the_real_databases(stack):
    stack.settings |= {"database_url": None, "redis_url": None}
    process = stack.start_and_wait()
    postgres, valkey = stack.pid("postgres"), stack.pid("valkey")
    os.kill(postgres, signal.SIGKILL)
    os.kill(valkey, signal.SIGKILL)
    wait_for(lambda: "postgres ended (SIGKILL)" in stack.said and "valkey ended (SIGKILL)" in stack.said)
    wait_for(lambda: Path(f"{stack.data_dir}/logs/postgres.log").read_text().count("ready to accept") == 2)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert "database system is shut down" in (stack.data_dir / "logs" / "postgres.log").read_text()
    assert not processes_with(str(stack.data_dir))


@pytest.mark.stack
@pytest.mark.parametrize("uid", [65534, 54321], ids=["nobody", "a uid without a name"])
def test_other_users(stack, uid):
    stack.run_as = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]
    # Not exec: the first program after the change of user would still be opened with root's rights.
    if not works(*stack.run_as, "sh", "-c", f"'{sys.executable}' -c 'import pydantic'; exit $?"):
        pytest.skip("we cannot become another user, or that user cannot run this Python")
    # Outside pytest's own directories, which are closed to others.
    with tempfile.TemporaryDirectory() as directory:
        os.chown(directory, uid, uid)
        stack.data_dir = Path(directory, "data")
        stack.settings |= {"database_url": None, "redis_url": None, "data_dir": str(stack.data_dir)}
        process = stack.start_and_wait()
        assert (stack.data_dir / "pg18").stat().st_uid == uid
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert not processes_with(directory)


def test_a_running_stack_says_where_it_is_and_a_stopped_one_nothing(stack):
    process = stack.start()
    wait_for(lambda: "Ctrl-C to stop" in stack.said)
    assert holder(stack.data_dir)["url"].endswith(f":{stack.settings['port']}")
    assert holder(stack.data_dir)["database_url"].startswith("postgresql://")
    process.terminate()
    assert process.wait(30) == 0
    assert holder(stack.data_dir) == {}


@pytest.mark.parametrize("place", ["a file", "/proc/nope"])
def test_a_data_directory_that_cannot_be_is_one_line(stack, tmp_path, place):
    (tmp_path / "a file").write_text("")
    stack.data_dir = tmp_path / place
    outcome = subprocess.run(
        [sys.executable, "-m", "footnote", "up"],
        env={**os.environ, "FOOTNOTE_DATA_DIR": str(stack.data_dir), "PORT": "1025", "FLOWER_PORT": "1026"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert outcome.returncode == 1
    assert len((outcome.stdout + outcome.stderr).splitlines()) == 1
