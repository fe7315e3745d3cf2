"""Starting child processes that end with their parent, however the parent ends."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO

from footnote.errors import FootnoteError

Process = subprocess.Popen[bytes]


class StackFailed(FootnoteError):
    """The local stack cannot start or continue; the end of the file `log` says why."""

    kind = "stack_failed"

    def __init__(self, message: str, *, log: Path | None = None) -> None:
        self.log = log
        super().__init__("stack_failed", message)


@cache
def works(*command: str) -> bool:
    """Whether the command exists here and ends with status 0."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, timeout=10).returncode == 0  # noqa: S603 - no user input


def with_parent(command: Sequence[str], stop: signal.Signals) -> list[str]:
    """`command`, sent `stop` by the kernel when the thread that forked it is gone.

    macOS has nothing like it: what a killed supervisor leaves there is ended by the guard alone (`guard.py`).
    """
    name = stop.name.removeprefix("SIG")
    if not works("setpriv", "--pdeathsig", name, "--", "true"):
        return list(command)
    return ["setpriv", "--pdeathsig", name, "--", *command]


def environment_of_tools() -> dict[str, str]:
    """For Postgres' own programs: arguments say where to connect, not variables of libpq's."""
    secrets = ("PGPASSWORD", "PGPASSFILE", "PGSSLROOTCERT")
    return {name: value for name, value in os.environ.items() if not name.startswith("PG") or name in secrets}


def spawn(
    command: Sequence[str],
    output: IO[bytes],
    *,
    stop: signal.Signals = signal.SIGTERM,
    run_as: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> Process:
    """Start a child that is sent `stop` when we die. Call from the main thread, whose death is what counts.

    It gets a session of its own, so that Ctrl-C on the terminal reaches us alone. A change of user
    clears the parent-death signal: the prefix `run_as` goes first.
    """
    return subprocess.Popen(  # noqa: S603 - no user input
        [*run_as, *with_parent(command, stop)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=env,
        start_new_session=True,
    )


def ended(process: Process) -> bool:
    """Whether it has ended, leaving its exit status and number taken where the system allows (not on macOS).

    Popen.poll() would free the number, and with it that of the process group, before `kill_group`.
    """
    if process.returncode is not None or not hasattr(os, "waitid"):
        return process.poll() is not None
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def kill_group(process: Process) -> None:
    """Kill the process and what it started, as far as that stayed in its session."""
    with suppress(ProcessLookupError, PermissionError):  # macOS refuses when only the dead leader is left
        os.killpg(process.pid, signal.SIGKILL)


def finish(process: Process, deadline: float) -> bool:
    """Wait until the monotonic time `deadline`, then kill; leaves no grandchild. True if it ended in time."""
    while not (in_time := ended(process)) and time.monotonic() < deadline:
        time.sleep(0.02)
    kill_group(process)
    process.wait()
    return in_time
