"""`celery -A worker.flower flower`: the app for Flower, which needs no tasks."""

from footnote.queue import make_app
from footnote.settings import Settings

app = make_app(Settings())
