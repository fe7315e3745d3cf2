"""The naughty strings of `make security` are in requests that are otherwise valid."""

import itertools
import json

import pytest

from tests.conftest import Person
from tests.system import naughty, security, thrown

pytestmark = pytest.mark.anyio


async def test_beside_the_naughty_string_a_request_is_in_order(alice: Person) -> None:
    ids = {"vector_store_id": "vs_1", "file_id": "file-1", "upload_id": "upload_1"}
    surface = json.loads(security.SURFACE.read_text()), ids
    for described in (((await alice.client.get("/openapi.json")).json(), {}), surface):
        for method, address, given in thrown.samples(*described):
            answer = await alice.client.request(method, address, headers=security.JSON, **given)
            assert not security.is_refused_sample(answer), (method, address, answer.text)


async def test_every_argument_of_a_tool_and_every_field_of_a_form_gets_the_strings() -> None:
    tool = {"name": "t", "inputSchema": {"type": "object", "properties": {"a": {"type": "string"}}}}
    sent = itertools.islice(thrown.calls([tool]), 0, 4 * len(naughty.STRINGS), 4)
    assert [json.loads(given["content"])["params"]["arguments"]["a"] for _, _, given in sent] == naughty.STRINGS
    surface = json.loads(security.SURFACE.read_text())
    forms = [given["files"].keys() for _, _, given in thrown.requests(surface, {}) if "files" in given]
    assert {frozenset(each) for each in forms} == {
        frozenset(each)
        for each in (
            {"data"},
            {"file", "purpose"},
            *({"file", "purpose", f"expires_after[{name}]"} for name in ("anchor", "seconds")),
        )
    }


def test_a_string_goes_wherever_one_may_stand() -> None:
    components = {
        "Turn": {"type": "object", "required": ["role"], "properties": {"role": {"enum": ["user"], "type": "string"}}},
        "Asked": {
            "type": "object",
            "required": ["query"],
            "properties": {
                "query": {"type": "string"},
                "messages": {"anyOf": [{"type": "array", "items": {"$ref": "#/x/Turn"}}, {"type": "null"}]},
                "metadata": {"type": "object"},
                "top_k": {"type": "integer"},
            },
        },
    }
    found = thrown.values({"$ref": "#/x/Asked"}, components, "\x00")
    free = [
        r'{"query": "\u0000"}',
        r'{"query": "lamp", "metadata": {"question": "\u0000"}}',
        r'{"query": "lamp", "metadata": {"\u0000": "x"}}',
    ]
    assert [json.dumps(each) for each in found] == free
    few = next(iter(thrown.FEW))
    assert {"query": "lamp", "messages": [{"role": few}]} in thrown.values({"$ref": "#/x/Asked"}, components, few)
