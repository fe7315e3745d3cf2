"""Typical mistakes of a first-time user get an answer that says what to do instead."""

from typing import Any

import httpx2
import pytest

from footnote.errors import Invalid
from footnote.outbound.guard import check_url
from tests.api.test_errors import problem
from tests.conftest import Person

pytestmark = pytest.mark.anyio
JSON = {"Content-Type": "application/json"}
FILE = {"file": ("a.txt", b"words of a text")}


@pytest.mark.parametrize(
    ("method", "path", "request_", "told"),
    [
        ("POST", "/v1/query", {"content": b'{"question": "a"}'}, "Content-Type: application/json"),
        ("POST", "/v1/query", {"data": {"question": "a"}}, "came as application/x-www-form-urlencoded: send JSON"),
        ("POST", "/v1/search", {"files": FILE}, "came as multipart/form-data: send JSON"),
        ("POST", "/v1/search", {}, "no body: send JSON"),
        ("POST", "/v1/search", {"content": b"{'query': 1}", "headers": JSON}, "property name"),
        ("POST", "/v1/query", {"json": {"query": "a"}}, "body.query: There is no such field; did you mean `question`?"),
        ("POST", "/v1/search", {"json": {"question": "a"}}, "did you mean `query`?"),
        ("POST", "/v1/search", {"json": {"query": "a", "k": 1}}, "did you mean `top_k`?"),
        ("POST", "/v1/search", {"json": {"query": "a", "collection": "b"}}, "did you mean `collections`?"),
        ("POST", "/v1/documents/text", {"json": {"content": "a"}}, "did you mean `text`?"),
        ("POST", "/v1/documents/url", {"json": {"uri": "http://a.example/"}}, "did you mean `url`?"),
        ("POST", "/v1/documents/url", {"json": {"webhook": "http://a.example/"}}, "did you mean `callback_url`?"),
        ("GET", "/v1/documents?colection=a", {}, "did you mean `collection`?"),
        ("GET", "/v1/documents?order=name", {}, "known: collection, cursor, "),
        ("POST", "/v1/documents", {"json": {"text": "a"}}, "/v1/documents/text"),
        ("POST", "/v1/documents", {"content": b"bytes"}, "curl -F file=@"),
        ("POST", "/v1/documents", {"content": b"a", "headers": {"Content-Type": "application/pdf"}}, "PUT /v1/uploads"),
        ("POST", "/v1/documents", {"content": b"a", "headers": {"Content-Type": "multipart/form-data"}}, "no boundary"),
        ("POST", "/v1/documents", {"files": {"document": FILE["file"]}}, "name the part `file`"),
        ("POST", "/v1/documents/batch", {"files": {"files": ("a.txt", b"x" * 99_999)}}, "name the part `file`"),
        ("POST", "/v1/documents", {"files": {"collection": (None, b"a")}}, "It has: `collection`"),
        ("POST", "/v1/documents", {"files": FILE, "data": {"metadata": "a=b"}}, "metadata: is not JSON"),
    ],
)
async def test_the_answer_says_what_to_send(
    alice: Person, method: str, path: str, request_: dict[str, Any], told: str
) -> None:
    assert told in problem(await alice.client.request(method, path, **request_), 422)["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("GET", "/v1/query", 405, "GET is not possible here; this path takes POST."),
        ("POST", "/v1/collections/a", 405, "this path takes DELETE, GET, PATCH."),
        ("GET", "/v1/documents/", 404, "did you mean /v1/documents?"),
        ("GET", "/documents", 404, "did you mean /v1/documents?"),
        ("POST", "/v1/query/", 404, "did you mean /v1/query?"),
        ("GET", "/v1/collection", 404, "did you mean /v1/collections?"),
        ("GET", "/nowhere/at/all", 404, "This path does not exist."),
    ],
)
async def test_the_answer_says_where_to_go(alice: Person, method: str, path: str, status: int, told: str) -> None:
    answer = await alice.client.request(method, path)
    assert told in problem(answer, status)["detail"]
    if status == 405:
        assert answer.headers["allow"] == told.partition("takes ")[2].rstrip(".")


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({}, "No API key was given: send the header `Authorization: Bearer fn_...`"),
        ({"Authorization": "fn_0123456789ab_secret"}, "does not have the scheme Bearer"),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, "does not have the scheme Bearer"),
        ({"Authorization": "Bearer"}, "no key after `Bearer`"),
    ],
)
async def test_the_answer_says_where_the_key_goes(alice: Person, headers: dict[str, str], told: str) -> None:
    transport = alice.client._transport
    async with httpx2.AsyncClient(transport=transport, base_url="http://footnote", headers=headers) as stranger:
        answer = problem(await stranger.get("/v1/jobs"), 401, "invalid_api_key")
    assert told in answer["detail"]
    assert "secret" not in answer["detail"]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000/hook", "http://localhost/", "https://db.internal", "http://x:8"]
)
def test_a_private_address_is_refused_with_the_setting(url: str) -> None:
    with pytest.raises(Invalid, match="FOOTNOTE_WEBHOOK_ALLOW_PRIVATE=true"):
        check_url(url, allow_private=False)
