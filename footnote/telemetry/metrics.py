"""What is counted and measured, in Prometheus' terms.

Labels hold words of the code, templates of routes and names of configured providers: never a tenant, a key or a text.
So a process has fewer than 500 series, which a test counts.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NoReturn

from prometheus_client import Counter, Histogram, disable_created_metrics

from footnote.errors import CircuitOpen, FootnoteError, RateLimited, TimedOut, Unavailable

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter

# -- requests --
requests_total = Counter("footnote_http_requests_total", "Requests by what became of them.", ["route", "status"])
requests_seconds = Histogram(
    "footnote_http_request_seconds",
    "Time to the end of the response, of requests that read or write.",
    ["access"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30),
)
loop_lag_seconds = Histogram(
    "footnote_event_loop_lag_seconds",
    "How late the API's event loops run what is due, measured ten times a second, or once while there are no requests.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
)
limits_skipped_total = Counter(
    "footnote_limits_skipped_total", "Times that the limits shared in Redis were skipped because it was away."
)
mcp_calls_total = Counter(
    "footnote_mcp_calls_total", "Calls of MCP tools, by what became of them.", ["tool", "outcome"]
)

# -- search and answers --
search_seconds = Histogram(
    "footnote_search_seconds",
    "Time of a search and of its parts: embed, legs (words and vectors), fusion, rerank, whole.",
    ["part"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5),
)
vector_searches_total = Counter(
    "footnote_vector_searches_total",
    "Searches by vectors: exact, by the index, or exact because the index found too few.",
    ["kind"],
)
questions_embedded_total = Counter(
    "footnote_question_embeddings_total", "Embeddings of questions, by where they came from.", ["source"]
)
rerankings_total = Counter("footnote_rerankings_total", "Searches by what became of their reranking.", ["outcome"])
queries_total = Counter("footnote_queries_total", "Questions answered.", ["answer_status"])
answers_cached_total = Counter(
    "footnote_answer_cache_total", "Questions by whether a stored answer was used.", ["outcome"]
)
first_token_seconds = Histogram(
    "footnote_first_token_seconds",
    "Time from a question to the first word of its answer.",
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 60),
)

# -- providers --
fallbacks_total = Counter(
    "footnote_generator_fallbacks_total", "Answers that another generator was asked for next.", ["generator", "reason"]
)
provider_calls_total = Counter(
    "footnote_provider_calls_total", "Calls of models on a network, by what became of them.", ["provider", "outcome"]
)
provider_wait_seconds = Histogram(
    "footnote_provider_wait_seconds",
    "Time that calls waited for their turn under the provider's limits.",
    ["provider"],
    buckets=(0.01, 0.1, 0.5, 1, 5),
)

# -- ingestion --
steps_seconds = Histogram(
    "footnote_step_seconds",
    "Time of a step's turn. A small document's last two steps end together, which counts as `embed`.",
    ["step", "lane"],
    buckets=(0.1, 0.5, 1, 5, 30, 120, 600),
)
steps_total = Counter(
    "footnote_steps_total",
    "Turns of steps: done, yielded, postponed, failed, lost (the lease) or stopped (the worker).",
    ["step", "lane", "outcome"],
)
chunks_embedded_total = Counter("footnote_chunks_embedded_total", "Texts of chunks that a model embedded.")

# -- the dispatcher --
refills_total = Counter("footnote_refills_total", "Looks at the lanes of the broker, to send more jobs.")
jobs_sent_total = Counter("footnote_jobs_sent_total", "Jobs sent to workers.", ["lane"])
jobs_taken_back_total = Counter(
    "footnote_jobs_taken_back_total", "Jobs taken back from silent workers, by what became of them.", ["outcome"]
)
webhook_attempts_total = Counter("footnote_webhook_attempts_total", "Attempts to deliver webhooks.", ["outcome"])


async def watch_loop(is_busy: Callable[[], bool]) -> NoReturn:
    """Measures the lag of the running loop, until it is cancelled; more often while it `is_busy`."""
    clock = asyncio.get_running_loop().time
    while True:
        pause = 0.1 if is_busy() else 1.0
        due = clock() + pause
        await asyncio.sleep(pause)
        loop_lag_seconds.observe(max(0.0, clock() - due))


@asynccontextmanager
async def timed(part: str) -> AsyncIterator[None]:
    """Measures a part of a search that ends without an error. Also decorates a function that is one."""
    started = time.monotonic()
    yield
    search_seconds.labels(part).observe(time.monotonic() - started)


class CallMeter:
    """Of one call of a provider: its wait and its outcome, while it is a context."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._started = time.monotonic()

    def admitted(self) -> None:
        """The wait is over."""
        provider_wait_seconds.labels(self._provider).observe(time.monotonic() - self._started)

    def __enter__(self) -> "CallMeter":
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        provider_calls_total.labels(self._provider, _outcome(error)).inc()


def _outcome(error: BaseException | None) -> str:
    match error:
        case None:
            return "answered"
        case CircuitOpen():
            return "not_asked"
        case RateLimited():
            return "limited"
        case TimedOut():
            return "timed_out"
        case Unavailable():
            return "failed"
        case FootnoteError():
            return "refused"
    return "cancelled"
