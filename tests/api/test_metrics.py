"""What is counted moves when it happens, and no more series come of it than Prometheus should store."""

import re
from math import prod

import pytest
from prometheus_client import Counter, Histogram

from api.app import create_app
from footnote.database.leases import LeaseLost
from footnote.errors import DocumentRejected, Unavailable
from footnote.jobs.heartbeat import Yielded
from footnote.runtime import Runtime
from footnote.telemetry import metrics as declared
from tests import driving, metrics
from tests.api.described import document as described
from tests.conftest import Person

pytestmark = pytest.mark.anyio
MOST_SERIES = 500  # of a process
# How many values a label has at most, where several providers are configured.
VALUES = {
    **{"route": 100, "status": 3, "kind": 3, "access": 2, "tool": 12, "outcome": 6, "part": 5, "source": 2},
    **{"answer_status": 4, "generator": 2, "reason": 6, "provider": 3, "step": 3, "lane": 2},
}
# What programs do not do.
PROGRAMS = {
    "api": ("steps_", "chunks_", "refills_", "jobs_", "webhook_"),
    "worker": ("requests_", "mcp_", "refills_", "jobs_", "webhook_"),
    "dispatcher": ("requests_", "mcp_", "steps_"),
}


async def test_an_upload_and_a_question_move_the_metrics(rt: Runtime, alice: Person) -> None:
    before = metrics.of_this_process()
    sent = await alice.client.post("/v1/documents/text", json={"text": "The lamp was lit by Agnes."})
    await driving.run(rt, sent.json()["job"]["id"])
    assert (await alice.client.post("/v1/query", json={"question": "Who lit the lamp?"})).status_code == 200
    moved = metrics.moved(before, metrics.of_this_process())
    expected = {
        'footnote_http_requests_total{route="/v1/documents/text",status="2xx"}': 1,
        'footnote_http_requests_total{route="/v1/query",status="2xx"}': 1,
        'footnote_http_request_seconds_count{access="write"}': 2,
        "footnote_chunks_embedded_total": 1,
        'footnote_question_embeddings_total{source="model"}': 1,
        'footnote_vector_searches_total{kind="exact"}': 1,
        "footnote_first_token_seconds_count": 1,
    }
    for step in ("chunk", "embed", "upsert"):
        expected[f'footnote_steps_total{{lane="small",outcome="done",step="{step}"}}'] = 1
        expected[f'footnote_step_seconds_count{{lane="small",step="{step}"}}'] = 1
    for part in ("embed", "legs", "fusion", "whole"):
        expected[f'footnote_search_seconds_count{{part="{part}"}}'] = 1
    assert {name: moved.get(name) for name in expected} == expected
    assert sum(count for name, count in moved.items() if name.startswith("footnote_queries_total")) == 1


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (DocumentRejected("no_text"), "failed"),
        (Unavailable("provider_unavailable"), "postponed"),
        (LeaseLost("job"), "lost"),
        (Yielded(), "yielded"),
    ],
)
async def test_turns_of_steps_are_counted_by_how_they_end(
    rt: Runtime, alice: Person, monkeypatch: pytest.MonkeyPatch, error: Exception, outcome: str
) -> None:
    async def ends(*_: object) -> bool:
        raise error

    monkeypatch.setattr("footnote.ingest.small_document.run", ends)
    before = metrics.of_this_process()
    accepted = await driving.accept(rt, alice.tenant_id, "A lamp.")
    await driving.run(rt, accepted.details.job.id)
    moved = metrics.moved(before, metrics.of_this_process())
    turns = {name: count for name, count in moved.items() if name.startswith("footnote_steps_total")}
    assert turns == {f'footnote_steps_total{{lane="small",outcome="{outcome}",step="chunk"}}': 1}


async def test_labels_hold_nothing_that_requests_choose(rt: Runtime, alice: Person) -> None:
    """Each operation, with ids and keys that should be in no label."""
    await driving.ready(rt, alice.tenant_id, "The lamp was lit by Agnes.", "canary.txt")
    for path, methods in described()["paths"].items():
        for method in methods:
            for headers in ({}, {"Authorization": "Bearer fn_canary_canary"}):
                address = re.sub(r"\{.*?\}", "canary", path)
                await alice.client.request(method.upper(), f"{address}?q=canary", headers=headers)
    found = [name for name in metrics.of_this_process() if name.startswith("footnote_")]
    assert [name for name in found if "canary" in name or alice.tenant_id in name] == []
    assert {label for name in found for label in re.findall(r'(\w+)="', name)} <= VALUES.keys() | {"le"}


def test_no_process_has_too_many_series(rt: Runtime) -> None:
    """If every operation was answered, refused and failed, and everything else happened, too."""
    routes = {route.path for route in create_app(rt.settings).state.routes}
    values = VALUES | {"route": len(routes) + 10}  # those of the page and of the documentation

    def series(metric: Counter | Histogram) -> int:
        each = len(metric._upper_bounds) + 2 if isinstance(metric, Histogram) else 1
        return each * prod(values[label] for label in metric._labelnames) // (3 if "tool" in metric._labelnames else 1)

    all_ = {name: each for name, each in vars(declared).items() if isinstance(each, Counter | Histogram)}
    for program, others in PROGRAMS.items():
        counted = {name: series(each) for name, each in all_.items() if not name.startswith(others)}
        assert sum(counted.values()) < MOST_SERIES, (program, counted)
