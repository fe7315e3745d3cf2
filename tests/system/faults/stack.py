"""`footnote up` on a data directory of our own, and who serves in it: found by asking, not by remembering."""

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self, TypeVar

import httpx2
from redis.asyncio import Redis
from redis.exceptions import RedisError

from footnote.local_stack.lock import holder
from footnote.local_stack.logs import last_lines
from footnote.local_stack.postgres import Postgres
from footnote.local_stack.processes import Process, ended, spawn
from footnote.local_stack.valkey import Valkey
from tests.pgbouncer import Pooler, program, running
from tests.system.faults import processes

LEASE = 5.0
PROFILE = {
    "FOOTNOTE_LEASE_SECONDS": f"{LEASE:g}",
    "FOOTNOTE_HEARTBEAT_SECONDS": "1.5",
    "FOOTNOTE_RESEND_SECONDS": "3",
    "FOOTNOTE_WEBHOOK_ALLOW_PRIVATE": "true",
    "FOOTNOTE_EMBEDDER": "local",
    "FOOTNOTE_GENERATOR": "extractive",
}
OURS = ("FOOTNOTE_", "DATABASE_", "REDIS_", "STORAGE_", "OPENAI_", "PG")

Value = TypeVar("Value")


async def until(condition: Callable[[], Awaitable[Value | None]], seconds: float, what: str) -> Value:
    """The first true value of the condition; AssertionError if there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := await condition()):
        assert time.monotonic() < deadline, f"not in {seconds:g} s: {what}"
        await asyncio.sleep(0.05)
    return value


class Server:
    """A database out of the supervisor's reach: away for as long as a scenario likes."""

    def __init__(self, database: Valkey | Postgres, directory: Path, env: dict[str, str]) -> None:
        self.database, self.directory, self.env = database, directory, env

    async def start(self) -> None:
        self._spawn()
        await until(lambda: asyncio.to_thread(self.database.answers), 60, "our own database answers")
        if isinstance(self.database, Postgres):
            await asyncio.to_thread(self.database.create_database)

    def _spawn(self) -> None:
        """From the main thread, with whose end it ends."""
        run_as = tuple[str, ...]()
        with (self.directory / "log").open("ab") as out:
            if isinstance(self.database, Postgres):
                run_as = self.database.user.prefix
                if not self.database.initialised:
                    assert spawn(self.database.prepare_initdb(), out, run_as=run_as).wait() == 0
                    self.database.finish_initdb()
                self.database.clear_stale_pid()
            self.process = spawn(self.database.command(), out, run_as=run_as, env=self.env)

    async def kill(self) -> None:
        processes.send(signal.SIGKILL, [self.process.pid])
        self.process.wait()

    async def stop(self) -> None:
        """As an operator does: every connection is closed."""
        processes.send(signal.SIGINT, [self.process.pid])
        await asyncio.to_thread(self.process.wait)

    async def freeze(self) -> None:
        processes.send(signal.SIGSTOP, [each.pid for each in processes.of(self.directory)])

    async def thaw(self) -> None:
        processes.send(signal.SIGCONT, [each.pid for each in processes.of(self.directory)])


