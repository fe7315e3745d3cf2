"""`python -m worker`: the Celery worker with the options it must have."""

if __name__ == "__main__":
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
