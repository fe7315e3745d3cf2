"""No statement reads more rows because the tenant has more of them: of routes, steps of the pipeline, and loops."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from api.app import create_app
from footnote import ingest, jobs
from footnote.database.ids import new_id
from footnote.providers.guarded import Embedders
from footnote.queue import make_app
from footnote.runtime import Runtime
from footnote.tenancy import keys
from tests import driving
from tests.api.described import document as described
from tests.conftest import committing, new_database, run_sql, settings_of
from tests.fakes import FakeEmbedder
from tests.growth.crowd import Crowd, gather
from tests.growth.metering import Meter, meter  # noqa: F401  a fixture
from worker import background_tasks, housekeeping
from worker.deliveries import Deliveries
from worker.dispatcher import Dispatcher

pytestmark = pytest.mark.anyio

MOST_ROWS = 3_000
MOST_BLOCKS = 1_000


@pytest.fixture(scope="module")
async def rt(
    migrated_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str, meter: Meter
) -> AsyncIterator[Runtime]:
    async with new_database(migrated_url) as url:
        settings = settings_of(url, redis_url, tmp_path_factory.mktemp("crowd"))
        async with committing(settings) as rt:
            yield rt


@pytest.fixture(scope="module")
async def crowd(rt: Runtime) -> Crowd:
    found = await gather(rt)
    await run_sql(str(rt.settings.database_url), "VACUUM ANALYZE")
    return found


@pytest.fixture(scope="module")
async def client(rt: Runtime, crowd: Crowd) -> AsyncIterator[httpx2.AsyncClient]:
    async with rt.transaction() as session:
        key = (await keys.create(session, crowd.tenant_id, "alice"))[1]
    app = create_app(runtime=rt)
    app.state.runtime = rt
    headers = {"Authorization": f"Bearer {key}"}
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://footnote", headers=headers) as client:
        yield client


FILE = {"files": {"file": ("new.md", b"# A new lamp\n\nIt burns.")}}
ASKED = {"question": "What burns?"}
# By operation: what to put behind the path, and what else to send.
REQUESTS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "upload_document": [("", FILE), ("?dry_run=true", FILE)],
    "list_documents": [
        ("?limit=1", {}),
        ("?limit=100", {}),
        ("?limit=100&cursor=doc_a0000000000000000000000500", {}),
        ("?collection=default", {}),
        ("?collection=other", {}),
        *((f"?status={state}", {}) for state in ("queued", "running", "waiting", "ready", "failed", "cancelled")),
        ("?status=failed&status=ready&collection=default", {}),
        ("?external_id=external 0000000000000000000000004", {}),
        ("?external_id=unknown", {}),
        ("?sha256=" + "ab" * 32, {}),
        ('?limit=5&filter={"type": "eq", "key": "color", "value": "blue"}', {}),
        ('?limit=5&filter={"type": "eq", "key": "n", "value": "none"}', {}),
    ],
    "estimate_document": [("", FILE)],
    "list_refused_uploads": [("", {}), ("?limit=100&cursor=ref_a0000000000000000000000500", {})],
    "upload_raw_file": [("?collection=default&external_id=e&metadata={}", {"content": b"The raw lamp burns."})],
    "create_direct_upload": [("", {"json": {"filename": "d.md", "bytes": 3}})],
    "complete_direct_upload": [("", {})],
    "abort_direct_upload": [("", {})],
    "upload_text": [("", {"json": {"text": "The lamp of a text."}})],
    "upload_from_url": [("", {"json": {"url": "http://127.0.0.1:9/lamp.md"}})],
    "upload_documents": [("", FILE)],
    "update_document": [("", {"json": {"metadata": {"color": "green"}}})],
    "get_document_page": [("?version=1", {})],
    "get_document_page_image": [("?width=200&version=1", {})],
    "get_document_page_highlights": [("?char_start=0&char_end=3&version=1", {})],
    "list_document_chunks": [("?limit=1", {}), ("?cursor=0", {})],
    "create_collection": [("", {"json": {"name": "another"}})],
    "list_collections": [("", {}), ("?limit=2&cursor=col_z", {})],
    "update_collection": [("", {"json": {"metadata": {"of": "lamps"}}})],
    "list_jobs": [
        ("?limit=1", {}),
        ("?limit=100&cursor=job_a0000000000000000000000500", {}),
        *((f"?status={state}", {}) for state in ("queued", "running", "waiting", "succeeded", "failed", "cancelled")),
        ("?status=failed&status=cancelled&error_code=unreadable", {}),
        ("?status=failed&error_code=unknown&step=chunk", {}),
        ("?status=failed&superseded=false&collection=default", {}),
        ("?document_id=doc_a0000000000000000000000007", {}),
        ("?limit=1&created_after=2020-01-01T00:00:00Z", {}),
        ("?limit=1&created_before=2099-01-01T00:00:00Z", {}),
    ],
    "retry_jobs": [("", {"json": {"status": ["failed"], "limit": 2}})],
    "search": [("?explain=true", {"json": {"query": "lamp 17"}})],
    "ask": [("", {"json": ASKED})],
    "ask_batch": [("", {"json": {"questions": [ASKED]}}), ("", {"json": {"questions": [ASKED] * 20}})],
    "get_query_batch": [("?limit=1", {}), ("?cursor=0", {})],
    "create_conversation": [("", {"json": {}})],
    "list_conversations": [("", {}), ("?limit=100&cursor=cnv_a0000000000000000000000500", {})],
    "get_conversation": [("?limit=1", {}), ("?cursor=msg_a00000000000000000000000070", {})],
    "ask_in_conversation": [("", {"json": ASKED})],
    "create_webhook_endpoint": [("", {"json": {"url": "http://127.0.0.1:9/hook", "events": ["document.deleted"]}})],
    "list_webhook_endpoints": [("", {}), ("?limit=2&cursor=whe_z", {})],
    "update_webhook_endpoint": [("", {"json": {"description": "of lamps"}})],
    "test_webhook_endpoint": [("", {})],
    "list_webhook_deliveries": [
        ("?limit=1", {}),
        ("?limit=100&cursor=whd_a0000000000000000000000500", {}),
        *((f"?state={state}", {}) for state in ("pending", "delivered", "failed")),
    ],
    "redeliver_failed_webhooks": [("", {"json": {"since": "2020-01-01T00:00:00Z"}})],
    "get_usage": [("?from=2026-01-01&to=2026-02-01&group=day&group=key&group=model", {})],
    "create_api_key": [("", {"json": {"name": "bob"}})],
    "list_api_keys": [("", {}), ("?limit=100&cursor=key_a0000000000000000000000500", {})],
    "list_audit_events": [
        ("?limit=1", {}),
        ("?limit=100&cursor=aud_a0000000000000000000000500", {}),
        ("?action=document.created&limit=1", {}),
        ("?actor=operator&limit=1", {}),
        ("?object_id=doc_a0000000000000000000000007", {}),
        ("?since=2020-01-01T00:00:00Z&until=2099-01-01T00:00:00Z&order=asc&limit=1", {}),
    ],
    "check_readiness": [("?strict=true", {})],
}
# In the end, because nothing can follow them.
LAST = ("delete_collection", "revoke_api_key", "delete_tenant")


async def test_no_statement_of_a_route_grows_with_the_tenant(
    rt: Runtime, crowd: Crowd, client: httpx2.AsyncClient, meter: Meter
) -> None:
    operations = {
        operation["operationId"]: (method, path, operation)
        for path, methods in described()["paths"].items()
        for method, operation in methods.items()
    }
    assert REQUESTS.keys() <= operations.keys()
    ordered = sorted(operations, key=lambda name: (LAST.index(name) + 1 if name in LAST else 0))
    for name in ordered:
        method, path, operation = operations[name]
        if path.endswith("/events"):
            continue
        for behind, given in REQUESTS.get(name, [("", {})]):
            await ask(rt, crowd, client, meter, name, method, path, behind, given)
    await show(meter)


async def ask(
    rt: Runtime,
    crowd: Crowd,
    client: httpx2.AsyncClient,
    meter: Meter,
    name: str,
    method: str,
    path: str,
    behind: str,
    given: dict[str, Any],
) -> None:
    ids = {
        "document_id": crowd.document(20),
        "number": "1",
        "collection_id": "default",
        "job_id": crowd.job(20 if name != "retry_job" else 1),
        "upload_id": "upl_a" + "7".rjust(25, "0"),
        "task_id": "tsk_none",
        "query_batch_id": "bat_a" + "7".rjust(25, "0"),
        "conversation_id": "cnv_a" + "7".rjust(25, "0"),
        "endpoint_id": "whe_a",
        "delivery_id": "whd_a" + "7".rjust(25, "0"),
        "key_id": "key_a" + "7".rjust(25, "0"),
        "filename": "raw.md",
    }
    address = path.format(**ids) + behind
    if name == "delete_tenant":
        address += "?name=x"
    with meter.of(f"{name} {behind}"):
        answer = await client.request(method, address, **given)
    print(answer.status_code, name, behind, answer.text[:150] if answer.status_code >= 400 else "")


async def show(meter: Meter) -> None:
    print("apart", meter.apart)
    seen = set()
    for each in sorted(meter.readings, key=lambda each: -each.rows):
        if each.rows > 500 or each.blocks > 200:
            if (each.what, each.sql) not in seen:
                seen.add((each.what, each.sql))
                print(each.rows, each.blocks, each.what, "|", each.sql[:230])
