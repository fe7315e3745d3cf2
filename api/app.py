"""The ASGI application: lifespan, middleware, error handlers, routers."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware

from api import errors, mcp
from api.body_limits import BodyLimits
from api.description import DescribedApi, texts
from api.middleware import LastResort, RequestContext
from api.openai import READ, SENT, chat, embeddings, file_batches, files, models, responses, store_files, stores
from api.openai import uploads as parted_uploads
from api.routes import (
    audit,
    batches,
    collections,
    conversations,
    documentation,
    documents,
    events,
    health,
    jobs,
    keys,
    model_swaps,
    query,
    selections,
    session,
    summary,
    tasks,
    tenant,
    ui,
    uploads,
    usage,
    webhooks,
)
from api.schemas import events as events_of
from footnote import __version__, formats
from footnote.documents.changes import Changes
from footnote.runtime import Runtime, import_early, open_runtime, preload
from footnote.settings import Settings
from footnote.telemetry import configure_logging, traces
from footnote.telemetry.metrics import watch_loop
from footnote.tenancy import usage as usage_counts

ROUTES = (
    uploads,
    selections,
    documents,
    events,
    collections,
    model_swaps,
    jobs,
    summary,
    query,
    tasks,
    batches,
    conversations,
    webhooks,
    usage,
    keys,
    session,
    audit,
    tenant,
    health,
)
OPENAI_ROUTES = (models, files, parted_uploads, stores, store_files, file_batches, embeddings, chat, responses)
API_PATIENCE_SECONDS = 3.0  # for a lock or a database connection; then 503 with Retry-After


def create_app(settings: Settings | None = None, runtime: Runtime | None = None) -> DescribedApi:
    """The app over its own Runtime, or over a given one that the caller closes."""
    chosen = runtime.settings if runtime else settings or Settings()

    app = DescribedApi(
        title="Footnote",
        version=__version__,
        summary="Documents in, cited answers out.",
        description=texts.INTRODUCTION,
        openapi_tags=texts.TAGS,
        servers=texts.SERVERS,
        lifespan=partial(_lifespan, chosen),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        responses={"4XX": {"description": ""}},  # else FastAPI adds its own 422; `describe` puts ours there
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,  # after a redirect an upload would be sent twice
    )
    if runtime is not None:
        app.state.runtime = runtime
    _route(app, chosen)
    errors.install(app)
    app.add_middleware(BodyLimits, settings=chosen, routes=app.state.routes)
    app.add_middleware(LastResort)
    if chosen.allowed_origins:
        _allow_origins(app, chosen)
    app.add_middleware(RequestContext, hsts_seconds=chosen.hsts_seconds, public_url=chosen.public_url)
    return app


def _allow_origins(app: FastAPI, settings: Settings) -> None:
    """Lets pages of other origins read our answers in a browser."""
    sent = ("Authorization", "X-API-Key", "Content-Type", "Idempotency-Key", "X-Request-ID", *mcp.HEADERS, *SENT)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=[*sent],
        expose_headers=["X-Request-ID", "Location", "Retry-After", "RateLimit", "RateLimit-Policy", *READ],
    )


def _routes(modules: Iterable[Any]) -> list[APIRoute]:
    return [route for module in modules for route in module.router.routes if isinstance(route, APIRoute)]


def _route(app: DescribedApi, settings: Settings) -> None:
    for module in (query, *(each for each in ROUTES if each is not query)):  # asked in this order: searches first
        app.include_router(module.router)
    for router in (module.router for module in OPENAI_ROUTES):
        app.include_router(router, include_in_schema=False)  # they have a document of their own
    app.described_routes = _routes(ROUTES)
    app.openai_routes = _routes(OPENAI_ROUTES)
    app.state.routes = [*app.described_routes, *app.openai_routes]
    if settings.docs == "on":
        app.include_router(documentation.router)
    if settings.ui == "on":
        app.include_router(ui.router)
    app.state.mcp = mcp.install(app, settings) if settings.mcp == "on" else None


def warm_app() -> FastAPI:
    """The app, with all that a process shares with those forked from it."""
    settings = Settings()
    app = create_app(settings)
    preload(settings)
    _warm(app, settings)
    return app


@asynccontextmanager
async def _lifespan(settings: Settings, app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """The server gets the Runtime: `api.serving.server` signals to it that the process should stop."""
    _warm(app, settings)
    runtime: Runtime | None = getattr(app.state, "runtime", None)
    if runtime is not None:
        async with mcp.closing(app), _following(app, runtime):
            yield {"runtime": runtime}
        return
    configure_logging(settings)
    gc.collect()
    gc.freeze()  # a collection over all imported objects takes a tenth of a second
    pool = settings.api_connections
    opening = open_runtime(settings, pool_size=pool, patience=API_PATIENCE_SECONDS, interactive=True)
    with traces.exporting("api", settings):
        async with opening as opened, usage_counts.writing(opened) as rt, mcp.closing(app), _following(app, rt):
            app.state.runtime = rt
            watching = asyncio.create_task(watch_loop(lambda: bool(rt.in_flight)))
            yield {"runtime": rt}
            watching.cancel()


@asynccontextmanager
async def _following(app: FastAPI, rt: Runtime) -> AsyncIterator[None]:
    """What the streams of events of this process share; it connects while there are some."""
    app.state.changes = Changes(rt, events_of.rendered)
    try:
        yield
    finally:
        await app.state.changes.close()


def _warm(app: FastAPI, settings: Settings) -> None:
    """Imports and builds what the first requests would otherwise wait for."""
    formats.modules()
    import_early(settings)
    if settings.ui == "on":
        ui.files()
    for route in app.routes:  # FastAPI builds a route when it is first matched
        route.matches({"type": "http", "method": "GET", "path": "//", "headers": []})
