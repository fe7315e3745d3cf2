"""Structured logs with their context. `metrics` and `traces` are in modules of their own."""

import logging
import sys
from typing import Any, cast

from footnote.settings import Settings, outdated

_modules = cast("dict[str, Any]", sys.modules)
if _modules.setdefault("rich", None) is None:  # structlog would paint tracebacks with it: 4 MiB of each process
    import structlog

    del _modules["rich"]
else:
    import structlog

log = structlog.get_logger("footnote")


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
