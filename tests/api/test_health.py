"""Liveness, readiness and metrics: without a key, and telling the truth."""

from dataclasses import replace
from datetime import datetime

import httpx2
import pytest

from api.app import create_app
from footnote import __version__, turns
from footnote.runtime import Runtime, open_redis
from tests import driving
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
        await turns.pause(session)
        since = await turns.paused(session)
    ready = await alice.client.get("/readyz")
    assert since is not None
    assert (ready.status_code, datetime.fromisoformat(ready.json()["paused_since"])) == (200, since)
    assert "\nfootnote_paused 1\n" in (await alice.client.get("/metrics")).text
    async with rt.transaction() as session:
        await turns.resume(session)
    assert (await alice.client.get("/readyz")).json()["paused_since"] is None
    assert "\nfootnote_paused 0\n" in (await alice.client.get("/metrics")).text


async def test_what_is_away_is_named(rt: Runtime) -> None:
    nowhere = rt.settings.model_copy(update={"redis_url": "unix:///nowhere/at/all.sock"})
    app = create_app(runtime=replace(rt, redis=open_redis(nowhere)))
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://footnote") as client:
            answer = await client.get("/readyz")
    assert answer.status_code == 503
    checks = answer.json()["checks"]
    assert (checks["postgres"], checks["store"]) == ("ok", "ok")
    assert checks["redis"] != "ok"


async def test_metrics_count_by_route_and_not_by_path(rt: Runtime, alice: Person) -> None:
    await driving.accept(rt, alice.tenant_id, "text")
    for number in range(5):
        await alice.client.get(f"/v1/documents/doc_{number}/pages/1")
        await alice.client.get(f"/unknown/{number}")
        await alice.client.request(f"ODD{number}", "/healthz")
    text = (await alice.client.get("/metrics")).text
    assert "/v1/documents/{document_id}/pages/{number}" in text
    for invented in ("doc_1", "/unknown/1", "ODD1"):
        assert invented not in text
    assert 'footnote_jobs{state="queued"} ' in text
    assert "footnote_oldest_due_job_seconds" in text
