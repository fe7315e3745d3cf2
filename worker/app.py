"""`celery -A worker.app worker`: the app with its tasks."""

from footnote.queue import make_app
from footnote.settings import Settings
from worker.loop import attach
from worker.tasks import register

settings = Settings()
app = make_app(settings)
register(app)
attach(settings)
