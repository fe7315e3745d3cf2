"""No statement reads more because a tenant has more: of routes, of MCP tools, of steps of the pipeline, of loops.

Each is run with a tenant that has 20,000 documents, and what its statements read is counted (`metering`). What must
read as much as there is stands in `GROWS`, with the reason.
"""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from api.app import create_app
from api.mcp.tools import TOOLS
from api.openai import PREFIX
from footnote import documents, ingest, jobs
from footnote.database.driver import driver
from footnote.documents import deletion
from footnote.jobs import demand
from footnote.runtime import Runtime
from footnote.tenancy import keys
from tests import driving
from tests.api.described import document as described
from tests.api.described import surface as described_surface
from tests.conftest import committing, new_database, run_sql, settings_of
from tests.fakes import FakeEmbedder
from tests.growth import periodic
from tests.growth.crowd import DIMENSIONS, QUEUED, Crowd, gather, grow, numbered
from tests.growth.metering import Meter, Reading, meter  # noqa: F401  a fixture
from tests.growth.periodic import Periodic
from tests.growth.requests import IDS, LAST, NOT_ASKED, REFUSED, REQUESTS
from tests.growth.surface_requests import (
    READINGS,
    SURFACE_IDS,
    SURFACE_LAST,
    SURFACE_REFUSED,
    SURFACE_REQUESTS,
    TOOL_CALLS,
)
from worker import background_tasks

pytestmark = pytest.mark.anyio

MOST_ROWS = 3_000  # and index entries; the tenant has more in every table that grows
MOST_BLOCKS = 3_000  # a page of 100 looks some 15 up for each row
SEARCH_ROWS, SEARCH_BLOCKS = 3_000, 5_000  # with 1,000 jobs looked at
PAGE_BLOCKS = 150  # of a page with one document: some 30, and what the planner may read at the end of an index

# By what is done: the beginning of its name, a part of the statement, and why it may read that much.
GROWS = {
    ("", "INSERT INTO chunk"): "a vector index, which reads as many neighbours of a vector as it is told to",
    ("", "chunk_of_tenant"): "search: what a question may read is bounded by its legs and their settings",
    (
        "",
        "document_of_tenant",
    ): "search: it counts the documents that a filter lets through, and remembers a large count",
    ("list_documents ?limit=5&filter=", "FROM document"): "a filter on metadata reads what it passes over",
    ("list_jobs ?status=failed&error_code=", "FROM job"): "so does one by step, code or collection, of jobs in a state",
    ("list_vector_store_files ?limit=1&filter=", "WITH made"): "and a filter on the status reads what it passes over",
    ("list_vector_store_files ?limit=100&filter=", "WITH made"): "the same",
    ("", "SELECT document.collection_id, CASE WHEN job.re"): "it counts what is not completed of a store, by status",
    ("chore _purge", "DELETE FROM cached_answer"): "it deletes all that are too old",
    ("delete_webhook_endpoint", "DELETE FROM webhook_delivery"): "it deletes them all",
    ("delete_webhook_endpoint", "DELETE FROM webhook_endpoint"): "it deletes them all",
}


class Metered(Runtime):
    """Looks at nothing outside of a transaction, where it could not be counted."""

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[Any]:
        async with self.transaction() as session:
            yield await driver(session)


@pytest.fixture(scope="module")
async def rt(
    migrated_url: str,
    redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    anyio_backend: str,
    meter: Meter,  # noqa: F811
) -> AsyncIterator[Runtime]:
    async with new_database(migrated_url) as url:
        settings = settings_of(url, redis_url, tmp_path_factory.mktemp("crowd"))
        async with committing(settings) as rt:
            assert isinstance(rt.embedder, FakeEmbedder)
            rt.embedder.dimensions = DIMENSIONS
            yield Metered(**vars(rt))


@pytest.fixture(scope="module")
async def gathered(rt: Runtime) -> Crowd:
    """With a tenth of its rows, at first."""
    found = await gather(rt)
    await run_sql(str(rt.settings.database_url), "VACUUM ANALYZE")
    return found


