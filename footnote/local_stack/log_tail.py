"""Which lines of a child's log a person at the terminal should see: warnings, errors, tracebacks."""

import json
import re
from pathlib import Path

MOST_LINES = 20  # of one look at the log; the rest stays in the file
LONGEST_LINE = 500  # characters
_READ_BYTES = 262_144

# Our own and library loggers, Postgres and Valkey; structlog's console form; tornado's (Flower).
_SERIOUS = re.compile(r"\b(WARNING|ERROR|CRITICAL|FATAL|PANIC)\b|\[(warning|error|critical)\s*\]|^\[[WEC] \d")
# Postgres calls it fatal that a connection at rest ends, as we ask it to.
_WANTED = "terminating connection due to idle-session timeout"
_TRACEBACK = "Traceback (most recent call last)"
_BETWEEN_TRACEBACKS = ("During handling of the above", "The above exception was", " ", "\t", "+", "|")


class LogTail:
    """Reads new lines of a log and selects warnings and errors."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._offset = 0
        self._rest = b""
        self._in_traceback = False

    def skip(self) -> None:
        """Pass over what is there now."""
        self._offset = self._log.stat().st_size
        self._rest = b""
        self._in_traceback = False

    def begin_again(self) -> None:
        """Starts at the beginning: the log was emptied."""
        self._offset = 0
        self._rest = b""

    def lines(self) -> list[str]:
        """The serious lines added since the last call."""
        if self._log.stat().st_size == self._offset:
            return []
        with self._log.open("rb") as file:
            file.seek(self._offset)
            added = file.read(_READ_BYTES)
        self._offset += len(added)
        *whole, self._rest = (self._rest + added).split(b"\n")
        shown = [line for raw in whole if (line := self._serious(raw.decode(errors="replace").rstrip()))]
        if len(shown) > MOST_LINES:
            shown[MOST_LINES:] = [f"... {len(shown) - MOST_LINES} more lines in {self._log}"]
        return shown

    def _serious(self, line: str) -> str | None:
        """The line as it is shown, None if it is not."""
        if self._in_traceback:
            # It ends with its first unindented line, which names the exception.
            self._in_traceback = not line or line.startswith(_BETWEEN_TRACEBACKS) or _TRACEBACK in line
            return line[:LONGEST_LINE]
        if _TRACEBACK in line and not line.startswith("{"):
            self._in_traceback = True
            return line
        if line.startswith("{") and (event := _from_json(line)) is not None:
            return event or None
        return line[:LONGEST_LINE] if _SERIOUS.search(line[:200]) and _WANTED not in line else None


def _from_json(line: str) -> str | None:
    """A structured log line in words; empty if it is not serious, None if Footnote did not write it."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict) or "level" not in record:
        return None
    level = str(record.pop("level")).upper()
    if not _SERIOUS.match(level):
        return ""
    record.pop("timestamp", None)
    traceback = record.pop("exception", None)
    event = record.pop("event", "")
    words = [f"{level} {event}", *(f"{name}={value}" for name, value in record.items())]
    shown = " ".join(words)[:LONGEST_LINE]
    return f"{shown}\n{traceback}" if traceback else shown
