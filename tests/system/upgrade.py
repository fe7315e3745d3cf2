"""An upgrade while people work: the release before runs on, on the new tables, and not one request fails.

Uploads and searches go to programs of the release of a dump, `--a-second`, while this release migrates the database;
then its worker reads what was uploaded. Needs git, which has the code of that release. `--any-time`: on a machine that
others use, times are printed and not required, and a request that is told to come back does.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import asyncpg
import httpx2

from footnote.local_stack.endpoints import readiness
from footnote.local_stack.postgres import binaries, running_postgres
from footnote.local_stack.valkey import running_valkey
from footnote.retrieval.vector_leg import EXACT_CHUNKS
from footnote.settings import Settings
from tests import ROOT
from tests.local_stack.stack_under_test import free_port, wait_for

SECONDS = 300.0
LONGEST_SECONDS = 2.0
# Since when others have been waiting for what the migration has, or wants before them: it holds the advisory lock.
_BLOCKED = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - waiting.waitstart)), 0)::float8
FROM pg_locks AS migration JOIN pg_locks AS waiting ON migration.pid = ANY(pg_blocking_pids(waiting.pid))
WHERE migration.locktype = 'advisory' AND migration.classid = 7170407 AND migration.objid = 1918989413
  AND migration.granted AND NOT waiting.granted
"""
_INDEXED = """
SELECT EXISTS (
    SELECT FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE c.relname LIKE 'ix\\_chunk\\_embedding\\_space\\_%' AND i.indisvalid
)
"""
PROGRAMS = ("api", "worker", "worker.background")
# Rows that are copied to have many, and what is another in each copy.
COPIED = {
    "document": {
        "id": "id || '-' || copy.number",
        "active_version_id": "active_version_id || '-' || copy.number",
        "external_id": "NULL",
    },
    "version": {"id": "id || '-' || copy.number", "document_id": "document_id || '-' || copy.number"},
    "page": {"version_id": "version_id || '-' || copy.number"},
    "chunk": {"version_id": "version_id || '-' || copy.number", "document_id": "document_id || '-' || copy.number"},
}
COPIES = 500  # of every row with a statement: for each, the table is read once
_COLUMNS = """
SELECT column_name FROM information_schema.columns
WHERE table_name = $1 AND is_generated = 'NEVER' AND (is_identity = 'NO') AND table_schema = 'public'
"""
_NEW_KEY = """
import asyncio
from sqlalchemy import select
from footnote.models import Tenant
from footnote.runtime import open_runtime
from footnote.settings import Settings
from footnote.tenancy import keys
async def main():
    async with open_runtime(Settings(), pool_size=1) as rt, rt.transaction() as session:
        print((await keys.create(session, (await session.scalars(select(Tenant.id))).one(), "upgrade"))[1])
asyncio.run(main())
"""


def commit_of(dump: Path) -> str:
    commit: str = json.loads((dump / "release.json").read_text())["commit"]
    return commit


def is_there(commit: str) -> bool:
    """Whether git has it: a shallow clone and an unpacked archive do not."""
    look = ["git", "cat-file", "-e", f"{commit}^{{commit}}"]
    return subprocess.run(look, cwd=ROOT, capture_output=True, check=False).returncode == 0


@contextmanager
def release(directory: Path, dump: Path) -> Iterator[Path]:
    """The code of the release that made the dump."""
    commit = commit_of(dump)
    code = directory / "code"
    code.mkdir()
    packed = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(code)], input=packed, check=True)
    yield code


