"""What is measured: Footnote as its users start it, with `footnote up`, or the servers that its code needs."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from footnote.local_stack.lock import holder
from footnote.local_stack.logs import last_lines
from footnote.local_stack.postgres import running_postgres
from footnote.local_stack.processes import ended, finish, spawn
from footnote.local_stack.valkey import running_valkey
from footnote.operations import bootstrap
from footnote.settings import Settings
from footnote.telemetry import configure_logging

STOP_SECONDS = 30.0
NOT_HANDED_ON = ("DATABASE_URL", "REDIS_URL", "STORAGE_URL", "FOOTNOTE_", "OPENAI_", "ANTHROPIC_")


@dataclass(frozen=True)
class Stack:
    """What runs: `pid` is the supervisor's."""

    url: str
    pid: int
    data_dir: Path

    @property
    def key(self) -> str:
        return (self.data_dir / "api_key").read_text().strip()

    @property
    def database_url(self) -> str:
        found: str = holder(self.data_dir)["database_url"]
        return found


def environment(data_dir: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Ours without any setting of Footnote: it is measured as shipped, but for `settings`."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(NOT_HANDED_ON)}
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        ports = {"PORT": str(first.getsockname()[1]), "FLOWER_PORT": str(second.getsockname()[1])}
    places = {"FOOTNOTE_DATA_DIR": str(data_dir), "XDG_CONFIG_HOME": str(data_dir.resolve())}
    return {**ours, **settings, **ports, **places}


@asynccontextmanager
async def started(data_dir: Path, settings: Mapping[str, str]) -> AsyncIterator[Stack]:
    """Ready within the block, and stopped in the end."""
    env = environment(data_dir, settings)
    with (data_dir / "up.txt").open("ab") as out:
        up = spawn([sys.executable, "-m", "footnote", "up"], out, env=env)
    try:
        url = f"http://127.0.0.1:{env['PORT']}"
        while not await _ready(url):
            if ended(up):
                raise SystemExit(f"`footnote up` ended:\n{last_lines(data_dir / 'up.txt')}")
            await asyncio.sleep(0.2)
        yield Stack(url, up.pid, data_dir)
    finally:
        up.send_signal(signal.SIGTERM)
        finish(up, time.monotonic() + STOP_SECONDS)


async def _ready(url: str) -> bool:
    try:
        async with httpx2.AsyncClient(timeout=5, trust_env=False) as client:
            return (await client.get(f"{url}/readyz?strict=true")).is_success
    except httpx2.TransportError:
        return False


@contextmanager
def servers(**options: Any) -> Iterator[Settings]:
    """Settings of Postgres, migrated, and Valkey, which run within the block; `options` are further settings."""
    with (
        tempfile.TemporaryDirectory(prefix="fn-") as directory,
        running_postgres(Path(directory) / "pg") as database_url,
        running_valkey(Path(directory) / "kv") as redis_url,
    ):
        settings = Settings(
            _env_file=None,
            database_url=database_url,
            redis_url=redis_url,
            storage_url=(Path(directory) / "objects").as_uri(),
            data_dir=Path(directory),
            log_level="WARNING",
            **options,
        )
        configure_logging(settings)
        os.environ["DATABASE_URL"] = database_url
        bootstrap.migrate()
        yield settings
