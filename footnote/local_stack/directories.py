"""The data directory and what is private in it."""

import hashlib
import os
import secrets
import stat
import tempfile
from pathlib import Path

from footnote.local_stack.processes import StackFailed

# AF_UNIX paths end at 108 bytes on Linux and 104 on macOS.
LONGEST_SOCKET_PATH = 100
# The longest name next to a socket: where Postgres keeps the pid of the socket's server.
SOCKET_LOCK = ".s.PGSQL.5432.lock"


def private_directory(path: Path) -> Path:
    """Make the directory, 0700, if it is missing."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def socket_directory(data_dir: Path) -> Path:
    """A 0700 directory for sockets: `run` in the data directory, or a short one if that path is too long."""
    inside = data_dir / "run"
    if len(os.fsencode(inside / SOCKET_LOCK)) <= LONGEST_SOCKET_PATH:
        return private_directory(inside)
    name = "footnote-" + hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    path = private_directory(Path(base) / name)
    # Others may write to the temporary directory: a directory prepared by one of them would be a trap.
    found = path.lstat()
    ours = found.st_uid in (os.geteuid(), _owner(data_dir))
    if not ours or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077:
        raise StackFailed(f"{path} is not a private directory of ours; remove it or shorten FOOTNOTE_DATA_DIR.")
    return path


def _owner(data_dir: Path) -> int:
    """Uid that owns the cluster: another than ours where root runs Postgres as a system user."""
    cluster = data_dir / "pg18"
    return cluster.stat().st_uid if cluster.exists() else os.geteuid()


def stored_secret(path: Path) -> str:
    """The secret in the file (0600), created at first use."""
    if path.exists():
        return path.read_text().strip()
    secret = secrets.token_urlsafe(18)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret + "\n")
    return secret
