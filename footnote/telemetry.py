"""Structured logs with their context, and Prometheus metrics."""

import asyncio
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, cast

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from footnote.settings import Settings, outdated

_modules = cast("dict[str, Any]", sys.modules)
if _modules.setdefault("rich", None) is None:  # structlog would paint tracebacks with it: 4 MiB of each process
    import structlog

    del _modules["rich"]
else:
    import structlog

log = structlog.get_logger("footnote")

requests_seconds = Histogram(
    "footnote_http_request_seconds",
    "Time to the end of the response.",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
queries_total = Counter("footnote_queries_total", "Questions answered.", ["answer_status"])
answers_cached_total = Counter(
    "footnote_answer_cache_total", "Questions by whether a stored answer was used.", ["outcome"]
)
questions_embedded_total = Counter(
    "footnote_question_embeddings_total", "Embeddings of questions, by where they came from.", ["source"]
)
fallbacks_total = Counter(
    "footnote_generator_fallbacks_total", "Answers that another generator was asked for next.", ["generator", "reason"]
)
rerankings_total = Counter("footnote_rerankings_total", "Searches by what became of their reranking.", ["outcome"])
limits_skipped_total = Counter(
    "footnote_limits_skipped_total", "Times that the limits shared in Redis were skipped because it was away."
)
mcp_calls_total = Counter(
    "footnote_mcp_calls_total", "Calls of MCP tools, by what became of them.", ["tool", "outcome"]
)
loop_lag_seconds = Histogram(
    "footnote_event_loop_lag_seconds",
    "How late the API's event loops run what is due, measured ten times a second, or once while there are no requests.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
)


async def watch_loop(is_busy: Callable[[], bool]) -> NoReturn:
    """Measures the lag of the running loop, until it is cancelled; more often while it `is_busy`."""
    clock = asyncio.get_running_loop().time
    while True:
        pause = 0.1 if is_busy() else 1.0
        due = clock() + pause
        await asyncio.sleep(pause)
        loop_lag_seconds.observe(max(0.0, clock() - due))


def counted(directory: Path | None) -> str:
    """The metrics in Prometheus' text format: this process's, or of all that count in the directory."""
    registry = REGISTRY
    if directory is not None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(directory))  # type: ignore[no-untyped-call]
    return generate_latest(registry).decode()


def configure_logging(settings: Settings) -> None:
    """Sends our records and those of libraries to stderr, as JSON lines or readable text."""
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderer: Any = structlog.processors.JSONRenderer()
    if console:
        # The default prints the local variables of every frame: slow, and they may hold keys.
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([] if console else [structlog.processors.format_exc_info]),
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for noisy in ("httpx", "httpx2", "httpcore", "httpcore2", "uvicorn.access", "botocore", "openai", "mcp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for old, new in outdated.items():
        log.warning("variable has a new name; the old one will be ignored by the next version", old=old, new=new)
