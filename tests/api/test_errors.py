"""Every error is a problem document."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import update
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.app import create_app
from api.errors import STATUS
from footnote import errors
from footnote.database.ids import new_id
from footnote.models import ApiKey
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings
from footnote.tenancy import keys
from tests.api.described import documented_codes
from tests.conftest import Person
from tests.parsers import parser_of

pytestmark = pytest.mark.anyio


def problem(answer: httpx2.Response, status: int, code: str | None = None) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (
        {"type", "title", "status", "detail", "code", "request_id"}
        <= set(body)
        <= {*("type", "title", "status", "detail", "code", "request_id", "errors", "retry_after")}
    )
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["type"] == f"urn:footnote:error:{body['code']}"
    assert code is None or body["code"] == code, answer.text
    if status in (429, 503, 504):
        assert int(answer.headers["retry-after"]) == body.get("retry_after", 1) > 0
    described = documented_codes(answer.request.method, answer.request.url.path, status)
    assert described is None or body["code"] in described, f"{answer.request!r} does not describe {body['code']}"
    return body


def kinds(of: type[errors.FootnoteError]) -> set[str]:
    children = [each for each in of.__subclasses__() if each.__module__ == errors.__name__]
    return {of.kind}.union(*(kinds(each) for each in children))


def test_every_kind_has_a_status() -> None:
    assert set(STATUS) == kinds(errors.FootnoteError)
    assert all(400 <= status < 600 for status in STATUS.values())


# -- who asks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"Bearer fn_")],
        [(b"authorization", b"Bearer fn__")],
        [(b"authorization", b"Bearer fn_0123456789ab_wrong")],
        [(b"authorization", b"Bearer fn_\xff\xfe_\xe9\xff")],
        [(b"authorization", b"Bearer \xf0\x9f\x94\x91")],
        [(b"authorization", b"Bearer fn_" + b"a" * 20_000 + b"_x")],
        [(b"authorization", b"Bearer ' OR 1=1 --_x_y")],
        [(b"authorization", b"Basic dXNlcjpwYXNz")],
        [(b"authorization", b"\x00")],
        [(b"x-api-key", b"fn_0_\xff")],
    ],
)
async def test_no_or_no_good_key(alice: Person, headers: list[tuple[bytes, bytes]]) -> None:
    transport = alice.client._transport
    async with httpx2.AsyncClient(transport=transport, base_url="http://footnote") as stranger:
        for method in ("GET", "POST"):
            request = stranger.build_request(method, "/v1/documents")
            request.headers = httpx2.Headers([*request.headers.raw, *headers])
            answer = await stranger.send(request)
            problem(answer, 401, "invalid_api_key")
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_wrong_secret_revoked_and_expired_keys_are_refused_alike(rt: Runtime, alice: Person) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    bodies = []
    async with rt.transaction() as session:
        revoked, revoked_text = await keys.create(session, alice.tenant_id, "revoked")
        expired, expired_text = await keys.create(session, alice.tenant_id, "expired")
        await session.execute(update(ApiKey).where(ApiKey.id == revoked.id).values(revoked_at=past))
        await session.execute(update(ApiKey).where(ApiKey.id == expired.id).values(expires_at=past))
    for key in (revoked_text, expired_text, alice.key[:-1] + "!", alice.key + "x", alice.key.upper()):
        answer = await alice.client.get("/v1/jobs", headers={"Authorization": f"Bearer {key}"})
        body = problem(answer, 401, "invalid_api_key")
        bodies.append({**body, "request_id": ""})
    assert all(body == bodies[0] for body in bodies)


async def test_both_headers_carry_a_key(alice: Person) -> None:
    for headers in ({"Authorization": f"bearer  {alice.key} "}, {"Authorization": "", "X-API-Key": alice.key}):
        assert (await alice.client.get("/v1/jobs", headers=headers)).status_code == 200


async def test_a_reader_may_not_write(bob: Person) -> None:
    posts = [
        bob.client.post("/v1/documents", files={"file": ("a.txt", b"text")}),
        bob.client.post("/v1/jobs/job_x/cancel"),
        bob.client.post("/v1/jobs/job_x/retry"),
    ]
    for post in posts:
        problem(await post, 403, "missing_scope")
    assert (await bob.client.get("/v1/documents")).json() == {"data": [], "next_cursor": None, "total": None}


# -- what is asked for ---------------------------------------------------------------------------------------


async def test_unknown_paths_and_methods(alice: Person) -> None:
    for path in ("/v1", "/v1/nothing", "/v1/documents/", "/%00", "/v1/documents/doc_x/pages"):
        problem(await alice.client.get(path), 404)
    for method, path in (("PUT", "/v1/documents"), ("DELETE", "/v1/jobs"), ("GET", "/v1/search")):
        answer = await alice.client.request(method, path)
        problem(answer, 405, "method_not_allowed")
        assert answer.headers["allow"]


@pytest.mark.parametrize("bad", ["%00", "a%00b", "%ED%A0%80", "%FF", "x" * 65, "'", "..", "%F0%9F%98%80"])
async def test_odd_ids_never_give_a_server_error(alice: Person, bad: str) -> None:
    for path in ("documents/{}", "documents/{}/status", "documents/{}/chunks", "jobs/{}", "documents/{}/events"):
        answer = await alice.client.get(f"/v1/{path.format(bad)}")
        if not (bad == ".." and answer.status_code == 200):
            problem(answer, answer.status_code)
            assert answer.status_code in (404, 422)


@pytest.mark.parametrize(
    "query",
    [
        "cursor=%00",
        "collection=%00",
        "external_id=a%00",
        "cursor=" + "x" * 65,
        "limit=0",
        "limit=101",
        "limit=1e9",
        "limit=99999999999999999999999",
        "status=lost",
        "status=ready&status=%00",
    ],
)
async def test_odd_queries(alice: Person, query: str) -> None:
    problem(await alice.client.get(f"/v1/documents?{query}"), 422, "invalid_request")


LISTS = (
    "audit",
    "collections",
    "conversations",
    "documents",
    "documents/refused",
    "jobs",
    "keys",
    "webhook_endpoints",
)


@pytest.mark.parametrize("path", LISTS)
async def test_a_cursor_of_another_list_is_refused(alice: Person, path: str) -> None:
    for cursor in ("zzz", "msg_" + "0" * 26, "doc_" + "z" * 25, "0"):
        problem(await alice.client.get(f"/v1/{path}?cursor={cursor}"), 422, "invalid_cursor")


async def test_odd_cursors_of_chunks_and_pages(alice: Person) -> None:
    problem(await alice.client.get("/v1/documents/doc_x/chunks?cursor=-1"), 422, "invalid_cursor")
    problem(await alice.client.get("/v1/documents/doc_x/chunks?cursor=%D9%A1"), 422, "invalid_cursor")
    for number in ("0", "-1", "1000001", "one", "1.5", "99999999999999999999"):
        problem(await alice.client.get(f"/v1/documents/doc_x/pages/{number}"), 422, "invalid_request")


@pytest.mark.parametrize("path", ["/v1/search", "/v1/query"])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", None),
        (b"{", "invalid_json"),
        (b"\xff\xfe{}", None),
        (b"null", "invalid_request"),
        (b"[]", "invalid_request"),
        (b'{"Q": NaN}', None),
        (b'{"Q": "a", "top_k": NaN}', None),
        (b'{"Q": "a", "top_k": 1e400}', None),
        (b'{"Q": "a", "top_k": -1e400}', None),
        (b'{"Q": "a", "top_k": 1' + b"0" * 5000 + b"}", None),
        (b'{"Q": "\\ud800"}', None),
        (b'{"Q": "a", "\\ud800": 1}', None),
        (b'{"Q": "a", "document_ids": "doc_x"}', "invalid_request"),
        (b'{"Q": "a", "collections": [1]}', "invalid_request"),
        (b'{"Q": "a", "collections": ["a\\u0000"]}', "invalid_request"),
        (b'{"Q": "a", "document_ids": ["a\\u0000"]}', "invalid_request"),
        (b'{"Q": ["a"]}', "invalid_request"),
        (b'{"Q": ""}', "invalid_request"),
        (b'{"Q": " \\n "}', "invalid_request"),
        (b'{"Q": "\\u0000\\u0001 "}', "invalid_request"),
        (b'{"Q": "' + b"x" * 8193 + b'"}', "invalid_request"),
        (b'{"Q": "a", "unknown": 1}', "invalid_request"),
        (b'{"Q": "a", "mode": "magic"}', "invalid_request"),
        (b'{"Q": "a", "top_k": 0}', "invalid_request"),
        (b'{"Q": "a", "top_k": 101}', "invalid_request"),
        (b'{"Q": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", None),
        (b'{"Q": ' * 10_000 + b"1" + b"}" * 10_000, None),
    ],
)
async def test_bad_bodies(alice: Person, path: str, body: bytes, code: str | None) -> None:
    body = body.replace(b"Q", b"query" if path == "/v1/search" else b"question", 1)
    answer = await alice.client.post(path, content=body, headers={"Content-Type": "application/json"})
    problem(answer, 422, code)


async def test_a_body_of_another_type(alice: Person) -> None:
    body = json.dumps({"query": "a"}).encode()
    for kind in ("text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "\x00"):
        problem(await alice.client.post("/v1/search", content=body, headers={"Content-Type": kind}), 422)


# -- what fails ----------------------------------------------------------------------------------------------


async def test_a_parser_that_is_killed_from_outside_may_pass_another_time(alice: Person) -> None:
    long = {"file": ("long.txt", b"one more line of text\n" * 1_000_000)}
    asked = asyncio.create_task(alice.client.post("/v1/documents/estimate", files=long))
    os.kill(await parser_of("self"), signal.SIGKILL)
    answer = await asked
    problem(answer, 503, "parser_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


async def test_an_internal_error_tells_no_details(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (RuntimeError("secret-detail"), KeyError("secret-detail"), RecursionError("secret-detail")):

        async def failing(*_args: Any, error: Exception = error, **_named: Any) -> None:
            raise error

        monkeypatch.setattr("footnote.jobs.listing.list_jobs", failing)
        answer = await alice.client.get("/v1/jobs", headers={"X-Request-ID": "mine-1"})
        problem(answer, 500, "internal_error")
        assert "secret" not in answer.text
        assert answer.headers["x-request-id"] == "mine-1"


@pytest.mark.parametrize("kind", [ConnectionResetError, PoolTimeout])
async def test_a_database_that_is_away(alice: Person, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]) -> None:
    async def failing(*_args: Any, **_named: Any) -> None:
        raise kind("/secret/path")

    monkeypatch.setattr("footnote.jobs.listing.list_jobs", failing)
    answer = await alice.client.get("/v1/jobs")
    problem(answer, 503, "database_unavailable")
    assert "secret" not in answer.text


@pytest.fixture
async def dead_client(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """The API without a Postgres."""
    dead = settings.model_copy(update={"database_url": "postgresql:///footnote?host=/nowhere/at/all&user=x"})
    async with open_runtime(dead) as runtime:
        app = create_app(runtime=runtime)
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        headers = {"Authorization": "Bearer fn_0123456789ab_secret"}
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://footnote", headers=headers) as client,
        ):
            yield client


async def test_everything_without_a_database(dead_client: httpx2.AsyncClient) -> None:
    for path in ("/v1/documents", "/v1/jobs", "/v1/documents/doc_x/events", "/v1/documents/doc_x/content"):
        problem(await dead_client.get(path), 503, "database_unavailable")
    problem(await dead_client.post("/v1/query", json={"question": "a"}), 503, "database_unavailable")
    problem(await dead_client.post("/v1/documents", files={"file": ("a.txt", b"a")}), 503, "database_unavailable")
    assert (await dead_client.get("/healthz")).status_code == (await dead_client.get("/metrics")).status_code == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.RateLimited("provider_unavailable", retry_after=7.2), 503),
        (errors.TimedOut("provider_timeout", retry_after=0.0), 504),
        (errors.ProviderRejected("provider_rejected", "bad key"), 502),
        (errors.Conflict("embedding_model_changed"), 409),
    ],
)
async def test_domain_errors(
    alice: Person, monkeypatch: pytest.MonkeyPatch, error: errors.FootnoteError, status: int
) -> None:
    async def failing(*_args: Any, **_named: Any) -> None:
        raise error

    monkeypatch.setattr("footnote.retrieval.search", failing)
    monkeypatch.setattr("footnote.answering.searching.search", failing)
    for path, body in (
        ("/v1/search", {"query": "a"}),
        ("/v1/query", {"question": "a"}),
        ("/v1/query", {"question": "a", "stream": True}),
    ):
        answer = await alice.client.post(path, json=body)
        problem(answer, status, error.code)
        if error.retry_after == 7.2:
            assert answer.headers["retry-after"] == "8"


# -- request ids ---------------------------------------------------------------------------------------------


async def test_a_well_formed_request_id_is_used(alice: Person) -> None:
    for given in ("abc", "A.b:c_d-1", "x" * 128, new_id("req")):
        answer = await alice.client.get("/v1/jobs/job_unknown", headers={"X-Request-ID": given})
        assert problem(answer, 404, "job_not_found")["request_id"] == given


async def test_any_other_request_id_is_replaced(alice: Person) -> None:
    given: list[bytes] = [b"", b" ", b"a b", b"x" * 129, b"a\r\nX-Evil: 1", b"\xff", b"<script>", b"a\n"]
    for each in given:
        request = alice.client.build_request("GET", "/healthz")
        request.headers = httpx2.Headers([*request.headers.raw, (b"x-request-id", each)])
        answer = await alice.client.send(request)
        assert answer.headers["x-request-id"].startswith("req_")
        assert answer.headers.get_list("x-request-id") == [answer.headers["x-request-id"]]
        assert "x-evil" not in answer.headers
