"""A disaster, rehearsed: documents, a backup, an accident, a lost disk, and the restore to the second before.

Starts the product on a folder of its own and prints what was lost (RPO) and how long it took (RTO). `--chunks`: stored
documents are copied until there are that many. `--any-time`: both times are printed and not required.
"""

import argparse
import asyncio
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from footnote.errors import Invalid
from footnote.local_stack.lock import holder
from footnote.local_stack.postgres import Postgres, started
from footnote.operations.backups.folders import backups as stored_backups
from footnote.operations.backups.restoring import restore
from footnote.settings import Settings
from tests import ROOT
from tests.local_stack.stack_under_test import free_port, wait_for
from tests.system.upgrade import copy_rows

SAMPLES = ROOT / "tests" / "samples"
BEFORE, AFTER = ("handbook.pdf", "boats.docx", "weather.md"), ("visitors.html",)
SECONDS = 300.0
RPO_SECONDS, RTO_SECONDS = 5.0, 60.0


@dataclass
class Installation:
    """A data directory with its ports, and the folder of its backups."""

    data_dir: Path
    backup_dir: Path | None

    def __post_init__(self) -> None:
        ports = {"PORT": str(free_port()), "FLOWER_PORT": str(free_port())}
        backups = {"FOOTNOTE_BACKUP_DIR": str(self.backup_dir)} if self.backup_dir else {}
        self.env = os.environ | ports | backups | {"FOOTNOTE_DATA_DIR": str(self.data_dir)}

    def run(self, *arguments: str, expect: int = 0) -> str:
        command = [sys.executable, "-m", "footnote", *arguments]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != expect:
            raise SystemExit(f"footnote {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    @contextmanager
    def up(self) -> Iterator["subprocess.Popen[bytes]"]:
        out = self.data_dir.with_suffix(".out")
        with out.open("wb") as output:
            command = [sys.executable, "-m", "footnote", "up"]
            process = subprocess.Popen(command, env=self.env, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_for(lambda: "Ctrl-C to stop" in out.read_text() or process.poll() is not None, SECONDS)
            if process.poll() is not None:
                raise SystemExit(out.read_text())
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(60)

    def sql(self, statement: str, *given: Any) -> Any:
        return selected(holder(self.data_dir)["database_url"], statement, *given)

    def answers(self) -> list[str]:
        """What the sample questions about the first documents are answered with."""
        lines = (SAMPLES / "questions.jsonl").read_text().splitlines()
        asked = [each for each in map(json.loads, lines) if each["file"] in BEFORE + AFTER][:3]
        told = [json.loads(self.run("ask", "--json", each["question"])) for each in asked]
        return [json.dumps([told_one["answer"], told_one["citations"][0]["quote"]]) for told_one in told]


def selected(url: str, statement: str, *given: Any) -> Any:
    async def run() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement, *given)
        finally:
            await connection.close()

    return asyncio.run(run())


def covered(directory: Path) -> datetime:
    """Until when the stored log has everything."""
    found = [json.loads(each.read_text())["covered"] for each in (directory / "wal").glob("*/state.json")]
    return max(map(datetime.fromisoformat, found), default=datetime.fromtimestamp(0, UTC))


def add(installation: Installation, names: tuple[str, ...]) -> None:
    installation.run("add", *(str(SAMPLES / name) for name in names))


def accident(original: Installation, backups: Path) -> tuple[datetime, datetime]:
    """Someone deletes all chunks, then the disk is lost. The moment before, and that of the last commit."""
    before = original.sql("SELECT now()")
    original.sql("DELETE FROM chunk")
    original.sql("CREATE TABLE drill AS SELECT now() AS moment")
    after = original.sql("SELECT now()")
    wait_for(lambda: covered(backups) > after, SECONDS)
    last = original.sql("INSERT INTO drill VALUES (clock_timestamp()) RETURNING moment")
    return before, last


def lose_the_disk(process: "subprocess.Popen[bytes]", original: Installation) -> None:
    """At one moment nothing runs any more, and nothing had time to end."""
    banner = original.data_dir.with_suffix(".out").read_text()
    for name in ("backup", "postgres"):
        found = re.search(rf"^  {name} .*pid (\d+)", banner, re.MULTILINE)
        assert found, banner
        os.killpg(int(found[1]), signal.SIGKILL)
    process.kill()
    process.wait()
    with (original.data_dir / "guard.lock").open("a") as guard:
        wait_for(lambda: _is_free(guard.fileno()), SECONDS)
    shutil.rmtree(original.data_dir)


def _is_free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def refuses_a_flipped_byte(backups: Path, data_dir: Path) -> int:
    """One byte of each kind of file that a restore may use, in turn; how many."""
    newest = max(each.name for each in backups.glob("2*Z"))
    first = json.loads((backups / newest / "manifest.json").read_text())["first_segment"]
    stored = [each for part in (newest, "wal") for each in sorted((backups / part).rglob("*")) if each.is_file()]
    # Parts of the log from before the backup are not read.
    used = [each for each in stored if not (_kind(each) == "0000" and each.name < first)]
    kinds = {_kind(each): each for each in used}
    for path in kinds.values():
        content = path.read_bytes()
        place = len(content.rstrip(b"\0")) // 3
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            restore(Settings(_env_file=None, data_dir=data_dir), backups, None)
        except Invalid as refused:
            if refused.code != "backup_damaged":
                raise
        else:
            raise SystemExit(f"A flipped byte in {path} was not refused.")
        assert list(data_dir.parent.glob(f"{data_dir.name}*")) == [], "something was begun"
        path.write_bytes(content)
    return len(kinds)


def _kind(path: Path) -> str:
    return path.name[:4] if path.name.startswith(("obj_", "0000")) and not path.suffix else path.name


def enlarge(installation: Installation, chunks: int) -> None:
    asyncio.run(copy_rows(holder(installation.data_dir)["database_url"], chunks))
    installation.run("audit", "--fix")  # rows that were copied are in no tally yet


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--chunks", type=int, default=0)
    asked.add_argument("--any-time", action="store_true")
    given = asked.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fn-drill-") as directory:
        root = Path(directory)
        backups = root / "backups"
        original = Installation(root / "original", backups)
        with original.up() as process:
            add(original, BEFORE)
            if given.chunks:
                enlarge(original, given.chunks)
            wait_for(lambda: stored_backups(backups), SECONDS)  # the first is made at once, and one at a time
            print(original.run("backup", str(backups)), end="")
            add(original, AFTER)
            answers = original.answers()
            before, last = accident(original, backups)
            lose_the_disk(process, original)
        restored = Installation(root / "restored", None)
        print(f"refused: a flipped byte in each of {refuses_a_flipped_byte(backups, restored.data_dir)} kinds of files")
        begins = time.monotonic()
        print(restored.run("restore", str(backups), "--until", before.isoformat()), end="")
        rto = time.monotonic() - begins
        with restored.up():
            if restored.answers() != answers:
                raise SystemExit("The restored installation answers otherwise.")
            print(restored.run("audit"), end="")
        newest = Installation(root / "newest", None)
        newest.run("restore", str(backups), expect=1)  # without its chunks, which the exit code tells
        server = Postgres.within(newest.data_dir)
        with started(server):
            lost = (last - selected(server.url, "SELECT max(moment) FROM drill")).total_seconds()
    print(f"RPO {lost:.1f} s, RTO {rto:.1f} s, the drill {time.monotonic() - began:.0f} s")
    return 0 if given.any_time or (lost <= RPO_SECONDS and rto <= RTO_SECONDS) else 1


if __name__ == "__main__":
    sys.exit(main())
