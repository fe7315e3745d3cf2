"""The Celery worker and the dispatcher."""
