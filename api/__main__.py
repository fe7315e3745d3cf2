"""`python -m api`: uvicorn with our settings."""

import uvicorn

from footnote.settings import Settings

if __name__ == "__main__":
    settings = Settings()
    uvicorn.run(
        "api.app:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.api_workers,
        http="h11",  # the other parser takes a head of any length
        log_config=None,  # structlog has the root logger
        access_log=False,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=10,
        limit_concurrency=1000,
        h11_max_incomplete_event_size=64 * 1024,
    )
