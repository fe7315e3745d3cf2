"""Liveness, readiness and metrics: without a key, and correct."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import httpx2
import pytest

from api.app import create_app
from footnote import __version__
from footnote.database.redis_client import open_redis
from footnote.jobs import scheduling
from footnote.runtime import Runtime, open_runtime
from footnote.storage import LocalStore
from tests import metrics
from tests.conftest import Person

pytestmark = pytest.mark.anyio


async def test_without_a_key(alice: Person) -> None:
    transport = alice.client._transport
    async with httpx2.AsyncClient(transport=transport, base_url="http://footnote") as client:
        assert (await client.get("/healthz")).json() == {"status": "ok", "version": __version__}
        ready = await client.get("/readyz")
        assert ready.status_code == 200, ready.text
        assert ready.json()["checks"] == {"postgres": "ok", "redis": "ok", "store": "ok"}
        for path in ("/metrics", "/docs", "/openapi.json"):
            assert (await client.get(path)).status_code == 200
        for path in ("/v1/documents", "/v1/jobs"):
            assert (await client.get(path)).status_code == 401


async def test_a_pause_is_seen(rt: Runtime, alice: Person) -> None:
    async with rt.transaction() as session:
        await scheduling.pause(session)
        since = await scheduling.paused(session)
    ready = await alice.client.get("/readyz")
    assert since is not None
    assert (ready.status_code, datetime.fromisoformat(ready.json()["paused_since"])) == (200, since)
    assert (await metrics.of_the_installation(rt))["footnote_paused"] == 1
    async with rt.transaction() as session:
        await scheduling.resume(session)
    assert (await alice.client.get("/readyz")).json()["paused_since"] is None
    assert (await metrics.of_the_installation(rt))["footnote_paused"] == 0


@asynccontextmanager
async def asked_of(rt: Runtime) -> AsyncIterator[httpx2.AsyncClient]:
    app = create_app(runtime=rt)
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://footnote") as client:
            yield client


def without_redis(rt: Runtime) -> Runtime:
    nowhere = rt.settings.model_copy(update={"redis_url": "unix:///nowhere/at/all.sock"})
    return replace(rt, redis=open_redis(nowhere))


class NoStore(LocalStore):
    async def check(self) -> None:
        raise OSError("not mounted")


@pytest.mark.parametrize("away", ["redis", "store"])
async def test_a_process_without_redis_or_store_stays_in_service(rt: Runtime, tmp_path: Path, away: str) -> None:
    without = without_redis(rt) if away == "redis" else replace(rt, store=NoStore(tmp_path))
    async with asked_of(without) as client:
        answer, strict = await client.get("/readyz"), await client.get("/readyz?strict=true")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["checks"] == {"postgres": "ok", "redis": "ok", "store": "ok"} | {away: "away"}
    assert (strict.status_code, strict.json()["status"]) == (503, "degraded")


async def test_without_postgres_a_process_is_out_of_service(rt: Runtime) -> None:
    nowhere = rt.settings.model_copy(update={"database_url": "postgresql://127.0.0.1:1/nowhere"})
    async with open_runtime(nowhere, interactive=True) as alone, asked_of(alone) as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "not_ready")
        assert answer.json()["checks"] == {"postgres": "away", "redis": "ok", "store": "ok"}
        assert answer.json()["paused_since"] is None


async def test_metrics_count_by_route_and_not_by_path(alice: Person) -> None:
    for number in range(5):
        await alice.client.get(f"/v1/documents/doc_{number}/pages/1")
        await alice.client.get(f"/unknown/{number}")
        await alice.client.request(f"ODD{number}", "/healthz")
    text = (await alice.client.get("/metrics")).text
    assert "/v1/documents/{document_id}/pages/{number}" in text
    for invented in ("doc_1", "/unknown/1", "ODD1"):
        assert invented not in text
    assert "footnote_jobs{" not in text, "each node would repeat it"


async def test_metrics_do_not_lie_open_to_a_network(rt: Runtime) -> None:
    for own in ({"host": "0.0.0.0"}, {"metrics_port": 9464}):
        settings = rt.settings.model_copy(update=own)
        async with asked_of(replace(rt, settings=settings)) as client:
            assert (await client.get("/metrics")).status_code == 404
