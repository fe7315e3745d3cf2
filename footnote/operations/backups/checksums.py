"""Checksums of a folder, in the format of `sha256sum`: a line for each file. `sha256sum -c SHA256SUMS` checks it, too.

A line that was changed names another file or another sum: so nothing has to protect the list itself.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from footnote.errors import Invalid

NAME = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)\n")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(folder: Path) -> dict[str, str]:
    """Checksums by path within the folder; none if there is no list. Raises Invalid for a damaged one."""
    path = folder / NAME
    if not path.exists():
        return {}
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1] or [b""], 1):
        parts = _LINE.fullmatch(line.decode("utf-8", "replace") + "\n")
        if parts is None:
            raise damaged(path, f"line {number} is not a checksum")
        found[parts[2]] = parts[1]
    if not path.read_bytes().endswith(b"\n"):
        raise damaged(path, "its last line is not complete")
    return found


def replace(folder: Path, checksums: Mapping[str, str]) -> None:
    """The list of a folder from which files are removed next."""
    part = folder / f"{NAME}.part"
    part.write_text("".join(f"{digest}  {name}\n" for name, digest in checksums.items()), encoding="utf-8")
    part.replace(folder / NAME)


def write(folder: Path, checksums: Mapping[str, str]) -> None:
    """The list of a folder that is complete, on the disk when this returns."""
    append(folder, dict(sorted(checksums.items())))


def append(folder: Path, checksums: Mapping[str, str]) -> None:
    """Adds files of a folder that grows. What a full disk cuts off is taken back: half a line would damage the list."""
    left = "".join(f"{digest}  {name}\n" for name, digest in checksums.items()).encode()
    with (folder / NAME).open("ab", buffering=0) as file:
        before = os.fstat(file.fileno()).st_size
        try:
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise


def mend(folder: Path) -> None:
    """Removes half a line, with which the list ends if the machine died. Only where its file is listed again."""
    path = folder / NAME
    if path.exists() and not (content := path.read_bytes()).endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)


def verify(folder: Path, checksums: Mapping[str, str]) -> None:
    """Raises Invalid if a file is missing or not what it was."""
    for name, digest in checksums.items():
        try:
            same = sha256(folder / name) == digest
        except OSError as error:
            raise damaged(folder / name, error.strerror or "it cannot be read") from error
        if not same:
            raise damaged(folder / name, "its bytes are not those that were written")


def verify_complete(folder: Path) -> dict[str, str]:
    """The checksums of a folder with nothing else in it. Raises Invalid if anything was changed, added or removed."""
    checksums = read(folder)
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    if unlisted := sorted(there - checksums.keys() - {NAME}):
        raise damaged(folder / unlisted[0], f"{NAME} does not list it")
    verify(folder, checksums)
    return checksums


def damaged(path: Path, why: str) -> Invalid:
    return Invalid("backup_damaged", f"The backup is damaged, nothing was restored: {path}: {why}.")
