"""What traces cost: nothing where they are off, and few requests where they are on."""

import subprocess
import sys
from typing import Any

import pytest
from opentelemetry.sdk.trace import export

from footnote.settings import Settings
from footnote.telemetry import traces
from tests.collecting import collecting

OFF = """
import sys
from footnote.settings import Settings
from footnote.telemetry import traces
with traces.exporting("api", Settings(_env_file=None)):
    assert traces.begin("request") is None
    assert traces.traceparent() is None
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""


def test_nothing_is_imported_while_they_are_off() -> None:
    done = subprocess.run([sys.executable, "-c", OFF], env={}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_sdk_says_how_often_spans_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    class Noting(export.BatchSpanProcessor):
        def __init__(self, exporter: export.SpanExporter, **options: Any) -> None:
            given.update(options)
            super().__init__(exporter, **options)

    monkeypatch.setattr(export, "BatchSpanProcessor", Noting)
    with collecting() as collector:
        settings = Settings(_env_file=None, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
        with traces.exporting("api", settings):
            for _ in range(100):
                traces.end(traces.begin("request", "", current=False))
        assert (len(collector.spans), collector.requests) == (100, 1)
    assert given == {}
