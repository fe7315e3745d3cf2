"""Traces by OpenTelemetry, over OTLP/HTTP; without OTEL_EXPORTER_OTLP_ENDPOINT nothing of it is imported.

One trace leads from an upload to its webhook: the row of a job has the `traceparent` of the request that made it, so
that a worker that continues where another was killed continues in the same trace. Spans hold templates of routes, names
of steps and providers, and our ids: never a text, a file name or a key, nor the words of an error.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from footnote.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

_tracer: "Tracer | None" = None


@contextmanager
def exporting(program: str, settings: Settings) -> Iterator[None]:
    """Sends the spans of this process to the collector, if there is one. Not before a fork: a thread sends them."""
    global _tracer
    if settings.otlp_endpoint is None:
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise SystemExit("OTEL_EXPORTER_OTLP_ENDPOINT is set: install `footnote[otel]`, or unset it.") from error
    provider = TracerProvider(resource=Resource.create({"service.name": f"footnote-{program}"}))
    exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces")
    # As often as OTEL_BSP_SCHEDULE_DELAY says, by default each five seconds: a request takes as long as 20 spans.
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = provider.get_tracer("footnote")
    gc.collect()
    gc.freeze()  # what was just imported is looked through by no later collection
    try:
        yield
    finally:
        _tracer = None
        provider.shutdown()


def begin(name: str, parent: str | None = None, *, current: bool = True, **about: str | int) -> "Span | None":
    """A span below the `traceparent`; None: below the current one; empty: below none. None if spans are not sent.

    `current`: what follows in this task is below it.
    """
    if _tracer is None:
        return None
    from opentelemetry import context, trace
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    above = None if parent is None else TraceContextTextMapPropagator().extract({"traceparent": parent}, Context())
    span = _tracer.start_span(name, above, attributes={f"footnote.{key}": value for key, value in about.items()})
    if current:
        context.attach(trace.set_span_in_context(span))  # the task's own, which ends with it
    return span


def end(span: "Span | None", *, failed: bool = False, name: str | None = None, **about: str | int) -> None:
    if span is None:
        return
    from opentelemetry.trace import StatusCode

    if name is not None:
        span.update_name(name)
    span.set_attributes({f"footnote.{key}": value for key, value in about.items()})
    if failed:
        span.set_status(StatusCode.ERROR)
    span.end()


@contextmanager
def spanning(name: str, parent: str | None = None, *, current: bool = True, **about: str | int) -> Iterator[None]:
    """A span around a block; of an error it has the kind only."""
    span = begin(name, parent, current=current, **about)
    try:
        yield
    except BaseException as error:
        end(span, failed=True, error=type(error).__name__)
        raise
    end(span)


def traceparent() -> str | None:
    """That of the current span, in W3C's form."""
    if _tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")
