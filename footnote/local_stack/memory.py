"""How much memory the embedded Postgres may use on this machine."""

import os
from pathlib import Path

MIB = 2**20
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container
_SHARED = "/dev/shm"  # noqa: S108  where a parallel build has its memory


def of_machine() -> int:
    """In bytes; of the container, if that has less."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([installed, *(int(limit) for limit in map(_read, _LIMITS) if limit.isdigit())])


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def of_files(folder: Path) -> int:
    """Bytes of the files below a folder, some of which may go meanwhile."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def fitted(memory: int, database: int) -> dict[str, str]:
    """Settings of Postgres for a machine with `memory` bytes and a database of `database` bytes.

    A vector index is built in `maintenance_work_mem`, and ten times slower beyond it. Buffers take two percent of
    themselves when Postgres starts, so a small database has few.
    """
    build = max(64 * MIB, min(memory // 16, 2048 * MIB))
    settings = {
        "shared_buffers": max(128 * MIB, min(memory // 4, 4096 * MIB, 2 * database)),
        "maintenance_work_mem": build,
        "effective_cache_size": max(256 * MIB, memory // 2),
    }
    alone = {} if _shared() > build else {"max_parallel_maintenance_workers": "0"}
    return {name: f"{size // MIB}MB" for name, size in settings.items()} | alone


def _shared() -> int:
    """Bytes that processes may share; some containers have 64 MiB only."""
    try:
        found = os.statvfs(_SHARED)
    except OSError:  # not Linux: it has another place, without such a limit
        return 2**63
    return found.f_bavail * found.f_frsize