@pytest.fixture(scope="module")
def few_counted() -> Iterator[None]:
    """Metrics count fewer jobs than wait here, also at first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demand, "COUNTED", QUEUED // 20)
        yield


@pytest.fixture(scope="module")
async def walks(
    rt: Runtime,
    gathered: Crowd,
    client: httpx2.AsyncClient,
    few_counted: None,
    meter: Meter,  # noqa: F811
) -> tuple[Periodic, Periodic]:
    """What periodic statements read with a tenth of the rows, and with all of them."""
    small = await periodic.measured(rt, client, gathered.tenant_id, meter)
    await grow(rt, gathered)
    await run_sql(str(rt.settings.database_url), "VACUUM ANALYZE")
    return small, await periodic.measured(rt, client, gathered.tenant_id, meter)


@pytest.fixture(scope="module")
def crowd(gathered: Crowd, walks: object) -> Crowd:
    """With all rows."""
    return gathered


@pytest.fixture(scope="module")
async def client(rt: Runtime, gathered: Crowd) -> AsyncIterator[httpx2.AsyncClient]:
    async with rt.transaction() as session:
        key = (await keys.create(session, gathered.tenant_id, "alice"))[1]
    app = create_app(runtime=rt)
    app.state.runtime = rt
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://footnote", headers=headers) as client:
        yield client
    await app.state.mcp.close()


def grown(meter: Meter) -> list[str]:  # noqa: F811
    """The statements that read too much, of all that were counted since it was asked last."""
    assert meter.apart == [], "what is not in a transaction is not counted"
    readings, meter.readings = meter.readings, []
    assert readings
    much = (each for each in readings if each.rows > MOST_ROWS or each.blocks > MOST_BLOCKS)
    return list(dict.fromkeys(str(each) for each in much if not may_grow(each)))


def may_grow(reading: Reading) -> bool:
    return any(reading.what.startswith(what) and part in reading.sql for what, part in GROWS)


# -- steps of the pipeline -----------------------------------------------------------------------------------


async def test_no_statement_of_a_step_of_the_pipeline_grows(rt: Runtime, crowd: Crowd, meter: Meter) -> None:  # noqa: F811
    tenant = crowd.tenant_id
    with meter.of("a first version"):
        first = await driving.ready(rt, tenant, driving.paragraphs(9, "wick"), external_id="steps")
    with meter.of("a second version"):
        await driving.ready(rt, tenant, driving.paragraphs(8, "wick"), external_id="steps")
    with meter.of("a version of a generated document"):
        await driving.ready(rt, tenant, driving.paragraphs(3, "oil"), external_id="external " + "30".rjust(25, "0"))
    with meter.of("re-ingestion"):
        async with rt.for_tenant(tenant).transaction() as session:
            found = await documents.get(session, first)
            await documents.reingest(session, found.document, found.version)
        assert (await driving.run(rt, found.document.job_id)).state == "succeeded"
    with meter.of("cancelled, retried"):
        begun = await driving.accept(rt, tenant, driving.paragraphs(4, "glass"))
        assert await ingest.run_step(rt, begun.details.job.id, "chunk")
        async with rt.for_tenant(tenant).transaction() as session:
            await jobs.cancel(session, begun.details.job.id)
            await jobs.retry(session, begun.details.job.id)
        assert (await driving.run(rt, begun.details.job.id)).state == "succeeded"
    with meter.of("deletion"):
        await deletion.remove(rt.for_tenant(tenant), first)
        await deletion.remove(rt.for_tenant(tenant), numbered("doc", 31))
    assert grown(meter) == []


# -- loops ---------------------------------------------------------------------------------------------------


async def test_no_statement_of_a_loop_grows(
    rt: Runtime,
    crowd: Crowd,
    client: httpx2.AsyncClient,
    walks: tuple[Periodic, Periodic],
    meter: Meter,  # noqa: F811
) -> None:
    small, large = walks
    names = periodic.named(rt, client, crowd.tenant_id).keys()
    assert {what for what, _ in large} == {what for what, _ in small} == names
    assert periodic.grown(small, large) == []
    meter.readings = list(large.values())
    await driving.ready(rt, crowd.tenant_id, "A lamp of a collection that goes.", collection="going")
    with meter.of("a collection is deleted"):
        assert (await client.delete("/v1/collections/going")).is_success
        while await background_tasks.run_next(rt.operator):
            pass
    assert grown(meter) == []


# -- statistics from when there was next to nothing ----------------------------------------------------------


_NEARLY_EMPTY = """
DELETE FROM pg_statistic WHERE starelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace);
UPDATE pg_class SET reltuples = 1, relpages = pg_relation_size(oid) / 8192
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""


