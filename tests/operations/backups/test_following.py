"""The write-ahead log is stored again when a full disk has room, and no password is in the list of processes."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from footnote.local_stack.postgres import Postgres, started
from footnote.operations.backups import archive, tools
from footnote.settings import Settings
from tests.local_stack.stack_under_test import wait_for

SMALL = 8 * 1024 * 1024  # bytes: a base backup's files fit, a segment of the log does not
MORE_LOG = "SELECT pg_logical_emit_message(true, 'test', 'more'), pg_switch_wal()"
STREAMS = "SELECT count(*) FROM pg_replication_slots WHERE active"


@contextmanager
def following(server: Postgres, data_dir: Path, backups: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`footnote backup --wal`, for whose files there is little room."""
    environment = {"FOOTNOTE_DATA_DIR": str(data_dir), "DATABASE_URL": server.url, "FOOTNOTE_BACKUP_DIR": str(backups)}
    limited = ["prlimit", f"--fsize={SMALL}:unlimited", sys.executable, "-m", "footnote", "backup", "--wal"]
    with (data_dir / "out").open("wb") as out:
        process = subprocess.Popen(limited, env=os.environ | environment, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit")
def test_the_log_goes_on_when_the_disk_has_room_again(tmp_path: Path) -> None:
    data_dir, backups = tmp_path / "d", tmp_path / "b"
    data_dir.mkdir(mode=0o700)
    (data_dir / "lock").touch()
    server = Postgres.within(data_dir, durable=False)
    with started(server, wal_level="replica", max_wal_senders="4"):
        environment = {"DATABASE_URL": server.url, "FOOTNOTE_DATA_DIR": str(data_dir)}
        migrate = [sys.executable, "-m", "footnote", "migrate", "--no-show-key"]
        subprocess.run(migrate, env=os.environ | environment, check=True, capture_output=True)
        with following(server, data_dir, backups) as process:
            wait_for(lambda: b"write-ahead log not stored" in (data_dir / "out").read_bytes())
            assert process.poll() is None, "it waits for room"
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            (folder,) = wait_for(lambda: list((backups / "wal").glob("*")))
            wait_for(lambda: server.sql(STREAMS) == "1")
            server.sql(MORE_LOG, "footnote")
            wait_for(lambda: list(folder.glob(f"*{archive.UNFINISHED_SEGMENT}")) and (folder / archive.STATE).exists())
            first = json.loads((folder / archive.STATE).read_text())["segment"]
            server.sql(MORE_LOG, "footnote")
            wait_for(lambda: json.loads((folder / archive.STATE).read_text())["segment"] > first)
        assert archive.read_state(folder) is not None
    assert b"Traceback" not in (data_dir / "out").read_bytes()


@pytest.mark.parametrize(
    ("url", "shown", "password"),
    [
        ("postgresql://app:s%40crt@db/x?sslmode=require", "postgresql://app@db/x?sslmode=require", "s@crt"),
        ("postgresql+asyncpg://app:pw@a:1,b:2/x", "postgresql://app@a:1,b:2/x", "pw"),
        ("postgresql://db/x?user=app&password=a+b%2B", "postgresql://db/x?user=app", "a b+"),
        ("postgresql://postgres@/x?host=/run/a%20b", "postgresql://postgres@/x?host=%2Frun%2Fa%20b", None),
    ],
)
async def test_no_password_is_in_the_list_of_processes(
    url: str, shown: str, password: str | None, tmp_path: Path, anyio_backend: str
) -> None:
    out, program = tmp_path / "out", tmp_path / "program"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" "$PGPASSWORD" > {out}\n')
    program.chmod(0o700)
    settings = Settings(_env_file=None, database_url=url)
    await tools.run(str(program), database=tools.direct_url(settings))
    assert out.read_text().splitlines() == [f"--dbname {shown}", password or ""]
