"""What the supervisor runs: a table of services, and the environment they get."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from footnote.local_stack import postgres, valkey
from footnote.settings import FILE, Settings

API_END_SECONDS = 5.0  # within which the API ends after its drain


@dataclass(frozen=True)
class Service:
    """One long-running child.

    `required`: the start fails without it. `vital`: so does a running stack. `store`: the others depend on it,
    so it starts before them and stops after them. `before_start` runs before each start. `on_demand`: host and port,
    at whose first connection it starts. `variables` are of its environment alone.
    """

    name: str
    command: list[str]
    stop: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    run_as: tuple[str, ...] = ()
    required: bool = True
    vital: bool = False
    store: bool = False
    before_start: Callable[[], None] | None = None
    on_demand: tuple[str, int] | None = None
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Programs:
    """Our own part of the stack: a command that runs once before, and the services that then run together."""

    migrate: list[str]
    services: tuple[Service, ...]


def _run(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def programs(settings: Settings) -> Programs:
    services = (
        Service("api", _run("api"), stop_seconds=settings.drain_seconds + API_END_SECONDS),
        # Long enough to finish a batch; what is cut off is taken up again from its last checkpoint.
        Service("worker", _run("worker"), stop_seconds=20.0, variables=_metrics_port(settings, 1)),
        Service("dispatcher", _run("worker.background"), variables=_metrics_port(settings, 2)),
        # Few look at it, and it takes as much memory as a worker.
        Service(
            "flower",
            _run("footnote", "flower"),
            required=False,
            on_demand=(settings.flower_host, settings.flower_port),
        ),
    )
    # What Postgres writes after this has stopped waits in its slot for the next start.
    follower = Service("backup", _run("footnote", "backup", "--wal"), required=False)
    follows = settings.backup_dir is not None and settings.database_url is None
    return Programs(_run("footnote", "migrate", "--no-show-key"), (*services, *([follower] if follows else [])))


def _metrics_port(settings: Settings, more: int) -> dict[str, str]:
    """The port of the API and `more`, since all share one machine."""
    return {"FOOTNOTE_METRICS_PORT": str(settings.metrics_port + more)} if settings.metrics_port else {}


def postgres_service(server: postgres.Postgres) -> Service:
    return Service(
        "postgres",
        server.command(),
        stop=signal.SIGINT,
        stop_seconds=postgres.STOP_SECONDS,
        run_as=server.user.prefix,
        vital=True,
        store=True,
        before_start=server.clear_stale_pid,
    )


def valkey_service(server: valkey.Valkey) -> Service:
    return Service("valkey", server.command(), stop_seconds=valkey.STOP_SECONDS, store=True)


def environment(
    settings: Settings, data_dir: Path, *, database_url: str, redis_url: str, flower_password: str
) -> dict[str, str]:
    """The environment of our programs: this process's, with everything spelled out that `up` decided."""
    # With more of glibc's arenas every thread has its own unused memory.
    decided = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "STORAGE_URL": settings.storage_url or (data_dir / "objects").as_uri(),
        "FOOTNOTE_DATA_DIR": str(data_dir),
        "FOOTNOTE_HOST": settings.host,
        "PORT": str(settings.port),
        "FLOWER_HOST": settings.flower_host,
        "FLOWER_PORT": str(settings.flower_port),
        "FLOWER_USER": settings.flower_user,
        "FLOWER_PASSWORD": flower_password,
        # A crash must not take the last lines of a log with it.
        "PYTHONUNBUFFERED": "1",
    }
    inherited = {name: value for name, value in os.environ.items() if name.removesuffix(FILE) not in decided}
    return {"MALLOC_ARENA_MAX": "2"} | inherited | decided
