"""Headers of every answer: rate limits, browser security, and access from other origins."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from api.app import create_app
from footnote import documents
from footnote.providers import GenerationRequest, GeneratorEvent, Token
from footnote.runtime import Runtime
from footnote.tenancy import keys
from tests import SAMPLES, driving
from tests.api.test_errors import problem
from tests.conftest import Person
from tests.fakes import FakeGenerator

pytestmark = pytest.mark.anyio
ORIGIN = "https://app.example.com"


@asynccontextmanager
async def api_with(rt: Runtime, alice: Person, **settings: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """Alice at an API with other settings."""
    app = create_app(runtime=replace(rt, settings=rt.settings.model_copy(update=settings)))
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://footnote", headers=alice.client.headers) as client,
    ):
        yield client


# -- rate limits ---------------------------------------------------------------------------------------------


async def test_a_key_over_its_rate_limit_gets_retry_after(rt: Runtime, alice: Person, bob: Person) -> None:
    async with api_with(rt, alice, queries_per_minute=2) as client:
        search = {"query": "anything"}
        for left in (1, 0):
            answer = await client.post("/v1/search", json=search)
            assert answer.status_code == 200
            assert answer.headers["ratelimit-policy"] == '"query";q=2;w=60'
            assert re.fullmatch(rf'"query";r={left};t=\d+', answer.headers["ratelimit"])
        answer = await client.post("/v1/search", json=search)
        problem(answer, 429, "rate_limited")
        assert 0 < int(answer.headers["retry-after"]) <= 30
        assert answer.headers["ratelimit"] == f'"query";r=0;t={answer.headers["retry-after"]}', "the same moment"

        other = {"Authorization": bob.client.headers["authorization"]}
        assert (await client.post("/v1/search", json=search, headers=other)).status_code == 200
        reading = await client.get("/v1/documents/doc_unknown")
        assert reading.status_code == 404
        assert reading.headers["ratelimit-policy"] == '"read";q=30000;w=60', "errors carry it, too"


async def test_a_key_may_have_limits_of_its_own(rt: Runtime, alice: Person) -> None:
    async with rt.transaction() as session:
        _, slow = await keys.create(session, alice.tenant_id, "slow", rates={"read": 1, "query": 0})
    given: dict[str, Any] = {"headers": {"Authorization": f"Bearer {slow}"}}
    assert (await alice.client.get("/v1/jobs", **given)).status_code == 200
    problem(await alice.client.get("/v1/jobs", **given), 429, "rate_limited")
    unlimited = await alice.client.post("/v1/search", json={"query": "x"}, **given)
    assert unlimited.status_code == 200
    assert "ratelimit" not in unlimited.headers
    uploaded = await alice.client.post("/v1/documents/text", json={"text": "Words."}, **given)
    assert uploaded.headers["ratelimit-policy"] == '"upload";q=6000;w=60'


async def test_running_requests_of_a_tenant_are_limited_until_their_answers_are_sent(
    rt: Runtime, alice: Person, bob: Person, charlie: Person
) -> None:
    said, heard = asyncio.Event(), asyncio.Event()

    class Halting(FakeGenerator):
        async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
            yield Token("Half an answer, ")
            said.set()
            await heard.wait()
            yield Token("and the other half.")

    await driving.ready(rt, alice.tenant_id, "Half an answer is better than none.")
    async with api_with(replace(rt, generator=Halting()), alice, requests_at_once=1, least_evidence=0) as client:
        question = {"question": "What is half an answer?", "stream": True}
        answering = asyncio.create_task(client.post("/v1/query", json=question))
        await said.wait()
        of_bob, of_charlie = [
            await client.get("/v1/jobs", headers={"Authorization": f"Bearer {each.key}"}) for each in (bob, charlie)
        ]
        assert problem(of_bob, 429, "too_many_at_once")["retry_after"] == 1
        assert of_charlie.status_code == 200, "another tenant's place"
        heard.set()
        assert "other half" in (await answering).text
        problem(await client.get("/v1/documents/doc_unknown"), 404)
        assert (await client.get("/v1/jobs")).status_code == 200
    assert not rt.in_flight


# -- headers -------------------------------------------------------------------------------------------------


def assert_safe(answer: httpx2.Response) -> None:
    headers = answer.headers
    assert headers.get_list("x-content-type-options") == ["nosniff"]
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    [policy] = headers.get_list("content-security-policy")
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    [cached] = headers.get_list("cache-control")
    assert cached.startswith(("no-store", "no-cache", "private")) or answer.url.path.startswith("/docs/")
    assert "sandbox" in policy or answer.url.path.startswith("/docs")
    assert "access-control-allow-origin" not in headers
    assert "strict-transport-security" not in headers


async def test_every_answer_is_safe_in_a_browser(rt: Runtime, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    page = b"<html><body><script>alert(document.domain)</script><p>Words enough to be read.</p></body></html>"
    html = await driving.ready(rt, alice.tenant_id, page.decode(), "evil.html")
    pdf = await driving.put(rt, alice.tenant_id, (SAMPLES / "handbook.pdf").read_bytes(), "handbook.pdf")
    async with rt.for_tenant(alice.tenant_id).transaction() as session:
        made = await documents.accept(session, rt, pdf)
    await driving.run(rt, made.details.job.id)

    content = await alice.client.get(f"/v1/documents/{html}/content")
    assert (content.status_code, content.content) == (200, page)
    assert content.headers["content-disposition"].startswith("attachment;")
    picture = await alice.client.get(f"/v1/documents/{made.details.document.id}/pages/1.webp?width=400")
    assert picture.headers["content-type"] == "image/webp"
    events = await alice.client.get(f"/v1/documents/{html}/events")
    assert events.headers["content-type"].startswith("text/event-stream")
    for answer in (content, picture, events):
        assert_safe(answer)

    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("footnote.documents.list_documents", broken)
    asked: list[tuple[str, str, dict[str, Any], int]] = [
        ("GET", "/v1/documents", {}, 500),
        ("GET", "/v1/jobs", {"headers": {"Authorization": ""}}, 401),
        ("GET", "/nowhere", {}, 404),
        ("OPTIONS", "/v1/documents", {"headers": {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}}, 405),
        ("POST", "/v1/search", {"content": b"{"}, 422),
        ("POST", "/v1/search", {"content": b"x" * 10**6}, 413),
        ("GET", "/metrics", {}, 200),
        ("GET", "/docs", {}, 200),
        ("GET", "/docs/swagger-ui.css", {}, 200),
    ]
    for method, path, given, status in asked:
        answer = await alice.client.request(method, path, **given)
        assert answer.status_code == status, answer.text
        assert_safe(answer)


async def test_hsts_only_where_it_is_wanted(rt: Runtime, alice: Person) -> None:
    async with api_with(rt, alice, hsts_seconds=3600) as client:
        for path in ("/healthz", "/nowhere"):
            answer = await client.get(path)
            assert answer.headers["strict-transport-security"] == "max-age=3600; includeSubDomains"


async def test_only_listed_origins_may_read_answers(
    rt: Runtime, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("footnote.documents.list_documents", broken)
    async with api_with(rt, alice, cors_origins=f"{ORIGIN}/, https://other.example.com") as client:
        asking = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
        asking["Access-Control-Request-Headers"] = "authorization,content-type,idempotency-key,x-stainless-os"
        allowed = await client.options("/v1/search", headers=asking)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == ORIGIN
        assert "access-control-allow-credentials" not in allowed.headers
        assert allowed.headers["x-content-type-options"] == "nosniff"
        for path, status in (("/v1/jobs", 200), ("/v1/jobs/job_x", 404), ("/v1/documents", 500)):
            answer = await client.get(path, headers={"Origin": ORIGIN})
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            assert "RateLimit" in answer.headers["access-control-expose-headers"]
        for origin in ("https://evil.example.com", f"{ORIGIN}.evil.com", "null", "http://app.example.com"):
            refused = await client.options("/v1/search", headers={**asking, "Origin": origin})
            assert refused.status_code == 400
            answer = await client.get("/v1/jobs", headers={"Origin": origin})
            assert "access-control-allow-origin" not in {**refused.headers, **answer.headers}


# -- /docs ---------------------------------------------------------------------------------------------------


async def test_the_documentation_needs_no_other_server_and_no_inline_script(alice: Person) -> None:
    page = await alice.client.get("/docs")
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert "<script>" not in page.text
    assert "<style" not in page.text
    for path in named:
        if path != "data:,":
            assert path.startswith("/")
            asset = await alice.client.get(path)
            assert asset.status_code == 200
            assert asset.headers["content-type"].split(";")[0] in ("text/javascript", "text/css")
    [script] = [path for path in named if path.endswith("docs.js")]
    [schema] = re.findall(r'url: "([^"]+)"', (await alice.client.get(script)).text)
    assert (await alice.client.get(schema)).json()["info"]["title"] == "Footnote"
    assert (await alice.client.get("/docs/../app.py")).status_code == 404
    assert (await alice.client.get("/docs/core.py")).status_code == 422


async def test_the_documentation_can_be_switched_off(rt: Runtime, alice: Person) -> None:
    async with api_with(rt, alice, docs="off") as client:
        for path in ("/docs", "/docs/docs.js", "/docs/swagger-ui.css", "/openapi.json"):
            problem(await client.get(path), 404, "not_found")
        assert (await client.get("/v1/jobs")).status_code == 200
