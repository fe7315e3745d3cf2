"""`celery -A worker.app worker`: the app with its tasks."""

from functools import partial

from footnote.queue import make_app
from footnote.settings import Settings
from worker import lost_workers, presence
from worker.loop import attach
from worker.queue_order import SmallFirst
from worker.tasks import register

settings = Settings()
app = make_app(settings)
app.conf.broker_transport_options["queue_order_strategy"] = partial(SmallFirst, settings.worker_concurrency)
register(app)
attach(settings)
lost_workers.attach(settings)
presence.attach(settings)