@contextmanager
def programs(code: Path, env: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        started = [
            subprocess.Popen([sys.executable, "-m", each], cwd=code, env=env, stdout=output, stderr=output)
            for each in PROGRAMS
        ]
        try:
            wait_for(lambda: _is_ready(int(env["PORT"])), SECONDS)
            yield
        finally:
            for each in started:
                each.terminate()
            for each in started:
                each.wait(60)


def _is_ready(port: int) -> bool:
    said = readiness(Settings(_env_file=None, port=port))
    return said is not None and said["status"] == "ready"


async def copy_rows(url: str, chunks: int) -> int:
    """Copies documents until there are so many chunks; how many there are."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("DELETE FROM pause")
        before = await connection.fetchval("SELECT count(*) FROM chunk")
        copies = chunks // max(1, before)
        for table, changed in COPIED.items():
            # What was copied has a name that ends so; it is not copied again.
            columns = [row["column_name"] for row in await connection.fetch(_COLUMNS, table)]
            values = ", ".join(changed.get(each, f'original."{each}"') for each in columns)
            names = ", ".join(f'"{each}"' for each in columns)
            key = next(iter(changed))
            source = f"SELECT {values} FROM {table} AS original, generate_series({{first}}, {{last}}) AS copy(number) "
            source += f"WHERE {key} NOT LIKE '%-%'"
            if table in ("document", "version"):
                visible = "id" if table == "document" else "active_version_id"
                source += f" AND id IN (SELECT {visible} FROM document WHERE active_version_id IS NOT NULL)"
            for first in range(0, copies, COPIES):
                last = min(first + COPIES, copies) - 1
                await connection.execute(f"INSERT INTO {table} ({names}) {source.format(first=first, last=last)}")
        return int(await connection.fetchval("SELECT count(*) FROM chunk"))
    finally:
        await connection.close()


class Load:
    """Uploads and searches, in turn, until it is stopped; how long each took, and what failed."""

    def __init__(self, port: int, key: str, a_second: float, come_back: bool) -> None:
        self.a_second = a_second
        self.tries = 20 if come_back else 1
        headers = {"Authorization": f"Bearer {key}"}
        self.client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=SECONDS)
        self.seconds: list[float] = []
        self.failed: list[str] = []
        self.uploaded: list[str] = []

    async def run(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            number = 0
            while not stop.is_set():
                group.create_task(self._upload(number) if number % 2 else self._search())
                number += 1
                await asyncio.sleep(1 / self.a_second)

    async def _upload(self, number: int) -> None:
        body = f"Entry {number} of the log: the keeper saw {number} sails."
        reply = await self._timed("/v1/documents/text", {"text": body, "filename": f"{number}.txt"})
        if reply is not None:
            self.uploaded.append(reply.json()["document"]["id"])

    async def _search(self) -> None:
        await self._timed("/v1/search", {"query": "When is the black cone hoisted?"})

    async def _timed(self, path: str, body: dict[str, str]) -> httpx2.Response | None:
        began = time.monotonic()
        try:
            reply: httpx2.Response = await self.client.post(path, json=body)
            for _ in range(self.tries - 1):
                if reply.status_code in (429, 503):
                    await asyncio.sleep(float(reply.headers.get("retry-after", 1)))
                    reply = await self.client.post(path, json=body)
            reply.raise_for_status()
        except httpx2.HTTPError as error:
            self.failed.append(f"{type(error).__name__}: {error}")
            return None
        self.seconds.append(time.monotonic() - began)
        return reply

    async def all_ready(self) -> bool:
        wait = time.monotonic() + SECONDS
        for each in self.uploaded:
            while (await self.client.get(f"/v1/documents/{each}")).json()["status"] != "ready":
                if time.monotonic() > wait:
                    return False
                await asyncio.sleep(0.2)
        return True


async def longest_blocked(url: str, stop: asyncio.Event) -> float:
    """The longest that a statement of others waited for the migration, in seconds; requests wait for more than that."""
    longest, connection = 0.0, await asyncpg.connect(url)
    try:
        while not stop.is_set():
            longest = max(longest, await connection.fetchval(_BLOCKED))
            await asyncio.sleep(0.05)
    finally:
        await connection.close()
    return longest


async def vectors_indexed(url: str) -> None:
    """Waits for the vector index, which the programs build of copied rows: people's have one before an upgrade."""
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(SECONDS):
            while not await connection.fetchval(_INDEXED):
                await asyncio.sleep(0.5)
    finally:
        await connection.close()


async def upgrade_under_load(env: dict[str, str], load: Load) -> None:
    """Migrates by this release's code while the load goes on, which ends when everything was read."""
    stop = asyncio.Event()
    loading = asyncio.create_task(load.run(stop))
    await asyncio.sleep(5)
    before = max(load.seconds, default=0.0)
    blocked = asyncio.create_task(longest_blocked(env["DATABASE_URL"], stop))
    began = time.monotonic()
    command = [sys.executable, "-m", "footnote", "migrate", "--no-show-key"]
    migrating = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=env, stderr=asyncio.subprocess.PIPE)
    _, said = await migrating.communicate()
    if migrating.returncode:
        raise SystemExit(said.decode())
    took = time.monotonic() - began
    await asyncio.sleep(2)
    stop.set()
    await loading
    print(f"migrated in {took:.1f} s during {len(load.seconds)} requests, the longest {max(load.seconds):.2f} s")
    print(f"of those before it, {before:.2f} s; the longest wait for its locks, {await blocked:.2f} s")
    if not await load.all_ready():
        raise SystemExit("The worker of the release before did not read everything.")
    await load.client.aclose()


