"""What was written since the last backup: segments of the write-ahead log, new objects, and the checksums of both.

A segment that is complete has a line in SHA256SUMS. Of the one that is being written, `state.json` says how much of it
was there at the last look, which is all that a restore uses of it.
"""

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from footnote.operations.backups import checksums
from footnote.operations.backups.folders import PART, WAL, Manifest, name_of

STATE = "state.json"
UNFINISHED_SEGMENT = ".partial"
SEGMENT_BYTES = 16 * 1024 * 1024
SEGMENTS_A_FILE = 0x100  # of 4 GB, after which the middle part of a name counts up
_FOLDER = re.compile(r"\d+-\d{8}T\d{6}Z")
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_COMPLETE = re.compile(r"[0-9A-F]{24}|[0-9A-F]{8}\.history")


@dataclass(frozen=True)
class LogState:
    """The beginning of the newest segment, and until when everything that was committed stands in the archive."""

    segment: str
    bytes: int
    covered: str
    sha256: str


def folders_of(directory: Path, system: str) -> list[Path]:
    """Those of a cluster, oldest first. In each the log has no gap."""
    return sorted((directory / WAL).glob(f"{system}-*"))


def new_folder(directory: Path, system: str) -> Path:
    folder = directory / WAL / f"{system}-{name_of(datetime.now(UTC))}"
    folder.mkdir(mode=0o700, parents=True)
    return folder


def remove_older(directory: Path, current: Path, oldest: Manifest) -> None:
    """Removes folders of the log that ended before the oldest backup that is left began. What else is there stays."""
    for folder in (each for each in (directory / WAL).iterdir() if _FOLDER.fullmatch(each.name)):
        last = max((each.stat().st_mtime for each in folder.iterdir()), default=0.0)
        if folder != current and last < oldest.started_at.timestamp():
            shutil.rmtree(folder)


def make_room(folder: Path) -> None:
    """Removes what pg_receivewal left of a segment that a full disk kept from being made; it refuses to go on with it.

    It makes each in its whole length before it writes. Call while it does not run.
    """
    for path in folder.glob(f"*{UNFINISHED_SEGMENT}"):
        if not _is_whole(path):
            path.unlink()


def _is_whole(segment: Path) -> bool:
    try:
        return segment.stat().st_size == SEGMENT_BYTES
    except FileNotFoundError:  # complete just now
        return False


def record_segments(folder: Path, known: dict[str, str]) -> None:
    """Adds what is complete to the checksums."""
    new = {each.name for each in folder.iterdir() if _COMPLETE.fullmatch(each.name)} - known.keys()
    found = {name: checksums.sha256(folder / name) for name in sorted(new)}
    if found:
        checksums.append(folder, found)
        known.update(found)


def record_state(folder: Path, covered: datetime, before: LogState | None) -> LogState | None:
    """Writes down how much of the newest segment is there; what it wrote, or `before` if there is nothing new."""
    names = [each.name for each in folder.glob(f"*{UNFINISHED_SEGMENT}") if _is_whole(each)]
    if not names:
        return before
    name = max(names)
    try:
        data = (folder / name).read_bytes().rstrip(b"\0")
    except FileNotFoundError:  # complete just now
        return before
    moment = covered.isoformat()
    state = LogState(name.removesuffix(UNFINISHED_SEGMENT), len(data), moment, _state_sum(data, moment))
    part = folder / f"{STATE}{PART}"
    part.write_text(json.dumps(vars(state)) + "\n")
    part.replace(folder / STATE)
    return state


def _state_sum(data: bytes, covered: str) -> str:
    return hashlib.sha256(data + covered.encode()).hexdigest()


def read_state(folder: Path) -> LogState | None:
    """Raises Invalid if it, or what it describes, was changed."""
    path = folder / STATE
    if not path.exists():
        return None
    try:
        state = LogState(**json.loads(path.read_text()))
        data = _newest_file(folder, state).read_bytes()[: state.bytes]
        same = len(data) == state.bytes and _state_sum(data, state.covered) == state.sha256
        datetime.fromisoformat(state.covered)
    except (OSError, TypeError, ValueError) as error:
        raise checksums.damaged(path, "it does not describe a segment that is there") from error
    if not same:
        raise checksums.damaged(folder / state.segment, f"its beginning differs from what {STATE} says")
    return state


def _newest_file(folder: Path, state: LogState) -> Path:
    complete = folder / state.segment
    return complete if complete.exists() else folder / f"{state.segment}{UNFINISHED_SEGMENT}"


@dataclass(frozen=True)
class Archive:
    """A verified folder of the log. `segments`: from a backup's first one on."""

    folder: Path
    checksums: dict[str, str]
    segments: list[str]
    state: LogState | None

    @property
    def covered(self) -> datetime | None:
        """Until when everything that was committed is in it."""
        return datetime.fromisoformat(self.state.covered) if self.state else None

    def write_to(self, target: Path) -> None:
        """Copies the segments to where a server reads them; of the newest one only what was verified."""
        for name in self.checksums:
            if name in self.segments or name.endswith(".history"):
                shutil.copyfile(self.folder / name, target / name)
        state = self.state
        if state and state.segment in self.segments and state.segment not in self.checksums:
            data = _newest_file(self.folder, state).read_bytes()[: state.bytes]
            (target / state.segment).write_bytes(data.ljust(SEGMENT_BYTES, b"\0"))


def open_archive(directory: Path, system: str, first_segment: str) -> Archive | None:
    """What continues a backup; None if nothing does. Raises Invalid if a byte of a log of the cluster was changed."""
    found = None
    for folder in folders_of(directory, system):
        listed = checksums.read(folder)
        checksums.verify(folder, listed)
        state = read_state(folder)
        there = {name for name in listed if _SEGMENT.fullmatch(name)} | ({state.segment} if state else set())
        if first_segment in there:
            found = Archive(folder, listed, _from(first_segment, there), state)
    return found


def _from(first: str, there: set[str]) -> list[str]:
    """A segment and all that follow it without a gap."""
    timeline, number = first[:8], int(first[8:16], 16) * SEGMENTS_A_FILE + int(first[16:], 16)
    segments: list[str] = []
    while (name := f"{timeline}{number // SEGMENTS_A_FILE:08X}{number % SEGMENTS_A_FILE:08X}") in there:
        segments.append(name)
        number += 1
    return segments


def prune(folder: Path, oldest: Manifest) -> dict[str, str]:
    """Removes what was written before the oldest backup that is left; the checksums of the rest."""
    listed = checksums.read(folder)
    over = {name for name in listed if _is_before(folder / name, oldest)}
    left = {name: digest for name, digest in listed.items() if name not in over}
    if over:
        checksums.replace(folder, left)
        for name in over:
            (folder / name).unlink(missing_ok=True)
    return left


def _is_before(path: Path, oldest: Manifest) -> bool:
    if _SEGMENT.fullmatch(path.name):
        return path.name[8:] < oldest.first_segment[8:]
    return path.suffix != ".history" and path.exists() and path.stat().st_mtime < oldest.started_at.timestamp()
