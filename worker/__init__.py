"""The Celery worker, and the background loops."""
