"""PgBouncer before a Postgres of the tests, with the configuration that docs/scaling.md shows."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from footnote.local_stack.processes import Process, ended, finish, spawn
from footnote.local_stack.users import RunAs, ordinary_user

DOCS = Path(__file__).parent.parent / "docs" / "scaling.md"
LEAST = (1, 21)  # prepares statements in each session


def binary(*, least: tuple[int, ...] = LEAST) -> str:
    """The program of the variable PGBOUNCER, or on PATH. Skips the test if there is none, or it is too old."""
    try:
        return program(least)
    except LookupError as why:
        pytest.skip(str(why))


def program(least: tuple[int, ...] = LEAST) -> str:
    """As `binary`, but raises LookupError."""
    found = os.environ.get("PGBOUNCER") or shutil.which("pgbouncer")
    if found is None:
        raise LookupError("no pgbouncer: `apt install pgbouncer`")
    if (version := version_of(found)) < least:
        raise LookupError(f"pgbouncer {version} is too old: set PGBOUNCER to one from {least} on")
    return found


def version_of(program: str) -> tuple[int, ...]:
    shown = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    return tuple(int(part) for part in re.findall(r"\d+", shown)[:2])


def configuration() -> ConfigParser:
    """As the page has it."""
    shown = re.search(r"```ini\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert shown is not None
    parsed = ConfigParser()
    parsed.read_string(shown[1])
    return parsed


@dataclass
class Pooler:
    """PgBouncer, and the DATABASE_URL that leads through it."""

    command: list[str]
    log: Path
    run_as: RunAs
    port: int
    process: Process = field(init=False)

    @property
    def url(self) -> str:
        return f"postgresql://footnote@127.0.0.1:{self.port}/footnote"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        """Call from the main thread."""
        with self.log.open("ab") as log:
            self.process = spawn(self.command, log, run_as=self.run_as.prefix)
        deadline = time.monotonic() + 30
        while not _listens(self.port):
            assert not ended(self.process), self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)


@contextmanager
def running(program: str, postgres_url: str, **options: str) -> Iterator[Pooler]:
    """Before any database of that server."""
    directory = Path(tempfile.mkdtemp(prefix="fn-pgb-"))
    run_as = ordinary_user(directory, Path(program))
    run_as.give(directory)
    port = _free_port()
    config = _configured(postgres_url, port, options)
    if version_of(program) < LEAST:
        config.remove_option("pgbouncer", "max_prepared_statements")
    with (directory / "pgbouncer.ini").open("w") as file:
        config.write(file)
    pooler = Pooler([program, str(directory / "pgbouncer.ini")], directory / "log", run_as, port)
    pooler.start()
    try:
        yield pooler
    finally:
        pooler.process.send_signal(signal.SIGQUIT)  # others wait for the clients
        finish(pooler.process, time.monotonic() + 5)
        shutil.rmtree(directory)


def _configured(postgres_url: str, port: int, options: Mapping[str, str]) -> ConfigParser:
    config = configuration()
    parts = urlsplit(postgres_url)
    host = parse_qs(parts.query)["host"][0] if parts.query else f"{parts.hostname} port={parts.port}"
    config["databases"] = {"*": f"host={host} user=postgres"}
    here = {"listen_addr": "127.0.0.1", "listen_port": str(port), "auth_type": "any", "unix_socket_dir": ""}
    config["pgbouncer"].update({**here, **options})
    config.remove_option("pgbouncer", "auth_file")
    return config


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0
