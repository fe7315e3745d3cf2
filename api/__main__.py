"""`python -m api`: uvicorn with our settings, one process or several at one port."""

import os
import sys

from footnote.settings import Settings


def serve(settings: Settings) -> int:
    """Runs until it is asked to stop. Returns the exit status."""
    import uvicorn

    from api.serving.processes import Processes
    from api.serving.server import ApiServer
    from footnote.telemetry import configure_logging
    from footnote.telemetry.exposition import exposition
    from footnote.telemetry.listening import listen

    configure_logging(settings)
    listen(settings, exposition)
    config = uvicorn.Config(
        "api.app:warm_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.api_workers,
        http="api.serving.slow_clients:Connection",  # on h11, which we test with malformed requests
        ws="none",  # WebSocket connections would not be counted
        log_config=None,  # structlog has the root logger
        access_log=False,  # `RequestContext` logs each request
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=settings.drain_seconds,
        timeout_worker_healthcheck=30,  # on a busy machine a process starts slowly
        h11_max_incomplete_event_size=64 * 1024,
    )
    if settings.api_workers > 1:
        return Processes(config, [config.bind_socket()]).run()
    config.load()  # not in the event loop, where uvicorn would do it
    server = ApiServer(config)
    server.run()
    return 0 if server.started else 1


def main() -> int:
    from footnote.telemetry import exposition

    settings = Settings()
    if settings.api_workers > 1:
        exposition.share(os.environ)
    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
