"""One log line for each request: caller, route and result, and nothing of its content."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from footnote.runtime import Runtime
from tests import driving
from tests.api.test_headers import api_with
from tests.conftest import Person

pytestmark = pytest.mark.anyio
FIELDS = {"method", "route", "status", "ms", "request_id", "tenant_id", "key_id", "bytes_in", "bytes_out"}
ALWAYS = {"event", "level", "logger", "timestamp"}


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    said = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return [line for line in said if line["event"] == "request"]


async def test_each_request_is_one_line_however_it_ends(
    rt: Runtime, alice: Person, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    document_id = await driving.ready(rt, alice.tenant_id, "The lamp burns colza oil.")
    chosen = rt.settings.model_copy(update={"writes_per_minute": 1})
    async with api_with(replace(rt, settings=chosen), alice) as client:
        sent = [
            await client.get(f"/v1/documents/{document_id}/chunks?limit=7"),
            await client.get("/v1/documents/doc_unknown"),
            await client.get(f"/nowhere/{document_id}"),
            await client.patch(f"/v1/documents/{document_id}/chunks"),
            await client.get("/v1/jobs", headers={"Authorization": "Bearer fn_wrong"}),
            await client.post("/v1/query", json={"question": "Which oil?"}),
            await client.post("/v1/query", json={"question": "Which oil?", "stream": True}),
            await client.post("/v1/search", content=b"{"),
            await client.post("/v1/search", content=b"x" * (chosen.max_json_bytes + 1)),
            await client.request("ODD", "/v1/jobs"),
            await client.post("/v1/tokens"),
            await client.post("/v1/tokens"),
            await client.get("/healthz"),
            await client.get("/readyz"),
            await client.get("/metrics"),
        ]
    found = lines(caplog)
    document, query = "/v1/documents/{document_id}", "/v1/query"
    assert [(line["method"], line["route"], line["status"]) for line in found] == [
        ("GET", document + "/chunks", 200),
        ("GET", document, 404),
        ("GET", None, 404),
        ("PATCH", document + "/chunks", 405),
        ("GET", "/v1/jobs", 401),
        ("POST", query, 200),
        ("POST", query, 200),
        ("POST", "/v1/search", 422),
        ("POST", None, 413),
        ("other", "/v1/jobs", 405),
        ("POST", "/v1/tokens", 201),
        ("POST", "/v1/tokens", 429),
    ]
    for line, answer in zip(found, sent, strict=False):
        assert set(line) == FIELDS | ALWAYS
        assert line["request_id"] == answer.headers["x-request-id"]
        assert line["bytes_out"] == len(answer.content)
        assert line["ms"] > 0
        assert not [name for name in ("oil", "limit=7", document_id, "doc_unknown", "wrong") if name in str(line)]
    known = [index for index, line in enumerate(found) if line["tenant_id"] == alice.tenant_id and line["key_id"]]
    assert known == [0, 1, 5, 6, 7, 10, 11]
    assert found[5]["bytes_in"] == len(b'{"question":"Which oil?"}')


async def test_health_checks_are_logged_only_at_debug_level(alice: Person, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await alice.client.get("/healthz")
    assert [(line["route"], line["level"]) for line in lines(caplog)] == [("/healthz", "debug")]


async def test_what_a_request_logs_on_its_way_has_its_ids(
    alice: Person, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("footnote.documents.list_documents", broken)
    answer = await alice.client.get("/v1/documents")
    (failed,) = [record.msg for record in caplog.records if record.levelname == "ERROR"]
    assert failed["request_id"] == answer.headers["x-request-id"]  # type: ignore[index]
    assert failed["tenant_id"] == alice.tenant_id  # type: ignore[index]
    assert failed["key_id"]  # type: ignore[index]


async def test_lines_of_a_step_have_the_ids_of_job_document_and_step(
    rt: Runtime, alice: Person, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    accepted = await driving.accept(rt, alice.tenant_id, "The lamp burns colza oil.")
    job_id, document_id = accepted.details.job.id, accepted.details.document.id
    await asyncio.gather(driving.run(rt, job_id))
    done = [record.msg for record in caplog.records if isinstance(record.msg, dict) and "step" in record.msg]
    assert [(line["job_id"], line["document_id"], line["step"]) for line in done] == [
        (job_id, document_id, step) for step in ("chunk", "embed", "upsert")
    ]
