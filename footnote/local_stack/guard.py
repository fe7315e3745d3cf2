"""What ends the children of a supervisor that was killed.

A shell holds the read end of a pipe on which the supervisor writes the process groups now running. When the
supervisor is gone, whatever happened to it, the pipe ends; the shell then stops those groups, grandchildren
included. The kernel's parent-death signal (`processes.spawn`) is faster where it exists, but does not reach
grandchildren and cannot follow up on what ignores it.
"""

import subprocess
from collections.abc import Iterable

# Leaders are asked first, so that they can end their own children in order.
_SCRIPT = """
trap '' HUP INT TERM
groups=
while read -r line; do groups=$line; done
kill -s TERM $groups 2>/dev/null
waited=0
while [ -n "$groups" ] && [ "$waited" -le "$1" ]; do
    left=
    for group in $groups; do
        kill -s 0 -- "-$group" 2>/dev/null || continue
        if [ "$waited" -ge "$1" ] || ! kill -s 0 "$group" 2>/dev/null; then
            kill -s KILL -- "-$group" 2>/dev/null
        fi
        left="$left $group"
    done
    groups=$left
    waited=$((waited + 1))
    [ -z "$groups" ] || sleep 0.2
done
"""


class Guard:
    """Ends process groups after the supervisor's death, those still there after `seconds` by force.

    Holds `lock` (a file descriptor with an flock) until they are gone, so that the next start waits for it.
    """

    def __init__(self, lock: int, seconds: int = 25) -> None:
        self._lock = lock
        self._rounds = 5 * seconds
        self._groups = ""
        self._shell = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        command = ["/bin/sh", "-c", _SCRIPT, "sh", str(self._rounds)]
        return subprocess.Popen(  # noqa: S603 - no user input
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(self._lock,),
            start_new_session=True,
            bufsize=0,
        )

    @property
    def pid(self) -> int:
        return self._shell.pid

    def watch(self, groups: Iterable[int]) -> None:
        """These process groups, and no others, are to end with the supervisor."""
        line = " ".join(str(group) for group in groups)
        alive = self._shell.poll() is None
        if alive and line == self._groups:
            return
        if not alive:
            self._shell.communicate()
            self._shell = self._start()
        self._groups = line
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{line}\n".encode())

    def close(self) -> None:
        """Nothing is left to guard."""
        self.watch(())
        self._shell.communicate()
