"""A primary, two replicas and three sentinels who watch them, on loopback."""

import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from footnote.local_stack.processes import Process, spawn
from footnote.local_stack.valkey import _binary

NAME = "primary"
SENTINEL = f"""
sentinel monitor {NAME} 127.0.0.1 {{primary}} 2
sentinel down-after-milliseconds {NAME} {{down_ms}}
sentinel failover-timeout {NAME} 5000
"""


@dataclass
class Watched:
    """The servers by their ports, and the REDIS_URL by which their primary is found."""

    servers: dict[int, Process]
    sentinels: dict[int, Process]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"sentinel://{hosts}/{NAME}"

    def primary(self) -> int | None:
        """The port of the server that the sentinels agree on; None while they do not."""
        told = {int(_told_by(port)["port"]) for port in self.sentinels}
        return told.pop() if len(told) == 1 else None

    def kill_primary(self) -> None:
        primary = self.primary()
        assert primary is not None
        process = self.servers[primary]
        process.send_signal(signal.SIGKILL)
        process.wait()

    def is_complete(self) -> bool:
        """Whether each sentinel knows the others and both replicas: before, none would be made primary."""
        told = [_told_by(port) for port in self.sentinels]
        return all((each["num-slaves"], each["num-other-sentinels"]) == (2, 2) for each in told)


def _told_by(port: int) -> dict[str, Any]:
    with Redis(port=port, decode_responses=True, socket_timeout=30) as client:
        return dict(client.sentinel_master(NAME))


@contextmanager
def running(*, down_ms: int = 1000) -> Iterator[Watched]:
    """`down_ms`: of silence after which a server counts as down. Call from the main thread."""
    directory = Path(tempfile.mkdtemp(prefix="fn-sentinel-"))
    ports = free_ports(6)
    primary, watched = ports[0], Watched({}, {})
    common = ["--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    with (directory / "log").open("ab") as log:
        try:
            for port in ports[:3]:
                follows = [] if port == primary else ["--replicaof", f"127.0.0.1 {primary}"]
                watched.servers[port] = spawn([_binary(), "--port", str(port), *common, *follows], log)
            for port in ports[3:]:
                config = directory / f"{port}.conf"
                config.write_text(SENTINEL.format(primary=primary, down_ms=down_ms))
                command = [_binary(), str(config), "--sentinel", "--port", str(port), "--bind", "127.0.0.1"]
                watched.sentinels[port] = spawn(command, log)
            _wait(watched, directory / "log")
            yield watched
        finally:
            for process in (*watched.servers.values(), *watched.sentinels.values()):
                process.kill()  # a primary that is asked to stop waits for its replicas
                process.wait()
            shutil.rmtree(directory)


def _wait(watched: Watched, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        with suppress(RedisError, OSError):
            if watched.is_complete():
                return
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in held]
    for each in held:
        each.close()
    return ports
