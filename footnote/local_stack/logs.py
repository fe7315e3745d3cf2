"""The log files of the local stack: of bounded size and number, and readable across a rotation.

Children write to the open file themselves, so that they need no process that reads from them: a full file is copied
and emptied, not renamed. They append, so the next line goes to the beginning of the emptied file.
"""

from pathlib import Path

ROTATE_BYTES = 10 * 1024 * 1024
OLDER_FILES = 3  # of a service: `api.log.1` is the newest of them
CONTINUED = "(continues the file before it)"
_TAIL_BYTES = 16_384


def older(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")


def begin(log: Path) -> None:
    """A new file, for a new start; the one of the start before is the first of the older ones."""
    if log.exists():
        _make_room(log)
        log.replace(older(log, 1))
    log.touch(0o600)


def rotate(log: Path) -> bool:
    """Begins the file again if it is full; whether it was. What is written at just that moment may be lost."""
    if log.stat().st_size < ROTATE_BYTES:
        return False
    _make_room(log)
    first = older(log, 1)
    first.touch(0o600)
    with log.open("r+b") as full, first.open("wb") as copy:
        while block := full.read(1 << 20):
            copy.write(block)
        full.truncate(0)
    with log.open("ab") as emptied:
        emptied.write(f"{CONTINUED}\n".encode())
    return True


def _make_room(log: Path) -> None:
    for number in range(OLDER_FILES, 1, -1):
        if older(log, number - 1).exists():
            older(log, number - 1).replace(older(log, number))


def last_lines(log: Path, count: int = 20) -> str:
    """The end of a log, at most 16 KiB of each file; with the end of the file before it where it continues that."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()[-count:]
    if CONTINUED in lines and older(log, 1).exists():
        lines.remove(CONTINUED)
        earlier = last_lines(older(log, 1), count).splitlines()
        lines = [*earlier, *lines][-count:]
    return "\n".join(lines)
