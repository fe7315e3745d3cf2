"""`footnote up`: everything on this machine, with one command."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

from footnote import __version__
from footnote.errors import Invalid
from footnote.local_stack import postgres, user_file, valkey
from footnote.local_stack.banner import Banner, BannerLine
from footnote.local_stack.child import Child
from footnote.local_stack.directories import private_directory, stored_secret
from footnote.local_stack.endpoints import check_ports, readiness, url
from footnote.local_stack.guard import Guard
from footnote.local_stack.lock import AlreadyRunning, exclusive, publish
from footnote.local_stack.logs import last_lines
from footnote.local_stack.postgres import Postgres
from footnote.local_stack.processes import StackFailed
from footnote.local_stack.services import Programs, environment, postgres_service, programs, valkey_service
from footnote.local_stack.supervisor import StopRequested, Supervisor
from footnote.local_stack.valkey import Valkey
from footnote.settings import Settings
from migrations import fingerprint

READY_SECONDS = 120.0
DEGRADED_SECONDS = 3.0  # after this it no longer waits for stores that others run

EXIT_STOPPED = 0
EXIT_FAILED = 1
EXIT_ALREADY_RUNNING = 3


def up(settings: Settings, ours: Programs | None = None, out: TextIO | None = None) -> int:
    """Run the local stack until it is asked to stop; the exit status. Call from the main thread.

    0: stopped by Ctrl-C or SIGTERM. 1: could not start or continue. 3: already running. `ours` are the
    programs to run over the databases: Footnote's own unless given.
    """
    out = out or sys.stdout
    data_dir = settings.data_dir.expanduser().resolve()
    try:
        private_directory(data_dir)
        address = url(settings.host, settings.port)
        with exclusive(data_dir, address, on_wait=lambda: _say(out, _LEFT_BEHIND)) as lock:
            check_ports(settings)
            ours = ours or programs(settings)
            guard = Guard(lock, seconds=round(max(20.0, *(each.stop_seconds for each in ours.services))) + 5)
            try:
                supervisor = Supervisor(private_directory(data_dir / "logs"), guard, out)
                _Stack(settings, data_dir, ours, supervisor, out).run()
            finally:
                guard.close()
    except AlreadyRunning as running:
        _say(out, running.message)
        return EXIT_ALREADY_RUNNING
    except OSError as error:
        _say(out, f"{error.strerror}: {error.filename}. FOOTNOTE_DATA_DIR is {data_dir}.")
        return EXIT_FAILED
    except StackFailed as failed:
        out.write(_explained(failed))
        return EXIT_FAILED
    return EXIT_STOPPED


_LEFT_BEHIND = "waiting for the processes of a killed start to end"


def _say(out: TextIO, text: str) -> None:
    out.write(f"footnote: {text}\n")
    out.flush()


def _explained(failed: StackFailed) -> str:
    text = f"footnote: {failed.message}\n"
    if failed.log is not None and failed.log.exists():
        text += f"The last lines of {failed.log}:\n{last_lines(failed.log)}\n"
    return text


@dataclass
class _Stack:
    """One run of everything."""

    settings: Settings
    data_dir: Path
    ours: Programs
    supervisor: Supervisor
    out: TextIO
    stores: list[BannerLine] = field(default_factory=list)
    embedded: Postgres | None = None

    def run(self) -> None:
        """Start, watch until asked to stop, stop. Raises StackFailed."""
        with self.supervisor.signals():
            try:
                self._start()
                while True:
                    self.supervisor.pause()
            except StopRequested:
                self.supervisor.say("stopping; running work gets a few seconds (Ctrl-C again ends it at once)")
            finally:
                self.supervisor.stop()

    def _start(self) -> None:
        database_url, redis_url = self._start_stores()
        publish(self.data_dir, url=url(self.settings.host, self.settings.port), database_url=database_url)
        password_file = self.data_dir / "flower_password"
        env = environment(
            self.settings,
            self.data_dir,
            database_url=database_url,
            redis_url=redis_url,
            flower_password=self.settings.flower_password or stored_secret(password_file),
        )
        key_file = self.data_dir / "api_key"
        key_is_old = key_file.exists()
        if not self._is_migrated():
            self.supervisor.say("preparing the tables")
            self.supervisor.run("migrate", self.ours.migrate, env=env)
        self.supervisor.say("starting the API, the worker and the dispatcher")
        children = [self.supervisor.start(service, env | service.variables) for service in self.ours.services]
        ready = self._wait_until_ready(children)
        away = _away(ready)
        self.supervisor.set_ready()
        key = key_file.read_text().strip() if key_file.exists() else None
        banner = Banner(
            data_dir=self.data_dir,
            api_url=url(self.settings.host, self.settings.port),
            flower_url=url(self.settings.flower_host, self.settings.flower_port),
            flower_user=self.settings.flower_user,
            flower_password="as configured" if self.settings.flower_password else f"in {password_file}",
            away=away,
            services=[*self._store_lines(away), *(_line(child, _version(child.service.name)) for child in children)],
            embedder=ready.get("embedder"),
            generator=ready.get("generator"),
            api_key=None if key_is_old else key,
            commands=_remembered(url(self.settings.host, self.settings.port), key),
        )
        self.out.write(f"{banner}\n")
        self.out.flush()

    def _start_stores(self) -> tuple[str, str]:
        """Start what is not configured, both at once; DATABASE_URL and REDIS_URL."""
        database_url, redis_url = self.settings.database_url, self.settings.redis_url
        cache = Valkey.within(self.data_dir) if redis_url is None else None
        cache_child = self.supervisor.start(valkey_service(cache)) if cache else None
        if database_url is None:
            database_url = self._start_postgres()
        else:
            self.stores.append(
                BannerLine("postgres", "", f"at {urlsplit(database_url).hostname}, as DATABASE_URL says")
            )
        if redis_url is not None:
            self.stores.append(BannerLine("redis", "", f"at {urlsplit(redis_url).hostname}, as REDIS_URL says"))
        elif cache and cache_child:
            self.supervisor.wait_until(cache.answers, valkey.START_SECONDS, cache_child)
            self.stores.append(_line(cache_child, cache.version()))
            redis_url = cache.url
        assert redis_url is not None
        return database_url, redis_url

    def _start_postgres(self) -> str:
        server = self.embedded = Postgres.within(self.data_dir)
        if not server.initialised:
            self.supervisor.say("creating the database cluster")  # the first start only
            self.supervisor.run("initdb", server.prepare_initdb(), run_as=server.user.prefix)
            server.finish_initdb()
        self.supervisor.say("starting the database")
        child = self.supervisor.start(postgres_service(server))
        self.supervisor.wait_until(lambda: server.answers() and server.create_database(), postgres.START_SECONDS, child)
        self.stores.append(_line(child, server.version()))
        return server.url

    def _is_migrated(self) -> bool:
        """A start spares the seconds of a program that finds nothing to do."""
        role = self.settings.tenant_role
        return self.embedded is not None and self.embedded.is_migrated(fingerprint(role), role)

    def _wait_until_ready(self, children: Sequence[Child]) -> dict[str, Any]:
        """Wait for the API to be ready and everything required to run; what `/readyz` said.

        The start does not wait for stores that others run: work continues when they are back.
        """
        said: dict[str, Any] = {}
        patient_until = time.monotonic() + DEGRADED_SECONDS
        theirs = {"redis": self.settings.redis_url, "store": self.settings.storage_url}

        def ready() -> bool:
            answer = readiness(self.settings)
            if answer is None or not all(child.process for child in children if child.service.required):
                return False
            said.update(answer)
            missed = all(theirs.get(name) for name in _away(answer))
            return answer["status"] == "ready" or (missed and time.monotonic() > patient_until)

        self.supervisor.wait_until(ready, READY_SECONDS, children[0])
        return said

    def _store_lines(self, away: Sequence[str]) -> list[BannerLine]:
        """The stores; those that cannot be reached are marked."""
        lines = [replace(line, state=f"away: {line.state}") if line.name in away else line for line in self.stores]
        return [*lines, *([BannerLine("store", "", "away: as STORAGE_URL says")] if "store" in away else [])]


def _away(ready: dict[str, Any]) -> list[str]:
    return [name for name, state in ready.get("checks", {}).items() if state != "ok"]


def _remembered(api_url: str, key: str | None) -> str:
    """Which server commands in other folders use from now on: the stack that started last, unless there was a login."""
    try:
        known = user_file.server()
        if known is not None and known.by == "login":
            return f"in other folders they use {known.url}, until `footnote logout`"
        if key is None:
            return "in other folders they need FOOTNOTE_API_URL and FOOTNOTE_API_KEY"
        user_file.remember_server(user_file.StoredServer(api_url, key, "up"))
    except (OSError, Invalid) as error:
        return (
            f"in other folders they do not know this server: {error.message if isinstance(error, Invalid) else error}"
        )
    return "in any folder they use this server"


def _line(child: Child, version: str) -> BannerLine:
    state = f"running, pid {child.process.pid}" if child.process else f"not running; see {child.log}"
    if child.awaited is not None:
        state = "starts when its page is first opened"
    return BannerLine(child.service.name, version, state)


def _version(service: str) -> str:
    """Flower's own version; ours for the rest."""
    if service != "flower":
        return __version__
    try:
        return version("flower")
    except PackageNotFoundError:
        return ""
