"""`python -m worker`: the Celery worker with the options it must have."""

import os

if __name__ == "__main__":
    # SIGTERM starts a bounded soft shutdown instead of waiting for running steps without limit.
    # Celery reads this when it is imported.
    os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")

    from footnote.queue import LANES
    from worker.app import app

    app.worker_main(
        [
            "worker",
            "--pool=prefork",
            f"--queues={','.join(LANES)}",
            "--task-events",
            "--without-gossip",
            "--without-mingle",
            "--loglevel=INFO",
        ]
    )
