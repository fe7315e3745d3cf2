"""Liveness, readiness, metrics: without a key."""

import asyncio
from collections.abc import Awaitable
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import text

from api.deps import OperatorDep
from footnote import __version__, backlog, turns
from footnote.errors import DatabaseAway
from footnote.providers import guarded
from footnote.runtime import Runtime
from footnote.telemetry import counted, log

router = APIRouter(tags=["operations"])
CHECK_SECONDS = 3.0
_AWAY: dict[str, Any] = {"description": "Something needed is away.", "content": {"application/json": {}}}
_READINESS: dict[int | str, dict[str, Any]] = {503: _AWAY}


@router.get("/healthz", operation_id="healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok", "version": __version__}


@router.get("/readyz", operation_id="readyz", responses=_READINESS)
async def readyz(rt: OperatorDep, response: Response) -> dict[str, Any]:
    """Whether Postgres, Redis and the store answer. Uploads and queries work without Redis; jobs then wait.

    A model provider that fails is named, and takes nobody out of service: the documents can still be looked at. A
    process that was asked to end is `draining`.
    """
    if rt.stopping.is_set():
        response.status_code = 503
        return {"status": "draining", "version": __version__}
    checks = await asyncio.gather(_check(_postgres(rt)), _check(_redis(rt)), _check(rt.store.check()))
    names = ("postgres", "redis", "store")
    providers = await guarded.circuits(rt.embedder, *rt.others.values(), rt.generator, rt.reranker)
    ready = all(check == "ok" for check in checks)
    response.status_code = 200 if ready else 503
    return {
        "status": "ready" if ready else "not_ready",
        "version": __version__,
        "checks": dict(zip(names, checks, strict=True)),
        "providers": {
            name: "ok" if state == "closed" else f"failing, not asked before {state}"
            for name, state in providers.items()
        },
        "paused_since": await _paused_since(rt),
        "embedder": f"{rt.embedder.provider}/{rt.embedder.model}",
        "generator": f"{rt.generator.provider}/{rt.generator.model}",
        "reranker": f"{rt.reranker.provider}/{rt.reranker.model}" if rt.reranker else None,
    }


async def _paused_since(rt: Runtime) -> datetime | None:
    """Since when the workers begin nothing; None also while nobody can tell."""
    try:
        async with asyncio.timeout(CHECK_SECONDS), rt.transaction() as session:
            return await turns.paused(session)
    except (DatabaseAway, TimeoutError):
        return None


async def _check(probe: Awaitable[Any]) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await probe
    except Exception as error:  # told in the log only: it may name hosts and paths, and nobody needs a key here
        log.warning("not ready", error=f"{type(error).__name__}: {error}"[:300])
        return "away"
    return "ok"


async def _postgres(rt: Runtime) -> None:
    async with rt.transaction() as session:
        await session.execute(text("SELECT 1 FROM alembic_version"))


async def _redis(rt: Runtime) -> None:
    assert rt.redis is not None
    await rt.redis.ping()


@router.get("/metrics", operation_id="metrics", include_in_schema=False)
async def metrics(rt: OperatorDep) -> Response:
    """Prometheus' text format. Jobs come from Postgres, circuits from Redis: any API process tells of all of them."""
    lines = [await asyncio.to_thread(counted, rt.settings.metrics_dir)]
    async with rt.transaction() as session:
        numbers = await backlog.overview(session)
        paused = await turns.paused(session)
    oldest = numbers.pop("oldest_due_seconds")
    lines.append("# HELP footnote_jobs Jobs by state.\n# TYPE footnote_jobs gauge\n")
    lines += [f'footnote_jobs{{state="{state}"}} {count:g}\n' for state, count in sorted(numbers.items())]
    lines.append("# HELP footnote_oldest_due_job_seconds Age of the oldest job that is due.\n")
    lines.append(f"# TYPE footnote_oldest_due_job_seconds gauge\nfootnote_oldest_due_job_seconds {oldest:g}\n")
    lines.append("# HELP footnote_paused Whether the operator paused the workers.\n")
    lines.append(f"# TYPE footnote_paused gauge\nfootnote_paused {paused is not None:d}\n")
    lines.append("# HELP footnote_provider_circuit_open Whether the provider failed too often to be asked.\n")
    lines.append("# TYPE footnote_provider_circuit_open gauge\n")
    for name, state in (await guarded.circuits(rt.embedder, *rt.others.values(), rt.generator, rt.reranker)).items():
        lines.append(f'footnote_provider_circuit_open{{provider="{name}"}} {state != "closed":d}\n')
    return Response("".join(lines), media_type=CONTENT_TYPE_LATEST)