def main() -> int:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--chunks", type=int, default=1000)
    given.add_argument("--a-second", type=float, default=10)
    given.add_argument("--any-time", action="store_true")
    asked = given.parse_args()
    dump = sorted((ROOT / "tests" / "releases").glob("*/release.json"))[-1].parent
    if not is_there(commit_of(dump)):
        print(f"No upgrade: git has no {commit_of(dump)[:12]} here, the code of {dump.name} (git fetch --unshallow).")
        return 0 if asked.any_time else 1
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fn-")))
        code = stack.enter_context(release(root, dump))
        url = stack.enter_context(running_postgres(root / "pg", durable=True))
        redis_url = stack.enter_context(running_valkey(root / "kv"))
        restore = [str(binaries() / "pg_restore"), "--dbname", url, "--no-owner", "--no-privileges", "--exit-on-error"]
        subprocess.run([*restore, str(dump / "database.dump")], check=True)
        with tarfile.open(dump / "objects.tar.gz") as tar:
            tar.extractall(root / "objects", filter="data")
        stores = {"DATABASE_URL": url, "REDIS_URL": redis_url, "STORAGE_URL": (root / "objects").as_uri()}
        env = os.environ | stores | {"PORT": str(free_port()), "FOOTNOTE_DATA_DIR": str(root / "data")}
        old = [sys.executable, "-m", "footnote", "migrate", "--no-show-key"]  # makes the role of tenants
        subprocess.run(old, cwd=code, env=env, check=True, capture_output=True)
        shown = subprocess.run(
            [sys.executable, "-c", _NEW_KEY], cwd=code, env=env, check=True, capture_output=True, text=True
        )
        print(f"{asyncio.run(copy_rows(url, asked.chunks))} chunks of {dump.name}")
        counting = [sys.executable, "-m", "footnote", "audit", "--fix"]  # rows that were copied are in no tally yet
        subprocess.run(counting, cwd=code, env=env, check=True, capture_output=True)
        with programs(code, env, root / "log"):
            if asked.chunks > EXACT_CHUNKS:
                asyncio.run(vectors_indexed(url))
            load = Load(int(env["PORT"]), shown.stdout.strip(), asked.a_second, asked.any_time)
            asyncio.run(upgrade_under_load(env, load))
        audit = [sys.executable, "-m", "footnote", "audit"]
        audited = subprocess.run(audit, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        print(audited.stdout.strip())
    print(*load.failed[:5], sep="\n")
    too_slow = max(load.seconds) > LONGEST_SECONDS and not asked.any_time
    return int(bool(load.failed or audited.returncode or too_slow))


if __name__ == "__main__":
    sys.exit(main())
