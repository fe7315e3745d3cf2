"""Starting child processes that end with their parent, however the parent ends."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

from footnote.errors import FootnoteError

Process = subprocess.Popen[bytes]


class StackFailed(FootnoteError):
    """The local stack cannot start or go on; the end of the file `log` says why."""

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


def with_parent(command: Sequence[str], stop: signal.Signals = signal.SIGTERM) -> list[str]:
    """`command`, sent `stop` by the kernel when the thread that forked it is gone.

    So children are forked from the main thread only. A change of user clears the setting, which therefore
    stands next to the command. macOS has nothing like it: what a killed supervisor leaves there is ended by
    the guard alone (`guard.py`).
    """
    name = stop.name.removeprefix("SIG")
    if not works("setpriv", "--pdeathsig", name, "--", "true"):
        return list(command)
    return ["setpriv", "--pdeathsig", name, "--", *command]


def spawn(command: Sequence[str], output: IO[bytes], env: Mapping[str, str] | None = None) -> Process:
    """Start in a session of its own, so that Ctrl-C on the terminal reaches the supervisor alone."""
    return subprocess.Popen(  # noqa: S603 - no user input
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=env,
        start_new_session=True,
    )


def end(process: Process, stop: signal.Signals, seconds: float) -> None:
    """Stop the process; kill its whole group when that takes longer than `seconds`."""
    if process.poll() is not None:
        return
    process.send_signal(stop)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def last_lines(log: Path, count: int = 20) -> str:
    """The end of a log, at most 16 KiB of it."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16384))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])
