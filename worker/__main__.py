"""`python -m worker`: the Celery worker with the options it must have."""

import os

if __name__ == "__main__":
    from footnote.settings import Settings
    from footnote.telemetry import exposition, listening

    settings = Settings()
    if settings.metrics_port:
        exposition.share(os.environ)
    listening.listen(settings, exposition.exposition)

    from footnote.jobs import Lane
    from worker.app import app

    app.worker_main(
        [
            "worker",
            "--pool=prefork",
            f"--queues={','.join(Lane)}",
            "--task-events",
            "--without-gossip",
            "--without-mingle",
            "--loglevel=INFO",
        ]
    )
