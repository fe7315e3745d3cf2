"""The one Celery app: task names, routes, and how work is sent.

A message carries ids only and may be lost, doubled or late: Postgres decides what is done (see `jobs`).
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from celery import Celery, chain

from footnote.database.redis_address import sentinels_of
from footnote.errors import Invalid
from footnote.jobs import STEPS, Lane
from footnote.jobs.scheduling import JobMessage
from footnote.settings import Settings

ANSWER = "answer"  # the task that answers questions of a batch


def task_name(step: str) -> str:
    return f"footnote.{step}"


def broker_url(redis_url: str) -> str:
    """`redis_url` as kombu wants it: a unix socket is `redis+socket://` there, and each sentinel has a URL.

    Raises Invalid for a broker of another kind.
    """
    if found := sentinels_of(redis_url):
        login = ":".join(quote(found.login.get(name, ""), safe="") for name in ("username", "password"))
        at = f"{login}@" if found.login else ""
        return ";".join(f"sentinel://{at}{host}:{port}/{found.db}" for host, port in found.hosts)
    parts = urlsplit(redis_url)
    if parts.scheme == "unix":
        database = parts.query.partition("db=")[2] or "0"
        return f"redis+socket://{parts.path}?virtual_host={database}"
    return redis_url


def _by_sentinels(redis_url: str) -> dict[str, Any]:
    """What kombu needs in addition to the addresses of sentinels."""
    found = sentinels_of(redis_url)
    if found is None:
        return {}
    return {"master_name": found.primary, "sentinel_kwargs": {"socket_timeout": 1, "socket_connect_timeout": 1}}


def make_app(settings: Settings) -> Celery:
    """A Celery app without a result backend and with early acknowledgement: its messages only name rows."""
    if not settings.redis_url:
        raise Invalid("bad_setting", "REDIS_URL is not set; `footnote up` sets it for what it starts.")
    app = Celery("footnote", broker=broker_url(settings.redis_url), set_as_current=False)
    app.conf.update(
        task_default_queue=Lane.SMALL.value,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        # The claim in Postgres makes redelivery needless, so there is no visibility timeout to get wrong.
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_concurrency=settings.worker_concurrency,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=True,  # what Flower shows
        task_send_sent_event=True,
        worker_max_tasks_per_child=500,
        worker_max_memory_per_child=1_000_000,  # kB; looked at between tasks
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "health_check_interval": 10,
            "retry_on_timeout": False,
            # Seconds of one look into the lanes: one that leaves out the large lane delays its next step by that.
            # A message in a lane that it looks into ends it at once.
            "polling_interval": 0.5,
            **_by_sentinels(settings.redis_url),
        },
        task_publish_retry=False,  # the dispatcher simply sends again
        enable_utc=True,
    )
    return app


def start_batches(app: Celery, batch_ids: Sequence[str]) -> None:
    """Sends batches of questions through the lane of the small documents, because people wait for the answers."""
    with app.producer_or_acquire() as producer:
        for batch_id in batch_ids:
            answering = app.signature(task_name(ANSWER), args=(batch_id,))
            answering.set(queue=Lane.SMALL.value).apply_async(producer=producer)


def start_jobs(app: Celery, messages: Sequence[JobMessage], lane: Lane) -> None:
    """Sends the messages through one lane: for a single job as the chain of the steps that remain.

    Several jobs have no chain. Each continues by itself, or by a message of its own.
    """
    with app.producer_or_acquire() as producer:
        for message in messages:
            alone = len(message.job_ids) == 1
            remaining = STEPS[STEPS.index(message.step) :] if alone else (message.step,)
            signatures = (app.signature(task_name(each), args=message.job_ids, immutable=True) for each in remaining)
            chain(*(each.set(queue=lane.value) for each in signatures)).apply_async(producer=producer)
