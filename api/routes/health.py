"""Liveness, readiness and metrics. They need no key."""

import asyncio
from collections.abc import Awaitable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy import text

from api.deps import OperatorDep
from footnote import __version__
from footnote.database.engine import is_polling
from footnote.errors import DatabaseUnfit, NotFound
from footnote.jobs import scheduling
from footnote.providers import guarded
from footnote.runtime import Runtime
from footnote.settings import LOOPBACK
from footnote.telemetry import log
from footnote.telemetry.exposition import exposition
from footnote.telemetry.listening import CONTENT_TYPE

router = APIRouter(tags=["operations"])
CHECK_SECONDS = 3.0
_AWAY: dict[str, Any] = {
    "description": "Postgres is unavailable or, with `strict`, any other required part.",
    "content": {"application/json": {}},
}
_READINESS: dict[int | str, dict[str, Any]] = {503: _AWAY}
Strict = Annotated[bool, Query(description="Answer 503 also for `degraded`.")]


@router.get("/healthz")
async def check_liveness() -> dict[str, str]:
    """Check that the process answers."""
    return {"status": "ok", "version": __version__}


@router.get("/readyz", responses=_READINESS)
async def check_readiness(rt: OperatorDep, response: Response, strict: Strict = False) -> dict[str, Any]:
    """Check whether this process can serve requests.

    `status` is `ready`, `degraded` (`checks` names the unavailable part) or `not_ready` with 503. Without Redis,
    uploads and queries work, and jobs wait. Without the store, search and status work. Without Postgres nothing works.
    A failing model provider is named but changes nothing. `notifications` are `polling` behind a pooler without
    DATABASE_DIRECT_URL. A process that is asked to stop is `draining`, with 503.
    """
    if rt.stopping.is_set():
        response.status_code = 503
        return {"status": "draining", "version": __version__}
    found = await asyncio.gather(_postgres(rt), _check(_redis(rt)), _check(rt.store.check()))
    (postgres, paused_since), redis, store = found
    checks = {"postgres": postgres, "redis": redis, "store": store}
    providers = await guarded.circuits(rt.embedder, *rt.others.values(), rt.generator, rt.reranker)
    status = "not_ready" if postgres != "ok" else "ready" if set(checks.values()) == {"ok"} else "degraded"
    response.status_code = 200 if status == "ready" or (status == "degraded" and not strict) else 503
    return {
        "status": status,
        "version": __version__,
        "checks": checks,
        "providers": {
            name: "ok" if state == "closed" else f"failing, not called before {state}"
            for name, state in providers.items()
        },
        "notifications": "polling" if is_polling(rt.settings) else "listening",
        "paused_since": paused_since,
        "embedder": f"{rt.embedder.provider}/{rt.embedder.model}",
        "generator": f"{rt.generator.provider}/{rt.generator.model}",
        "reranker": f"{rt.reranker.provider}/{rt.reranker.model}" if rt.reranker else None,
    }


async def _check(probe: Awaitable[Any]) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await probe
    except Exception as error:  # for the log only: it may name hosts and paths, and this route needs no key
        log.warning("not ready", error=f"{type(error).__name__}: {error}"[:300])
        return "away"
    return "ok"


async def _postgres(rt: Runtime) -> tuple[str, datetime | None]:
    """Whether it answers, and since when the workers are paused. It has its own time-outs: `database.liveness`."""
    try:
        async with rt.transaction() as session:
            await session.execute(text("SELECT 1 FROM alembic_version"))
            return "ok", await scheduling.paused(session)
    except Exception as error:
        log.warning("not ready", error=f"{type(error).__name__}: {error}"[:300])
        return "unfit" if isinstance(error, DatabaseUnfit) else "away", None


async def _redis(rt: Runtime) -> None:
    assert rt.redis is not None
    await rt.redis.ping()


@router.get("/metrics", include_in_schema=False)
async def metrics(rt: OperatorDep) -> Response:
    """Prometheus' text format, of all API processes. Only where it does not lie open to a network."""
    if rt.settings.metrics_port is not None or rt.settings.host not in LOOPBACK:
        raise NotFound("not_found", "The metrics are on FOOTNOTE_METRICS_PORT.")
    return Response(await asyncio.to_thread(exposition), media_type=CONTENT_TYPE)
