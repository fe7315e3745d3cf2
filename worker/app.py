"""`celery -A worker.app worker`: the app with its tasks."""

from functools import partial

from footnote.queue import make_app
from footnote.settings import Settings
from worker import losses
from worker.lanes import SmallFirst
from worker.loop import attach
from worker.tasks import register

settings = Settings()
app = make_app(settings)
app.conf.broker_transport_options["queue_order_strategy"] = partial(SmallFirst, settings.worker_concurrency)
register(app)
attach(settings)
losses.attach(settings)
