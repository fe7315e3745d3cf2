"""A backup is refused if one byte anywhere was changed, if something is missing, and if something was added."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from footnote.errors import Invalid
from footnote.operations.backups import archive, checksums
from footnote.operations.backups.folders import Manifest

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
FIRST = "0000000100000000000000FE"
SEGMENTS = (FIRST, "0000000100000000000000FF", "000000010000000100000000")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects/one").write_bytes(b"one")
    (tmp_path / "manifest.json").write_text("{}\n")
    checksums.write(tmp_path, {name: checksums.sha256(tmp_path / name) for name in ("objects/one", "manifest.json")})
    return tmp_path


def test_every_byte_counts(folder: Path) -> None:
    checksums.verify_complete(folder)
    for path in [each for each in folder.rglob("*") if each.is_file()]:
        content = path.read_bytes()
        for place in range(len(content)):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            with pytest.raises(Invalid, match="damaged"):
                checksums.verify_complete(folder)
        path.write_bytes(content)
    checksums.verify_complete(folder)


@pytest.mark.parametrize("change", ["missing", "added", "cut"])
def test_every_file_counts(folder: Path, change: str) -> None:
    if change == "missing":
        (folder / "objects/one").unlink()
    elif change == "added":
        (folder / "objects/two").touch()
    else:
        path = folder / checksums.NAME
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Invalid, match="damaged"):
        checksums.verify_complete(folder)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two complete segments, across the end of a file of 4 GB, and one that is being written."""
    folder = tmp_path / "wal" / "7-20261130T120000Z"
    folder.mkdir(parents=True)
    for name in SEGMENTS[:2]:
        (folder / name).write_bytes(name.encode())
    (folder / f"{SEGMENTS[2]}.partial").write_bytes(b"commits".ljust(archive.SEGMENT_BYTES, b"\0"))
    archive.record_segments(folder, {})
    archive.record_state(folder, NOON, None)
    return folder


def opened(log: Path) -> archive.Archive:
    found = archive.open_archive(log.parents[1], "7", FIRST)
    assert found is not None
    return found


def test_a_log_is_read_as_far_as_it_was_verified(log: Path, tmp_path: Path) -> None:
    newest = log / f"{SEGMENTS[2]}.partial"
    newest.write_bytes(b"commits and more".ljust(archive.SEGMENT_BYTES, b"\0"))  # what came after the last look
    found = opened(log)
    assert (found.segments, found.covered) == (list(SEGMENTS), NOON)
    found.write_to(tmp_path)
    assert (tmp_path / SEGMENTS[2]).read_bytes() == b"commits".ljust(archive.SEGMENT_BYTES, b"\0")
    newest.rename(log / SEGMENTS[2])  # it was completed just before the process was killed
    assert opened(log).segments == list(SEGMENTS)


def test_every_byte_of_a_log_counts(log: Path) -> None:
    newest = log / f"{SEGMENTS[2]}.partial"
    for path in [each for each in log.iterdir() if each.is_file()]:
        content = path.read_bytes()
        for place in range(0, len(content.rstrip(b"\0")) if path == newest else len(content), 7):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            with pytest.raises(Invalid, match="damaged"):
                opened(log)
        path.write_bytes(content)


def test_a_log_that_does_not_hold_the_first_segment_continues_nothing(log: Path) -> None:
    assert archive.open_archive(log.parents[1], "7", "000000010000000000000001") is None
    assert archive.open_archive(log.parents[1], "8", FIRST) is None


# -- a full disk ---------------------------------------------------------------------------------------------


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_list_for_which_there_is_no_room_stays_as_it_was(folder: Path) -> None:
    before = (folder / checksums.NAME).read_bytes()
    with room_for(len(before) + 30), pytest.raises(OSError, match="too large"):
        checksums.append(folder, {"objects/two": "2" * 64})
    assert (folder / checksums.NAME).read_bytes() == before
    checksums.append(folder, {"objects/two": "2" * 64})
    assert checksums.read(folder).keys() == {"objects/one", "manifest.json", "objects/two"}


@pytest.mark.parametrize("left", [b"", b"0a1b", b"1" * 64 + b"  objects/tw"])
def test_half_a_line_is_removed_where_its_file_is_listed_again(folder: Path, left: bytes) -> None:
    before = checksums.read(folder)
    with (folder / checksums.NAME).open("ab") as file:
        file.write(left)
    checksums.mend(folder)
    assert checksums.read(folder) == before


def test_a_segment_that_had_no_room_is_no_part_of_the_log_and_makes_room_for_another(log: Path) -> None:
    whole, short = log / f"{SEGMENTS[2]}.partial", log / "000000010000000100000001.partial"
    short.write_bytes(bytes(8192))
    state = archive.record_state(log, NOON, None)
    assert state is not None
    assert state.segment == SEGMENTS[2]
    archive.make_room(log)
    assert (whole.exists(), short.exists()) == (True, False)
    assert opened(log).segments == list(SEGMENTS)


def test_folders_of_the_log_go_with_their_backups_and_what_is_not_ours_stays(log: Path) -> None:
    other = log.parent / "lost+found"
    other.write_text("no folder")
    manifest = Manifest("b", "base", "1", "18.4", "1", "7", FIRST, NOON, NOON, [])
    archive.remove_older(log.parents[1], log.parent / "8-20261130T120000Z", manifest)
    assert log.exists(), "it was written after the oldest backup began"
    later = replace(manifest, started_at=datetime.now(UTC) + timedelta(hours=1))
    archive.remove_older(log.parents[1], log, later)
    assert log.exists(), "it is the one that is written"
    archive.remove_older(log.parents[1], log.parent / "8-20261130T120000Z", later)
    assert (log.exists(), other.exists()) == (False, True)
