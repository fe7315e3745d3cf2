"""`python -m api`: uvicorn with our settings, one process or several at one port."""

import os
from tempfile import TemporaryDirectory

import uvicorn

from footnote.settings import Settings


def serve(settings: Settings) -> None:
    uvicorn.run(
        "api.app:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.api_workers,
        http="api.connection:Connection",
        ws="none",  # which would take connections out of its hands
        log_config=None,  # structlog has the root logger
        access_log=False,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=10,
        timeout_worker_healthcheck=30,  # on a busy machine a process takes its time to begin
        limit_concurrency=1000,
        h11_max_incomplete_event_size=64 * 1024,
    )


def main() -> None:
    settings = Settings()
    if settings.api_workers == 1 or settings.metrics_dir:
        return serve(settings)
    with TemporaryDirectory(prefix="footnote-metrics-") as directory:
        # Before any of them imports prometheus_client, which then counts in files there that all of them read.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        serve(settings)


if __name__ == "__main__":
    main()
