"""A collector of OpenTelemetry on the loopback, which also takes webhooks."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Collected:
    """A span: ids in hexadecimal, `parent` empty for the first of a trace."""

    program: str
    name: str
    trace: str
    id: str
    parent: str
    about: dict[str, str]
    text: str = field(repr=False)  # all of it


@dataclass
class Collector:
    url: str = ""
    spans: list[Collected] = field(default_factory=list)
    requests: int = 0  # with spans
    webhooks: int = 0

    def take(self, body: bytes) -> None:
        self.requests += 1
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            told = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [_collected(told["service.name"], span) for span in scope.spans]

    def of_trace(self, trace: str) -> list[Collected]:
        return [span for span in self.spans if span.trace == trace]


def _collected(program: str, span: Any) -> Collected:
    about = {each.key.removeprefix("footnote."): each.value.string_value for each in span.attributes}
    ids = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
    return Collected(program.removeprefix("footnote-"), span.name, *ids, about, str(span))


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                collector.take(body)
            else:
                collector.webhooks += 1
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
