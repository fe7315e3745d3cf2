"""What a release stored is there after an upgrade to this one: audited, found by the same questions, answered alike.

The dumps were made by the releases themselves (`scripts/dump_release.py`).
"""

import asyncio
import json
import subprocess
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import select, text

from api.app import create_app
from footnote.local_stack.postgres import binaries
from footnote.models import Job, Tenant
from footnote.operations import bootstrap
from footnote.operations.consistency import audit
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings
from footnote.tenancy import keys
from tests import ROOT, driving
from tests.conftest import named_database, run_sql

pytestmark = pytest.mark.anyio
RELEASES = sorted((ROOT / "tests" / "releases").glob("*/release.json"))
ENDED, UNFINISHED = {"succeeded", "failed", "cancelled"}, {"queued", "waiting"}


@pytest.fixture(params=RELEASES, ids=lambda each: each.parent.name)
def release(request: pytest.FixtureRequest) -> Path:
    return Path(request.param).parent


@pytest.fixture
async def upgraded(
    release: Path, postgres_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Runtime]:
    """The release's database and objects, migrated; with the models that it used."""
    name = f"r_{uuid4().hex[:12]}"
    server, url = named_database(postgres_url, "postgres"), named_database(postgres_url, name)
    await run_sql(server, f"CREATE DATABASE {name}")
    command = [str(binaries() / "pg_restore"), "--dbname", url, "--no-owner", "--no-privileges", "--exit-on-error"]
    await asyncio.to_thread(subprocess.run, [*command, str(release / "database.dump")], check=True)
    with tarfile.open(release / "objects.tar.gz") as tar:
        tar.extractall(tmp_path / "objects", filter="data")
    monkeypatch.setenv("DATABASE_URL", url)
    await asyncio.to_thread(bootstrap.migrate)
    store = (tmp_path / "objects").as_uri()
    settings = Settings(_env_file=None, database_url=url, redis_url=redis_url, storage_url=store, data_dir=tmp_path)
    async with open_runtime(settings, pool_size=4) as rt:
        yield rt
    await run_sql(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def api(upgraded: Runtime) -> AsyncIterator[httpx2.AsyncClient]:
    async with upgraded.transaction() as session:
        tenant = (await session.scalars(select(Tenant.id))).one()
        _, key = await keys.create(session, tenant, "after the upgrade")
    app = create_app(runtime=upgraded)
    app.state.runtime = upgraded
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://footnote", headers=headers) as client:
        yield client


async def test_an_upgrade_keeps_everything(release: Path, upgraded: Runtime, api: httpx2.AsyncClient) -> None:
    rt, told = upgraded, json.loads((release / "release.json").read_text())
    assert [each for each in [each async for each in audit(rt, fix=False)] if each.kind != "object_without_row"] == []
    for question, hits in told["hits"].items():
        found = (await api.post("/v1/search", json={"query": question})).json()["data"]
        assert [each["chunk_id"] for each in found] == hits, question
    for path, answer in told["answers"].items():
        assert differences(answer, (await api.get(path)).json()) == [], path

    async with rt.transaction() as session:
        states = {row.id: row.state for row in await session.execute(select(Job.id, Job.state))}
        await session.execute(text("DELETE FROM pause"))
        await session.execute(text("UPDATE job SET next_attempt_at = now() WHERE finished_at IS NULL"))
    assert set(states.values()) == ENDED | UNFINISHED
    for job_id, state in states.items():
        if state in UNFINISHED:
            assert (await driving.run(rt, job_id)).state == "succeeded"


def differences(before: Any, after: Any, place: str = "") -> list[str]:
    """Where a later answer lacks what an earlier one said; it may say more."""
    if isinstance(before, dict) and isinstance(after, dict):
        gone = [f"{place}.{name} is gone" for name in before.keys() - after.keys()]
        both = [name for name in before if name in after and name != "reader_url"]  # begins with the request's address
        return gone + [each for name in both for each in differences(before[name], after[name], f"{place}.{name}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [each for number, (one, other) in pairs for each in differences(one, other, f"{place}[{number}]")]
    return [] if before == after else [f"{place}: {before!r} became {after!r}"]
