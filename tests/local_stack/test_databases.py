"""Embedded Postgres and Valkey, as tests of the whole project use them too."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from footnote.local_stack import memory
from footnote.local_stack.directories import SOCKET_LOCK
from footnote.local_stack.postgres import Postgres, binaries, running_postgres
from footnote.local_stack.processes import StackFailed, works
from footnote.local_stack.users import ordinary_user
from footnote.local_stack.valkey import Valkey, running_valkey
from migrations import fingerprint
from tests.local_stack.stack_under_test import lives, wait_for


@pytest.fixture(scope="module")
def home(stack_directory):
    directory = stack_directory / "databases"
    directory.mkdir()
    return directory


@pytest.fixture(scope="module")
def server(home):
    """A cluster that is initialised and not running."""
    with running_postgres(home):
        pass
    return Postgres.within(home)


def inet_listeners(pid):
    """Listening TCP sockets of a process."""
    sockets = {str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()}
    tables = "".join(Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6"))
    inodes = (line.split()[9] for line in tables.splitlines() if " 0A " in line)
    return [inode for inode in inodes if f"socket:[{inode}]" in sockets]


def test_what_is_migrated_is_known_by_tables_role_and_tenant(server):
    with running_postgres(server.pgdata.parent) as url:
        made_by = fingerprint("walled")
        assert not server.is_migrated(made_by, "walled"), "there is not even a table"
        environment = {"DATABASE_URL": url, "FOOTNOTE_DATA_DIR": str(server.pgdata.parent)}
        command = [sys.executable, "-m", "footnote", "migrate", "--no-show-key"]
        subprocess.run(command, env=os.environ | environment | {"FOOTNOTE_TENANT_ROLE": "walled"}, check=True)
        assert server.is_migrated(made_by, "walled")
        assert not server.is_migrated(fingerprint("other"), "other")
        assert not server.is_migrated(made_by, "a role that is gone")
        server.sql("TRUNCATE tenant CASCADE", "footnote")
        assert not server.is_migrated(made_by, "walled"), "the first key is missing"


def test_postgres_is_ours_alone_and_has_what_we_need(server):
    with running_postgres(server.pgdata.parent, durable=True) as url:
        assert url == server.url
        sockets = Path(parse_qs(urlsplit(url).query)["host"][0])
        assert sockets.stat().st_mode & 0o777 == server.pgdata.stat().st_mode & 0o777 == 0o700
        assert inet_listeners(server._recorded_pid()) == []
        assert server.answers()
        assert server.version().startswith("18.")
        settings = "listen_addresses jit shared_buffers max_connections max_wal_size wal_compression"
        assert [server.sql(f"SHOW {name}") for name in settings.split()] == ["", "off", "128MB", "100", "1GB", "pglz"]
        fitted = memory.fitted(memory.of_machine(), 0)
        assert server.sql("SELECT pg_size_bytes(current_setting('maintenance_work_mem')) / 1024 / 1024") == (
            fitted["maintenance_work_mem"].removesuffix("MB")
        )
        row = "SELECT datcollate, pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'footnote'"
        assert server.sql(row) == "C.UTF-8|UTF8"
        assert server.sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'") == "1"
    assert not server.answers()


def test_postgres_has_the_memory_of_its_machine_unless_the_operator_says_otherwise(server, monkeypatch):
    gib, mib = 2**30, 2**20
    large = {"shared_buffers": "2048MB", "maintenance_work_mem": "512MB", "effective_cache_size": "4096MB"}
    assert memory.fitted(8 * gib, 5 * gib).items() >= large.items()
    assert memory.fitted(8 * gib, 40 * mib)["shared_buffers"] == "128MB", "a small database needs no more"
    huge = memory.fitted(512 * gib, 500 * gib)
    assert (huge["shared_buffers"], huge["maintenance_work_mem"]) == ("4096MB", "2048MB")
    monkeypatch.setattr(memory, "_shared", lambda: 64 * mib)
    assert memory.fitted(8 * gib, 0)["max_parallel_maintenance_workers"] == "0", "they would fail there"
    chosen = server.pgdata / "postgresql.auto.conf"
    before = chosen.read_text()
    chosen.write_text(before + "maintenance_work_mem = '96MB'\n")
    with running_postgres(server.pgdata.parent, durable=True):
        assert server.sql("SHOW maintenance_work_mem") == "96MB"
    chosen.write_text(before)


def test_only_the_server_of_this_cluster_counts_as_an_answer(server, tmp_path):
    with running_postgres(server.pgdata.parent):
        other = Postgres(tmp_path, server.sockets, server.user)
        assert server.answers()
        assert not other.answers()


def test_a_stale_pid_that_now_belongs_to_another_process_is_no_obstacle(server):
    stale = f"{os.getpid()}\n{server.pgdata}\n0\n5432\n{server.sockets}\n\n0 0\n"
    (server.pgdata / "postmaster.pid").write_text(stale)
    (server.sockets / SOCKET_LOCK).write_text(stale)
    with running_postgres(server.pgdata.parent):
        assert server.answers()


def test_the_pid_file_of_a_living_server_stays(server):
    with running_postgres(server.pgdata.parent):
        with pytest.raises(StackFailed, match="in use by another Postgres"):
            server.clear_stale_pid(seconds=0.2)
        assert server.answers()


def test_a_killed_server_with_a_busy_backend_can_be_started_again(server):
    with running_postgres(server.pgdata.parent):
        postmaster = server._recorded_pid()
        assert postmaster is not None
        command = ["psql", "-XAtq", "-h", str(server.sockets), "-U", "postgres", "-c"]
        command[0] = str(Path(f"/proc/{postmaster}/exe").resolve().parent / "psql")
        # A backend in the middle of a statement does not notice that its server is gone.
        with subprocess.Popen([*command, "SELECT count(*) FROM generate_series(1, 1e11::bigint)"]) as busy:
            backends = wait_for(
                lambda: server.sql(
                    "SELECT pid FROM pg_stat_activity WHERE query LIKE '%1e11%' AND pid <> pg_backend_pid()"
                )
            )
            os.kill(postmaster, signal.SIGKILL)
            wait_for(lambda: not lives(postmaster))
            assert lives(int(backends))
            begun = time.monotonic()
            with running_postgres(server.pgdata.parent):
                assert server.answers()
            assert time.monotonic() - begun < 30
            assert busy.wait(60) != 0


def test_a_database_that_a_busy_server_does_not_make_is_made_by_the_next_try(server):
    with running_postgres(server.pgdata.parent):
        server.sql("DROP DATABASE footnote")
        command = [str(binaries() / "psql"), "-h", str(server.sockets), "-U", "postgres", "-d", "template1", "-c"]
        there = "FROM pg_stat_activity WHERE datname = 'template1'"
        with subprocess.Popen([*command, "SELECT pg_sleep(60)"]) as busy:  # what is used cannot be copied
            wait_for(lambda: server.sql(f"SELECT count(*) {there}") == "1")
            assert not server.create_database()
            server.sql(f"SELECT pg_terminate_backend(pid) {there}")
            busy.wait(30)
        assert wait_for(server.create_database)
        assert server.sql("SELECT count(*) FROM pg_database WHERE datname = 'footnote'") == "1"
        assert server.create_database(), "it is there"


def test_an_interrupted_initdb_is_done_again(stack_directory):
    home = stack_directory / "interrupted"
    (home / "pg18.new").mkdir(parents=True)
    (home / "pg18.new" / "PG_VERSION").write_text("18\n")
    with running_postgres(home):
        assert not (home / "pg18.new").exists()


def test_another_versions_cluster_is_left_alone(tmp_path):
    (tmp_path / "pg18").mkdir()
    (tmp_path / "pg18" / "PG_VERSION").write_text("16\n")
    with pytest.raises(StackFailed, match="not a Postgres 18 cluster"), running_postgres(tmp_path):
        pass
    assert (tmp_path / "pg18" / "PG_VERSION").read_text() == "16\n"


def test_a_server_that_cannot_start_says_why(server):
    chosen = server.pgdata / "postgresql.conf"
    before = chosen.read_text()
    chosen.write_text("no_such_setting = 1\n")
    with pytest.raises(StackFailed, match="no_such_setting"), running_postgres(server.pgdata.parent):
        pass
    chosen.write_text(before)


def test_valkey_is_ours_alone_and_drops_nothing_silently(tmp_path):
    with running_valkey(tmp_path) as url:
        assert url == f"unix://{tmp_path}/run/valkey.sock?db=0"
        server = Valkey.within(tmp_path)
        assert server.version()
        assert server.socket.stat().st_mode & 0o777 == 0o700
        assert inet_listeners(int(value(server, "INFO server", "process_id:"))) == []
        assert b"noeviction" in server._ask(b"CONFIG GET maxmemory-policy")
    assert not server.answers()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == []


def value(server, command, name):
    answer = server._ask(command.encode()).decode()
    return next(line.removeprefix(name) for line in answer.splitlines() if line.startswith(name))


def test_sockets_of_a_deep_directory_are_kept_elsewhere(tmp_path, stack_directory, monkeypatch):
    deep = tmp_path / ("d" * 100)
    runtime = stack_directory / "r"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    with running_valkey(deep) as url:
        path = urlsplit(url).path
        assert path.startswith(str(runtime))
        assert Path(path).parent.stat().st_mode & 0o777 == 0o700
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
    # One that others can look into may be a trap.
    Path(path).parent.chmod(0o755)
    with pytest.raises(StackFailed, match="not a private directory"), running_valkey(deep):
        pass


@pytest.fixture
def no_user_namespaces(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    unshare = tmp_path / "bin" / "unshare"
    unshare.write_text("#!/bin/sh\nexit 1\n")
    unshare.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    works.cache_clear()
    yield
    works.cache_clear()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become another user")
class TestRoot:
    def test_files_stay_roots_in_a_user_namespace(self, server):
        if not works("unshare", "--user", "true"):
            pytest.skip("user namespaces are forbidden")
        assert server.user.prefix[0] == "unshare"
        assert server.pgdata.stat().st_uid == 0

    def test_without_namespaces_a_system_user_owns_the_cluster_for_good(self, no_user_namespaces, request):
        directory = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
        request.addfinalizer(lambda: subprocess.run(["rm", "-r", str(directory)], check=True))
        with running_postgres(directory):
            owner = (directory / "pg18").stat().st_uid
            assert owner != 0
            assert directory.stat().st_mode & 0o777 == 0o710
        works.cache_clear()
        os.environ["PATH"] = os.environ["PATH"].split(":", 1)[1]
        with running_postgres(directory):
            assert (directory / "pg18").stat().st_uid == owner

    def test_a_directory_that_no_system_user_reaches_is_named(self, no_user_namespaces, tmp_path):
        closed = tmp_path / "closed"
        (closed / "data").mkdir(parents=True, mode=0o700)
        closed.chmod(0o700)
        with pytest.raises(StackFailed, match=str(closed)):
            ordinary_user(closed / "data" / "pg18", Path("/bin/true"))
