"""Below `/openai/`, every answer has OpenAI's form: errors, lists and models, as the official client reads them."""

from typing import Any

import httpx2
import openai
import pytest

from api.openai.errors import refusal
from api.openai.paging import Window, listed
from footnote import collections
from footnote.collections import catalog
from footnote.database.ids import new_id
from footnote.runtime import Runtime
from footnote.tenancy.rate_limits import Allowance
from tests.api.openai_client import client, refused, writer
from tests.api.test_errors import problem
from tests.conftest import Person

__all__ = ["client", "writer"]  # fixtures
pytestmark = pytest.mark.anyio


async def test_what_no_route_answers_has_the_form_as_well(alice: Person) -> None:
    for path in ("/openai/v1/nothing", "/openai/", "/openai/v2/models", "/openai/v1/models/"):
        refused(await alice.client.get(path), 404, "model_not_found" if "models/" in path else "unknown_url")
    answer = await alice.client.put("/openai/v1/models")
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET"
    problem(await alice.client.get("/v1/nothing"), 404)
    hint = problem(await alice.client.post("/v1/models"), 404)["detail"]
    assert hint == "This path does not exist; did you mean /openai/v1/models?"


async def test_who_asks_without_a_right_to_is_told_so(alice: Person) -> None:
    for headers in ({}, {"Authorization": "Bearer fn_0123456789ab_wrong"}):
        async with httpx2.AsyncClient(transport=alice.client._transport, base_url="http://footnote") as other:
            refused(await other.get("/openai/v1/models", headers=headers), 401, "invalid_api_key")


async def test_an_unexpected_error_is_told_without_its_details(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing(*_given: Any) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(catalog, "newest", failing)
    answer = await alice.client.get("/openai/v1/models")
    assert "secret" not in refused(answer, 500, "internal_error")


async def test_a_limit_of_requests_is_a_rate_limit_error(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_given: Any) -> Allowance:
        return Allowance(wait=7.0, limit=1, left=0, more=7)

    monkeypatch.setattr("footnote.tenancy.rate_limits.count_request", full)
    answer = await alice.client.get("/openai/v1/models")
    refused(answer, 429, "rate_limit_exceeded")
    assert answer.headers["retry-after"] == "7"


def test_clients_are_told_what_not_to_repeat() -> None:
    statuses = {native: refusal(native, "a_code", "A message.") for native in (409, 410, 415, 422, 502, 503, 504)}
    assert {native: each.status_code for native, each in statuses.items()} == {
        **{native: native for native in (409, 502, 503, 504)},
        **{410: 404, 415: 400, 422: 400},
    }
    assert {native for native, each in statuses.items() if each.headers.get("x-should-retry") == "false"} == {409, 502}


async def test_models_are_all_collections_and_each_one(
    rt: Runtime, alice: Person, charlie: Person, client: openai.AsyncOpenAI
) -> None:
    async with rt.for_tenant(alice.tenant_id).transaction() as session:
        made = await collections.create(session, rt, {"name": "lamps"})
    store = f"footnote:vs_{made.collection.id.removeprefix('col_')}"
    found = {each.id: each async for each in client.models.list()}
    assert found.keys() >= {"footnote", store, rt.generator.model, rt.embedder.model}
    assert {each.object for each in found.values()} == {"model"}
    assert (await client.models.retrieve(store)).created == int(made.collection.created_at.timestamp())
    assert (await client.models.retrieve("footnote")).owned_by == "footnote"
    for name in (f"footnote:vs_{new_id('x')[2:]}", "gpt-5", "org/model"):
        with pytest.raises(openai.NotFoundError) as caught:
            await client.models.retrieve(name)
        assert caught.value.code == "model_not_found"
    # Another tenant's is one that does not exist.
    refused(await charlie.client.get(f"/openai/v1/models/{store}"), 404, "model_not_found")
    assert store not in (await charlie.client.get("/openai/v1/models")).text
    # Parameters of other servers are ignored.
    assert (await alice.client.get("/openai/v1/models?limit=x&include[]=a&include[]=b")).status_code == 200


def test_a_page_ends_where_the_next_begins() -> None:
    class Item:
        def __init__(self, name: str) -> None:
            self.id = name

    assert listed([]).model_dump() == {"object": "list", "data": [], "first_id": "", "last_id": "", "has_more": False}
    ids = list("abcdefg")
    for order in ("asc", "desc"):
        names = ids if order == "asc" else ids[::-1]
        for window in (Window(3, order), Window(3, order, after=names[2]), Window(3, order, before=names[5])):
            low, high = (window.before, window.after) if order == "desc" else (window.after, window.before)
            rows = sorted((each for each in ids if (low or "") < each < (high or "z")), reverse=window.descends)
            page = window.page(rows[:4], Item)
            at = names.index(page.first_id)
            assert [each.id for each in page.data] == names[at : at + 3]
            assert page.last_id == names[at + 2]
            assert page.has_more is (len(rows) > 3)