async def test_joins_of_a_search_begin_with_what_it_found_where_tables_were_small(
    rt: Runtime,
    crowd: Crowd,
    client: httpx2.AsyncClient,
    meter: Meter,  # noqa: F811
) -> None:
    """What is shown of the hits, and which documents are unfinished."""
    await run_sql(str(rt.settings.database_url), _NEARLY_EMPTY)
    try:
        for mode in ("hybrid", "vector", "keyword"):
            with meter.of(mode):
                answer = await client.post("/v1/search", json={"query": "lamp 17", "mode": mode})
            assert answer.json()["data"]
    finally:
        await run_sql(str(rt.settings.database_url), "ANALYZE")
    readings, meter.readings = meter.readings, []
    for part in ("FROM fused f", "FROM chosen"):
        joins = [each for each in readings if part in each.sql]
        assert {each.what for each in joins} == {"hybrid", "vector", "keyword"}
        assert [str(each) for each in joins if each.rows > SEARCH_ROWS or each.blocks > SEARCH_BLOCKS] == []


# -- MCP -----------------------------------------------------------------------------------------------------


async def test_no_statement_of_a_tool_grows(client: httpx2.AsyncClient, meter: Meter) -> None:  # noqa: F811
    assert TOOL_CALLS.keys() == TOOLS.keys()
    for name, tool in TOOLS.items():
        assert {argument for call in TOOL_CALLS[name] for argument in call} == tool.arguments.model_fields.keys()
    calls = [("tools/call", {"name": name, "arguments": each}) for name, calls in TOOL_CALLS.items() for each in calls]
    for method, params in (*calls, *READINGS):
        with meter.of(f"{method} {params.get('name', '')}"):
            asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            headers = {"Accept": "application/json, text/event-stream"}
            answer = (await client.post("/mcp", json=asked, headers=headers)).text
        assert '"result":' in answer, (method, params, answer)
        assert '"isError":true' not in answer, (method, params, answer)
    assert grown(meter) == []


# -- routes --------------------------------------------------------------------------------------------------


ALL_REQUESTS, ALL_REFUSED = REQUESTS | SURFACE_REQUESTS, REFUSED | SURFACE_REFUSED
ENDING = (*SURFACE_LAST, *LAST)


def operations() -> dict[str, tuple[str, str, Any]]:
    """By id: method, path and description, also for OpenAI's clients; those that end something come last."""
    found = {
        operation["operationId"]: (method, path, operation)
        for document in (described(), described_surface())
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    return dict(sorted(found.items(), key=lambda each: ENDING.index(each[0]) + 1 if each[0] in ENDING else 0))


def test_every_parameter_of_every_operation_is_asked_for() -> None:
    found = operations()
    assert ALL_REQUESTS.keys() <= found.keys()
    for name, (_method, _path, operation) in found.items():
        wanted = {each["name"] for each in operation.get("parameters", []) if each["in"] == "query"}
        asked = " ".join(behind for behind, _ in ALL_REQUESTS.get(name, []))
        assert wanted <= set(re.findall(r"[?&]([\w\[\]]+)=", asked)), name
        assert name in ALL_REQUESTS or not operation.get("requestBody", {}).get("required"), name


async def test_no_statement_of_a_route_grows(
    rt: Runtime,
    crowd: Crowd,
    client: httpx2.AsyncClient,
    meter: Meter,  # noqa: F811
) -> None:
    await driving.ready(rt, crowd.tenant_id, "A lamp of a collection that is left.", collection="leaving")
    task = (await deletion.begin_collection(rt.for_tenant(crowd.tenant_id), "leaving")).id
    natively = IDS | {"task_id": task}
    surface = SURFACE_IDS | {"vector_store_id": crowd.collection_id.replace("col_", "vs_")}
    beside = (await client.get("/v1/collections/beside")).json()["id"].replace("col_", "vs_")
    answers = {}
    for name, (method, path, _operation) in operations().items():
        ids = surface if path.startswith(PREFIX) else natively
        if name == "delete_vector_store":
            ids = surface | {"vector_store_id": beside}  # the crowd's is deleted natively
        for behind, given in [] if name in NOT_ASKED else ALL_REQUESTS.get(name, [("", {})]):
            with meter.of(f"{name} {behind}"):
                answer = await client.request(method, path.format(**ids) + behind, **given)
            if not answer.is_success and answer.status_code != ALL_REFUSED.get(name):
                answers[name + behind] = answer.text
    pages = [each for each in meter.readings if each.what == "list_documents ?limit=1" and "page" in each.sql]
    assert pages
    assert [str(each) for each in pages if each.blocks > PAGE_BLOCKS] == []
    assert answers == {}
    assert grown(meter) == []