class Stack:
    """The product as shipped, in the test profile. Its processes and data are gone when the block ends.

    `own` names the database, "redis" or "postgres", that is a Server of ours. Before ours there may be `pgbouncer`.
    """

    def __init__(self, keep_logs: Path | None = None, own: str = "", *, pgbouncer: bool = False, **settings: str):
        own = own or "postgres" * pgbouncer
        self.data_dir = Path(tempfile.mkdtemp(prefix="fn-faults-")).resolve()
        self.port, flower_port = _free_ports()
        self.url = f"http://127.0.0.1:{self.port}"
        theirs = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        places = {"PORT": str(self.port), "FLOWER_PORT": str(flower_port), "FOOTNOTE_DATA_DIR": str(self.data_dir)}
        places["XDG_CONFIG_HOME"] = str(self.data_dir)  # its user's commands go on talking to another server
        self.env = theirs | PROFILE | places | settings
        apart = self.data_dir / "own"
        self.valkey = Valkey.within(apart if own == "redis" else self.data_dir)
        if own:
            self.own = Server(Postgres.within(apart) if own == "postgres" else self.valkey, apart, self.env)
            self.env["REDIS_URL" if own == "redis" else "DATABASE_URL"] = self.own.database.url
        self.database_url = ""
        self.pooler: Pooler | None = None
        self._pools, self._entered = pgbouncer and own == "postgres", ExitStack()
        self.keep_logs = keep_logs
        self.up: Process | None = None

    async def __aenter__(self) -> Self:
        if "DATABASE_URL" in self.env:
            await self.own.start()
        if self._pools:
            direct = self.own.database.url
            self.pooler = self._entered.enter_context(running(program(), direct))
            self.env |= {"DATABASE_URL": self.pooler.url, "DATABASE_DIRECT_URL": direct}
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.kill_everything()
        self._entered.close()
        if self.keep_logs:
            shutil.copytree(self.data_dir / "logs", self.keep_logs / self.data_dir.name)
            shutil.copy(self.data_dir / "up.txt", self.keep_logs / self.data_dir.name)
        shutil.rmtree(self.data_dir)

    def start(self) -> None:
        with (self.data_dir / "up.txt").open("ab") as out:
            self.up = spawn([sys.executable, "-m", "footnote", "up"], out, env=self.env)

    def kill_everything(self) -> None:
        """SIGKILL for the supervisor first, then for whatever is left of it."""
        if self.up:
            processes.send(signal.SIGKILL, [self.up.pid])
            self.up.wait()
        while left := processes.of(self.data_dir):
            processes.send(signal.SIGKILL, [each.pid for each in left])

    async def ready(self, path: str = "/readyz?strict=true", seconds: float = 120) -> float:
        """Waits until the API says so; how many seconds that took."""
        started = time.monotonic()

        async def answers() -> bool:
            assert not (self.up and ended(self.up)), f"`footnote up` ended: {last_lines(self.data_dir / 'up.txt')}"
            return await self.says_ok(path)

        await until(answers, seconds, f"GET {path} = 200")
        ours = self.env.get("DATABASE_DIRECT_URL") or self.env.get("DATABASE_URL")
        self.database_url = ours or holder(self.data_dir)["database_url"]
        return time.monotonic() - started

    async def says_ok(self, path: str) -> bool:
        try:
            async with httpx2.AsyncClient(timeout=5) as client:
                return (await client.get(f"{self.url}{path}")).status_code == 200
        except httpx2.TransportError:
            return False

    @property
    def key(self) -> str:
        return (self.data_dir / "api_key").read_text().strip()

    @property
    def pgdata(self) -> Path:
        return Postgres.within(self.own.directory if "DATABASE_URL" in self.env else self.data_dir).pgdata

    async def start_again(self, what: str) -> None:
        """Starts what was killed, if it is ours: the supervisor starts nothing but its own."""
        if what == "pooler" and self.pooler:
            self.pooler.kill()
            self.pooler.start()
        elif what == "postgres" and "DATABASE_URL" in self.env:
            await self.own.kill()
            await self.own.start()

    # -- who serves ----------------------------------------------------------------------------------------------

    def api(self) -> tuple[int, ...] | None:
        """The pid of the API's first process, and those of the ones below it that listen on the port with it."""
        found = {pid: processes.parent(pid) for pid in processes.holders(self.port)}
        mains = [pid for pid, parent in found.items() if parent not in found]
        others = [pid for pid, parent in found.items() if parent in mains]
        return (*mains, *others) if len(mains) == 1 and others else None

    def worker(self) -> tuple[int, ...] | None:
        """The pid of the one worker, and those of its pool: processes of the same command below it."""
        found = {each.pid: each.parent for each in self._commanded("-m worker")}
        mains = [pid for pid, parent in found.items() if parent not in found]
        pool = [pid for pid, parent in found.items() if parent in mains]
        return (*mains, *pool) if len(mains) == 1 and pool else None

    def dispatcher(self) -> int | None:
        found = self._commanded("-m worker.background")
        return found[0].pid if len(found) == 1 else None

    def _commanded(self, ending: str) -> list[processes.Process]:
        return [each for each in processes.of(self.data_dir) if each.command.endswith(ending)]

    async def redis(self) -> int | None:
        """The pid that the server at the socket says it has."""
        try:
            async with Redis.from_url(self.valkey.url, socket_timeout=1, socket_connect_timeout=1) as client:
                return int((await client.info("server"))["process_id"])
        except RedisError:
            return None

    async def queued(self) -> int:
        """Messages in the fullest of the broker's queues."""
        async with Redis.from_url(self.valkey.url, socket_timeout=5) as client:
            return max([int(await client.llen(key)) async for key in client.scan_iter(_type="list")], default=0)


def _free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        return first.getsockname()[1], second.getsockname()[1]


def free_ports(count: int) -> list[int]:
    """As many that follow each other, and one more."""
    while True:
        with ExitStack() as stack:
            first = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            try:
                others = range(first + 1, first + count)
                last = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
                for port in others:
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
            except (OSError, OverflowError):
                continue
            return [first, *others, last]
