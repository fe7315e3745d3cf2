"""The Celery worker, and the loops beside it."""
